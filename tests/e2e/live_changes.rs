//! Changes to keys while traffic flows: visible on every worker, soon.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use serde_json::json;

use crate::{
    connections::Connections,
    load::{Load, assert_only},
};

const WORKERS: u32 = 4;
const LIMIT: Duration = Duration::from_secs(20);

/// Four workers, a connection to each, and traffic of another team with room for all of it.
async fn scene() -> (Edge, Connections, Load) {
    let edge = Edge::synced_start(|setup| setup.workers(WORKERS)).await;
    let busy = edge.key("busy", &["read"]).await;
    edge.key_service().patch_team("busy", &unlimited()).await.unwrap();
    edge.key_service().create_team("acme", "Acme").await.unwrap();
    let patched = edge.key_service().patch_team("acme", &unlimited()).await.unwrap();
    edge.serves(patched["revision"].as_u64().unwrap()).await;
    let connections = Connections::to_every_worker(&edge).await;
    let load = Load::start(&edge, 4, "/api/busy/x", &busy);
    load.flows(&edge, 20).await;
    (edge, connections, load)
}

fn unlimited() -> serde_json::Value {
    json!({"quota": {"limit": 1_000_000, "window_seconds": 1}})
}

/// Asks over every connection until the answer is `expected`; returns how long the slowest took.
async fn visible_everywhere(edge: &Edge, connections: &Connections, key: &str, expected: &str) -> Duration {
    let changed = Instant::now();
    for request in connections.get("/api/acme/x") {
        let request = request.header("authorization", format!("Token {key}"));
        edge.wait_until(&format!("every worker answers {expected}"), LIMIT, async || {
            let answer = request.try_clone().unwrap().send().await.unwrap();
            let reason = answer.headers().get("x-auth-reason").map(|value| value.to_str().unwrap().to_owned());
            let outcome = reason.unwrap_or_else(|| answer.status().as_u16().to_string());
            let _ = answer.bytes().await;
            (outcome == expected).then_some(())
        })
        .await;
    }
    changed.elapsed()
}

#[expect(clippy::print_stdout, reason = "the measured delay belongs into the report of the test run")]
fn report(change: &str, delay: Duration) {
    println!("measured: {change}, visible on all of {WORKERS} workers after {} ms", delay.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_key_works_on_every_worker_while_traffic_flows() {
    let (edge, connections, load) = scene().await;
    let key = edge.new_key_at_once("acme", json!({"scopes": ["read"]})).await;
    report("a key was created", visible_everywhere(&edge, &connections, &key.key, "200").await);
    assert_only(&load.stop().await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_on_every_worker_while_traffic_flows() {
    let (edge, connections, load) = scene().await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    visible_everywhere(&edge, &connections, &key.key, "200").await;
    edge.key_service().revoke_key(&key.id).await.unwrap();
    report("a key was revoked", visible_everywhere(&edge, &connections, &key.key, "key_revoked").await);
    assert_only(&load.stop().await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_is_unknown_on_every_worker_while_traffic_flows() {
    let (edge, connections, load) = scene().await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    visible_everywhere(&edge, &connections, &key.key, "200").await;
    edge.key_service().delete_key(&key.id).await.unwrap();
    report("a key was deleted", visible_everywhere(&edge, &connections, &key.key, "unknown_key").await);
    assert_only(&load.stop().await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_other_scopes_may_do_other_things_on_every_worker_while_traffic_flows() {
    let (edge, connections, load) = scene().await;
    let key = edge.new_key("acme", json!({"scopes": ["write"]})).await;
    visible_everywhere(&edge, &connections, &key.key, "missing_scope").await;
    edge.key_service().patch_key(&key.id, &json!({"scopes": ["read"]})).await.unwrap();
    report("a key's scopes were changed", visible_everywhere(&edge, &connections, &key.key, "200").await);
    assert_only(&load.stop().await, "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_expiry_ends_at_it_on_every_worker_while_traffic_flows() {
    let (edge, connections, load) = scene().await;
    let key = edge.new_key("acme", json!({"scopes": ["read"], "expires": "2999-01-01T00:00:00Z"})).await;
    visible_everywhere(&edge, &connections, &key.key, "200").await;
    edge.key_service().patch_key(&key.id, &json!({"expires": "2020-01-01T00:00:00Z"})).await.unwrap();
    report("a key's expiry was changed", visible_everywhere(&edge, &connections, &key.key, "key_expired").await);
    assert_only(&load.stop().await, "200");
}
