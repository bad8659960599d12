//! Another configuration while traffic flows.

use std::time::Duration;

use lab::{edge::Edge, envoy::Pushed};
use serde_json::json;

use crate::load::{Load, assert_only};

async fn left(edge: &Edge, key: &str) -> u64 {
    let answer = edge.get("/api/acme/x").header("x-api-key", key).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let header = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
    header.split(['=', ';']).nth(2).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_pushed_under_load_answer_no_request_wrongly_and_keep_table_and_buckets() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let (acme, busy) = (edge.key("acme", &["read"]).await, edge.key("busy", &["read"]).await);
    let slow = json!({"quota": {"limit": 1000, "window_seconds": 2_678_400}});
    edge.key_service().patch_team("acme", &slow).await.unwrap();
    let fast = json!({"quota": {"limit": 1_000_000, "window_seconds": 1}});
    let team = edge.key_service().patch_team("busy", &fast).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    let valid = Load::start(&edge, 3, "/api/busy/x", &busy);
    let unknown = Load::start(&edge, 1, "/api/busy/x", "nobody-knows-this-key");
    let mut expected = left(&edge, &acme).await;

    for round in 0..10 {
        let pushed = edge.push_filter(|filter| filter["realm"] = json!(format!("round {round}"))).await;
        assert_eq!(pushed, Pushed::Accepted);
        expected -= 1;
        assert_eq!(left(&edge, &acme).await, expected, "round {round}: the bucket goes on where it was");
        valid.flows(&edge, 50).await;
    }

    assert_only(&valid.stop().await, "200");
    assert_only(&unknown.stop().await, "401 unknown_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_refused_with_all_its_mistakes_and_the_old_one_serves_on() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let (key, busy) = (edge.key("acme", &["read"]).await, edge.key("busy", &["read"]).await);
    // However long this takes, no token comes back meanwhile.
    let slow = json!({"quota": {"limit": 1000, "window_seconds": 2_678_400}});
    edge.key_service().patch_team("acme", &slow).await.unwrap();
    let fast = json!({"quota": {"limit": 1_000_000, "window_seconds": 1}});
    let team = edge.key_service().patch_team("busy", &fast).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    let load = Load::start(&edge, 2, "/api/acme/x", "nobody-knows-this-key");
    let valid = Load::start(&edge, 2, "/api/busy/x", &busy);
    let before = left(&edge, &key).await;

    let pushed = edge
        .push_filter(|filter| {
            filter["quotta"] = json!({});
            filter["quota"]["limit"] = json!(0);
            filter["routes"][0]["path"] = json!("no-slash");
        })
        .await;
    assert_eq!(pushed, Pushed::Rejected);
    let log = edge.envoy_log();
    for place in ["quotta", "quota.limit", "routes[0].path"] {
        assert!(log.contains(&format!("{place}: ")), "the log names {place}: {log}");
    }

    load.flows(&edge, 50).await;
    valid.flows(&edge, 50).await;
    assert_eq!(left(&edge, &key).await, before - 1);
    assert_only(&load.stop().await, "401 unknown_key");
    assert_only(&valid.stop().await, "200");

    let after = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    let answer = edge.get("/api/acme/x").header("x-api-key", &after.key).send().await.unwrap();
    assert_eq!(answer.status(), 200, "keys keep arriving");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_takes_effect() {
    let mut edge = Edge::synced_start(|setup| setup).await;
    let reason = async |edge: &Edge| edge.get("/elsewhere").send().await.unwrap().headers()["x-auth-reason"].clone();
    assert_eq!(reason(&edge).await, "no_route");
    edge.push_filter(|filter| filter["unmatched"] = json!("authenticate")).await;
    assert_eq!(reason(&edge).await, "missing_credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_address_of_the_key_service_holds_though_old_connections_live_on() {
    let lost = |filter: &mut serde_json::Value| filter["key_service"]["cluster"] = json!("upstream");
    let mut edge = Edge::start(move |setup| setup.filter(lost)).await;
    let answer = edge.get("/api/acme/x").header("x-api-key", "any-key").send().await.unwrap();
    assert_eq!(answer.headers()["x-auth-reason"], "not_synced");
    edge.wait_until("the log says why", Duration::from_secs(20), async || {
        edge.envoy_log().contains("the key service did not answer").then_some(())
    })
    .await;
    edge.push_filter(|filter| filter["key_service"]["cluster"] = json!("keyservice")).await;
    edge.synced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_push_a_revocation_arrives_as_before() {
    let mut edge = Edge::synced_start(|setup| setup.workers(2)).await;
    for round in 0..3 {
        let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
        edge.push_filter(|filter| filter["realm"] = json!(format!("round {round}"))).await;
        let revoked = edge.key_service().revoke_key(&key.id).await.unwrap();
        edge.serves(revoked["revision"].as_u64().unwrap()).await;
        let answer = edge.get("/api/acme/x").header("x-api-key", &key.key).send().await.unwrap();
        assert_eq!(answer.headers()["x-auth-reason"], "key_revoked", "round {round}");
    }
}
