//! Service accounts over the admin API.

use serde_json::{Value, json};

use crate::harness::{Service, text};

async fn with_accounts() -> Service {
    let service = Service::start().await;
    service.enterprise("umbrella").await;
    service.team("acme").await;
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    service.account(json!({ "id": "ops", "enterprise": "umbrella" })).await;
    service
}

#[tokio::test]
async fn a_service_account_belongs_to_a_team_or_an_enterprise() {
    let service = with_accounts().await;
    let ci = service.get("/v1/service-accounts/ci").await.ok();
    assert_eq!((&ci["team"], &ci["enterprise"], text(&ci, "name")), (&json!("acme"), &Value::Null, "ci"));
    let ops = service.get("/v1/service-accounts/ops").await.ok();
    assert_eq!((&ops["team"], &ops["enterprise"], &ops["key"]), (&Value::Null, &json!("umbrella"), &Value::Null));
    let renamed = service.patch("/v1/service-accounts/ci", json!({ "name": "build server" })).await.ok();
    assert_eq!(service.get("/v1/service-accounts/ci").await.ok(), renamed);
    assert_eq!(text(&renamed, "name"), "build server");
}

#[tokio::test]
async fn a_second_service_account_of_the_same_id_is_refused() {
    let service = with_accounts().await;
    let again = service.post("/v1/service-accounts", json!({ "id": "ci", "enterprise": "umbrella" })).await;
    again.refused(409, "service_account_exists");
}

#[tokio::test]
async fn a_service_account_of_an_unknown_owner_is_refused() {
    let service = Service::start().await;
    for owner in ["team", "enterprise"] {
        let refused = service.post("/v1/service-accounts", json!({ "id": "ci", owner: "nobody" })).await;
        refused.refused(422, &format!("unknown_{owner}"));
        assert_eq!(refused.body["field"], owner);
    }
}

#[tokio::test]
async fn service_accounts_are_listed_by_owner() {
    let service = with_accounts().await;
    for (query, expected) in
        [("", json!(["ci", "ops"])), ("?team=acme", json!(["ci"])), ("?enterprise=umbrella", json!(["ops"]))]
    {
        let page = service.get(&format!("/v1/service-accounts{query}")).await.ok();
        let ids: Vec<_> =
            page["service_accounts"].as_array().unwrap().iter().map(|account| account["id"].clone()).collect();
        assert_eq!(Value::Array(ids), expected, "{query}");
    }
}

#[tokio::test]
async fn a_service_account_is_deleted_once_its_key_is_revoked() {
    let service = with_accounts().await;
    let key = service.post("/v1/keys", json!({ "service_account": "ci", "scopes": [] })).await.created();
    assert_eq!(service.get("/v1/service-accounts/ci").await.ok()["key"], key["id"]);
    service.delete("/v1/service-accounts/ci").await.refused(409, "service_account_has_key");
    service.post(&format!("/v1/keys/{}/revoke", text(&key, "id")), json!({})).await.ok();
    assert_eq!(service.get("/v1/service-accounts/ci").await.ok()["key"], Value::Null);
    service.delete("/v1/teams/acme").await.refused(409, "team_has_service_accounts");
    assert_eq!(service.delete("/v1/service-accounts/ci").await.status, 204);
    service.get("/v1/service-accounts/ci").await.refused(404, "unknown_service_account");
    assert_eq!(service.delete("/v1/teams/acme").await.status, 204);
}
