//! The key service is gone, late, or back with news.

use std::time::{Duration, Instant};

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
async fn while_the_key_service_is_dead_valid_keys_work_and_unknown_ones_do_not() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let key = edge.key("acme", &["read"]).await;
    let doomed = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    give_room(&edge).await;
    let valid = Load::start(&edge, 4, "/api/acme/x", &key);
    let unknown = Load::start(&edge, 2, "/api/acme/x", "nobody-knows-this-key");
    valid.flows(&edge, 100).await;

    edge.kill_key_service();
    valid.flows(&edge, 1000).await;
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
    let back = Instant::now();
    becomes(&edge, &fresh.key, "200").await;
    becomes(&edge, &doomed.key, "key_revoked").await;
    let recovery = back.elapsed();

    let (valid, unknown) = (valid.stop().await, unknown.stop().await);
    assert_only(&valid, "200");
    assert_only(&unknown, "401 unknown_key");
    crate::load::report("key_service_killed", &[&valid, &unknown], recovery);
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

/// Of a time such as 2030-01-31T12:00:00Z.
fn second_of_day(time: &serde_json::Value) -> i64 {
    let clock = time.as_str().unwrap().split(['T', 'Z']).nth(1).unwrap().to_owned();
    clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_older_than_the_configured_age_are_not_trusted() {
    let shorten = |filter: &mut serde_json::Value| {
        filter["key_service"]["poll_seconds"] = json!(1);
        filter["key_service"]["max_age_seconds"] = json!(10);
    };
    let mut edge = Edge::synced_start(|setup| setup.filter(shorten)).await;
    let key = edge.key("acme", &["read"]).await;
    assert_eq!(outcome(&edge, &key).await, "200");
    // The key service knows for how long: it names a node that may still serve when somebody waits for a change.
    let fleet = edge.key_service().get("/v1/fleet").await.unwrap();
    let [seen, until] = ["last_seen", "serves_until"].map(|field| second_of_day(&fleet["nodes"][0][field]));
    // One second of polling, fifteen of grace, ten of age.
    assert_eq!((until - seen).rem_euclid(86_400), 26, "{fleet}");
    edge.kill_key_service();
    becomes(&edge, &key, "table_stale").await;
    edge.start_key_service().await;
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
