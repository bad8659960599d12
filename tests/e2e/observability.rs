//! What an operator sees: metrics and access logs, and never a credential.

use std::time::Duration;

use lab::edge::Edge;
use serde_json::json;
use tollkeeper_contract::page::NodeToken;

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_and_reasons_are_counted() {
    let edge = Edge::synced_start(|setup| setup).await;
    let key = edge.key("acme", &["read"]).await;
    for _ in 0..3 {
        edge.get("/api/acme/x").header("x-api-key", &key).send().await.unwrap();
    }
    edge.get("/api/globex/x").header("x-api-key", &key).send().await.unwrap();
    edge.get("/healthz").send().await.unwrap();
    for (verdict, reason, count) in [("granted", "ok", 3), ("denied", "team_mismatch", 1), ("public", "ok", 1)] {
        let name = format!("wasmcustom.tollkeeper.requests.instance.edge.verdict.{verdict}.reason.{reason}");
        assert_eq!(edge.stat(&name).await, Some(count), "{name}");
    }
    let prometheus = edge.admin("/stats/prometheus").await;
    let line = "tollkeeper_requests{tollkeeper_instance=\"edge\",verdict=\"granted\",reason=\"ok\"} 3";
    assert!(prometheus.contains(line), "{prometheus}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_named_as_the_operator_names_its_envoys() {
    // The lab calls its Envoys "lab".
    let edge = Edge::synced_start(|setup| setup).await;
    // A node says its name for the list when it asks for changes, a moment after its first keys.
    let name = edge.wait_until("a node is in the list", Duration::from_secs(20), async || {
        let fleet = edge.key_service().get("/v1/fleet").await.ok()?;
        fleet["nodes"][0]["name"].as_str().map(str::to_owned)
    });
    let name = name.await;
    assert!(name.starts_with("lab#"), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_and_age_of_the_keys_are_shown_and_the_age_grows_without_a_key_service() {
    let shorten = |filter: &mut serde_json::Value| filter["key_service"]["poll_seconds"] = json!(1);
    let mut edge = Edge::synced_start(|setup| setup.filter(shorten)).await;
    let key = edge.new_key("acme", json!({"scopes": []})).await;
    assert_eq!(edge.stat("wasmcustom.tollkeeper.revision.instance.edge").await, Some(key.revision));
    edge.kill_key_service();
    edge.get("/api/acme/x").header("x-api-key", &key.key).send().await.unwrap();
    edge.wait_until("the age grows", Duration::from_secs(30), async || {
        let age = edge.stat("wasmcustom.tollkeeper.sync_age_seconds.instance.edge").await?;
        let failures = edge.stat("wasmcustom.tollkeeper.sync_failures.instance.edge").await?;
        (age >= 3 && failures > 0).then_some(())
    })
    .await;
    let log = edge.envoy_log();
    assert!(!log.contains("sync works again"), "a dead key service is not said to work: {log}");
    edge.start_key_service().await;
    edge.wait_until("the log says that it works", Duration::from_secs(30), async || {
        edge.envoy_log().contains("sync works again").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_shows_team_key_kind_and_reason() {
    let edge = Edge::synced_start(|setup| setup).await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    edge.get("/api/acme/granted").header("x-api-key", &key.key).send().await.unwrap();
    edge.get("/api/globex/denied").header("x-api-key", &key.key).send().await.unwrap();

    let granted = edge.access_log_entry(|entry| entry["path"] == "/api/acme/granted").await;
    assert_eq!(granted["team"], "acme");
    assert_eq!(granted["key_id"], json!(key.id));
    assert_eq!((&granted["kind"], &granted["reason"]), (&json!("application"), &json!("ok")));
    assert_eq!(granted.get("degraded"), Some(&json!(null)), "only what was decided without an answer is");

    let denied = edge.access_log_entry(|entry| entry["path"] == "/api/globex/denied").await;
    assert_eq!((&denied["team"], &denied["reason"]), (&json!("acme"), &json!("team_mismatch")));
    assert_eq!(denied["details"], "tollkeeper:team_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_and_no_token_is_in_any_log_metric_or_configuration_dump() {
    let edge = Edge::synced_start(|setup| setup).await;
    let key = edge.key("acme", &["read"]).await;
    let unknown = "somebody-elses-key-that-nobody-knows";
    edge.get("/api/acme/seen").header("x-api-key", &key).send().await.unwrap();
    edge.get("/api/acme/refused").header("authorization", format!("Bearer {unknown}")).send().await.unwrap();
    let entry = edge.access_log_entry(|entry| entry["path"] == "/api/acme/refused").await.to_string();

    let places = [
        ("Envoy's log", edge.envoy_log()),
        ("the access log", entry),
        ("the key service's log", edge.key_service_log()),
        ("Envoy's metrics", edge.admin("/stats").await),
        ("Envoy's configuration dump", edge.admin("/config_dump").await),
    ];
    let node = edge.tokens().node.expose();
    let shown = NodeToken::parse(node).unwrap().shown().to_owned();
    let secrets = [key.as_str(), unknown, edge.tokens().admin.expose(), node, &shown];
    for (place, text) in places {
        assert!(!text.is_empty(), "{place} is there");
        for secret in secrets {
            assert!(!text.contains(secret), "{place} holds a secret");
        }
    }
}
