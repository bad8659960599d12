//! What the key service shows about the use of keys.

use std::time::Duration;

use lab::edge::Edge;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

async fn shows(edge: &Edge, path: &str, granted: u64, limited: u64) -> Value {
    let what = format!("{path} shows {granted} granted and {limited} limited");
    edge.wait_until(&what, LIMIT, async || {
        let shown = edge.key_service().get(path).await.ok()?;
        let counts = (shown["granted"].as_u64()?, shown["limited"].as_u64()?);
        assert!(counts <= (granted, limited), "{path} counts too much: {counts:?}");
        (counts == (granted, limited)).then_some(shown)
    })
    .await
}

async fn send(edge: &Edge, path: &str, key: &str, count: u32) {
    for _ in 0..count {
        edge.get_over_new_connection(path).header("x-api-key", key).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_service_shows_when_a_key_was_last_used_and_how_often_per_key_and_team() {
    let edge = Edge::synced_start(|setup| setup.workers(4)).await;
    let one = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    let other = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    let quota = json!({"quota": {"limit": 12, "window_seconds": 2_678_400}});
    let team = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;

    send(&edge, "/api/acme/x", &one.key, 10).await;
    send(&edge, "/api/acme/x", &other.key, 5).await;
    send(&edge, "/api/globex/x", &other.key, 3).await;

    let shown = shows(&edge, &format!("/v1/keys/{}", one.id), 10, 0).await;
    assert!(shown["last_used_at"].is_string(), "{shown}");
    shows(&edge, &format!("/v1/keys/{}", other.id), 2, 3).await;
    shows(&edge, "/v1/teams/acme", 12, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_once_though_the_key_service_dies_in_between() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    for _ in 0..4 {
        send(&edge, "/api/acme/x", &key.key, 20).await;
        edge.kill_key_service();
        send(&edge, "/api/acme/x", &key.key, 20).await;
        edge.start_key_service().await;
    }
    shows(&edge, &format!("/v1/keys/{}", key.id), 160, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_counted_though_configurations_are_pushed_in_between() {
    // Replaced configurations end while the test runs, with what they have not reported.
    let mut edge = Edge::synced_start(|setup| setup.workers(2).drains_within(Duration::from_secs(1))).await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    for round in 0..6 {
        send(&edge, "/api/acme/x", &key.key, 10).await;
        edge.push_filter(|filter| filter["realm"] = json!(format!("round {round}"))).await;
    }
    shows(&edge, &format!("/v1/keys/{}", key.id), 60, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_requests_are_no_use_of_a_key() {
    let edge = Edge::synced_start(|setup| setup).await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    send(&edge, "/api/globex/x", &key.key, 5).await;
    send(&edge, "/api/acme/x", &key.key, 1).await;
    shows(&edge, &format!("/v1/keys/{}", key.id), 1, 0).await;
}
