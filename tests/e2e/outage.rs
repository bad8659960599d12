//! The key service is gone, late, or back with news.

use std::time::Duration;

use lab::edge::{Edge, Setup};
use serde_json::json;

use crate::load::{Load, assert_only};

async fn outcome(edge: &Edge, key: &str) -> String {
    let answer = edge.get("/api/acme/x").header("x-api-key", key).send().await.unwrap();
    let reason = answer.headers().get("x-auth-reason").map(|reason| reason.to_str().unwrap().to_owned());
    reason.unwrap_or_else(|| answer.status().as_u16().to_string())
}

async fn becomes(edge: &Edge, key: &str, expected: &str) {
    edge.wait_until(&format!("the answer is {expected}"), Duration::from_secs(40), async || {
        (outcome(edge, key).await == expected).then_some(())
    })
    .await;
}

async fn give_room(edge: &Edge) {
    let quota = json!({"quota": {"limit": 1_000_000, "window_seconds": 1}});
    let team = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_while_the_key_service_was_dead_arrives_when_it_is_back_and_not_before() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let key = edge.key("acme", &["read"]).await;
    let doomed = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    give_room(&edge).await;
    let valid = Load::start(&edge, 4, "/api/acme/x", &key);
    let unknown = Load::start(&edge, 2, "/api/acme/x", "nobody-knows-this-key");
    valid.flows(&edge, 100).await;

    edge.kill_key_service();
    valid.flows(&edge, 200).await;
    unknown.flows(&edge, 100).await;

    let fresh = edge
        .out_of_reach(async |key_service| {
            key_service.revoke_key(&doomed.id).await.unwrap();
            key_service.create_key(&json!({"team": "acme", "scopes": ["read"]})).await.unwrap()
        })
        .await;
    assert_eq!(outcome(&edge, &doomed.key).await, "200", "the change cannot have arrived");
    assert_eq!(outcome(&edge, &fresh.key).await, "unknown_key");

    edge.start_key_service().await;
    becomes(&edge, &fresh.key, "200").await;
    becomes(&edge, &doomed.key, "key_revoked").await;

    assert_only(&valid.stop().await, "200");
    assert_only(&unknown.stop().await, "401 unknown_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_everything_protected_is_503_and_then_200_once_they_are_there() {
    let mut edge = Edge::start(Setup::without_key_service).await;
    let answer = edge.get("/api/acme/x").header("x-api-key", "any-key").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(answer.headers()["x-auth-reason"], "not_synced");
    assert_eq!(edge.get("/healthz").send().await.unwrap().status(), 200, "public routes need no keys");

    edge.start_key_service().await;
    let key = edge.key("acme", &["read"]).await;
    becomes(&edge, &key, "200").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_wrong_token_gets_no_keys_and_says_why() {
    let edge = Edge::start(|setup| setup.environment("TOLLKEEPER_NODE_TOKEN", "not-the-node-token-at-all")).await;
    edge.wait_until("the log says why", Duration::from_secs(20), async || {
        edge.envoy_log().contains("the key service refused the node token").then_some(())
    })
    .await;
    assert_eq!(outcome(&edge, "any-key").await, "not_synced");
}
