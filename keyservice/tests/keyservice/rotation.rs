//! Revoking and replacing keys.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Service, answer, text};

async fn with_key() -> (Service, Value) {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({
        "team": "acme", "name": "ci", "subject": "ci@acme.example", "scopes": ["read", "write"],
        "origin": { "domain": "acme.example" }, "expires": "2040-01-01T00:00:00Z",
    });
    let key = service.post("/v1/keys", body).await.created();
    (service, key)
}

fn path(key: &Value) -> String {
    format!("/v1/keys/{}", text(key, "id"))
}

#[tokio::test]
async fn a_rotated_key_has_a_successor_that_may_do_the_same() {
    let (service, old) = with_key().await;
    let rotated = service.post(&format!("{}/rotate", path(&old)), json!({ "overlap_seconds": 3600 })).await.created();
    assert_ne!((&rotated["id"], &rotated["key"]), (&old["id"], &old["key"]));
    for field in ["kind", "team", "name", "subject", "scopes", "origin", "expires", "state"] {
        assert_eq!(rotated[field], old[field], "{field}");
    }
    let superseded = service.get(&path(&old)).await.ok();
    assert_eq!((&superseded["superseded_by"], text(&superseded, "state")), (&rotated["id"], "active"));
    assert!(text(&superseded, "expires") < "2039", "it ends with the overlap: {superseded}");
    service.post(&format!("{}/rotate", path(&old)), json!({})).await.refused(409, "key_superseded");
}

#[tokio::test]
async fn without_an_overlap_the_old_key_is_revoked_at_once() {
    let (service, old) = with_key().await;
    let rotated = answer(service.admin(Method::POST, &format!("{}/rotate", path(&old)))).await.created();
    let revoked = service.get(&path(&old)).await.ok();
    assert_eq!(
        (text(&revoked, "state"), text(&revoked, "revoke_reason"), &revoked["superseded_by"]),
        ("revoked", "rotated", &rotated["id"])
    );
}

#[tokio::test]
async fn a_rotated_key_ends_when_told() {
    let (service, old) = with_key().await;
    let told = json!({ "overlap_seconds": 60, "expires": "2050-01-01T00:00:00Z" });
    let rotated = service.post(&format!("{}/rotate", path(&old)), told).await.created();
    assert_eq!(text(&rotated, "expires"), "2050-01-01T00:00:00Z");
    let never = service.post(&format!("{}/rotate", path(&rotated)), json!({ "expires": null })).await.created();
    assert_eq!(never["expires"], Value::Null);
    let past = json!({ "expires": "2020-01-01T00:00:00Z" });
    let refused = service.post(&format!("{}/rotate", path(&never)), past).await;
    refused.refused(400, "invalid_field");
    assert_eq!(refused.body["field"], "expires");
    assert_eq!(service.get(&path(&never)).await.ok()["superseded_by"], Value::Null);
}

#[tokio::test]
async fn a_superseded_key_can_end_earlier_but_not_later() {
    let (service, old) = with_key().await;
    service.post(&format!("{}/rotate", path(&old)), json!({ "overlap_seconds": 3600 })).await.created();
    for later in [json!(null), json!("2045-01-01T00:00:00Z")] {
        let refused = service.patch(&path(&old), json!({ "expires": later })).await;
        refused.refused(409, "key_superseded");
    }
    service.patch(&path(&old), json!({ "expires": "2020-01-01T00:00:00Z" })).await.ok();
    service.patch(&path(&old), json!({ "name": "old" })).await.ok();
}

#[tokio::test]
async fn rotation_replaces_the_one_key_of_a_service_account() {
    let service = Service::start().await;
    service.team("acme").await;
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    let body = json!({ "service_account": "ci", "scopes": ["read"] });
    let first = service.post("/v1/keys", body.clone()).await.created();
    let second = service.post(&format!("{}/rotate", path(&first)), json!({ "overlap_seconds": 60 })).await.created();
    assert_eq!(service.get("/v1/service-accounts/ci").await.ok()["key"], second["id"]);
    service.post("/v1/keys", body).await.refused(409, "service_account_has_key");
    let third = service.post(&format!("{}/rotate", path(&second)), json!({})).await.created();
    assert_eq!(service.get("/v1/service-accounts/ci").await.ok()["key"], third["id"]);
}

#[tokio::test]
async fn a_revoked_key_is_not_rotated() {
    let (service, key) = with_key().await;
    service.post(&format!("{}/revoke", path(&key)), json!({})).await.ok();
    service.post(&format!("{}/rotate", path(&key)), json!({})).await.refused(409, "key_revoked");
    service.post("/v1/keys/nothing/rotate", json!({})).await.refused(404, "unknown_key");
}

#[tokio::test]
async fn a_rotation_that_is_asked_for_twice_happens_once() {
    let (service, old) = with_key().await;
    let rotate = || {
        let request = service.admin(Method::POST, &format!("{}/rotate", path(&old)));
        answer(request.header("idempotency-key", "once").json(&json!({ "overlap_seconds": 60 })))
    };
    let first = rotate().await.created();
    let again = rotate().await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let again = again.created();
    assert_eq!((&again["id"], again.get("key"), &again["replayed"]), (&first["id"], None, &json!(true)));
    let other = service.admin(Method::POST, &format!("{}/rotate", path(&first))).header("idempotency-key", "once");
    answer(other.json(&json!({ "overlap_seconds": 60 }))).await.refused(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_compromised_key_is_known_as_such() {
    let (service, key) = with_key().await;
    let revoke = format!("{}/revoke", path(&key));
    let revoked = service.post(&revoke, json!({ "reason": "old laptop" })).await.ok();
    assert_eq!(revoked["compromised"], false);
    let found =
        service.post(&revoke, json!({ "reason": "found in a public repository", "compromised": true })).await.ok();
    assert_eq!(
        (&found["compromised"], text(&found, "revoke_reason")),
        (&json!(true), "old laptop"),
        "a key that is revoked may become known as compromised, but its reason stays"
    );
}
