//! Users over the admin API.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Service, answer, text};

async fn with_user() -> Service {
    let service = Service::start().await;
    service.team("acme").await;
    service.user("ann", "acme").await;
    service
}

#[tokio::test]
async fn a_user_is_made_shown_and_changed() {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({ "id": "ann", "team": "acme", "name": "Ann", "permissions": ["write", "read", "read"] });
    let made = service.post("/v1/users", body).await.created();
    let expected = json!({
        "id": "ann", "team": "acme", "name": "Ann", "state": "active", "permissions": ["read", "write"],
        "has_password": false, "revision": 2, "replayed": false, "created_at": made["created_at"],
    });
    assert_eq!(made, expected);
    let changes = json!({ "name": "Ann B", "state": "disabled", "permissions": ["read"] });
    let changed = service.patch("/v1/users/ann", changes.clone()).await.ok();
    for (field, value) in changes.as_object().unwrap() {
        assert_eq!(&changed[field], value);
    }
    assert_eq!(changed["revision"], 3);
    assert_eq!(service.get("/v1/users/ann").await.ok(), changed);
    assert_eq!(service.patch("/v1/users/ann", changes).await.ok()["revision"], 3, "the same again changes nothing");
}

#[tokio::test]
async fn a_second_user_of_the_same_id_is_refused() {
    let service = with_user().await;
    let again = service.post("/v1/users", json!({ "id": "ann", "team": "acme", "permissions": [] })).await;
    again.refused(409, "user_exists");
    assert_eq!(again.body["field"], "id");
}

#[tokio::test]
async fn a_user_of_an_unknown_team_is_refused() {
    let service = Service::start().await;
    let refused = service.post("/v1/users", json!({ "id": "ann", "team": "nobody", "permissions": [] })).await;
    refused.refused(422, "unknown_team");
    assert_eq!(refused.body["field"], "team");
    service.get("/v1/users/ann").await.refused(404, "unknown_user");
}

#[tokio::test]
async fn users_are_listed_by_team_and_state() {
    let service = with_user().await;
    service.team("globex").await;
    service.user("bob", "acme").await;
    service.user("cid", "globex").await;
    service.patch("/v1/users/bob", json!({ "state": "disabled" })).await.ok();
    for (query, expected) in [
        ("", json!(["ann", "bob", "cid"])),
        ("?team=acme", json!(["ann", "bob"])),
        ("?team=acme&state=active", json!(["ann"])),
        ("?after=ann&limit=1", json!(["bob"])),
        ("?team=nobody", json!([])),
    ] {
        let page = service.get(&format!("/v1/users{query}")).await.ok();
        let ids: Vec<_> = page["users"].as_array().unwrap().iter().map(|user| user["id"].clone()).collect();
        assert_eq!(Value::Array(ids), expected, "{query}");
    }
}

#[tokio::test]
async fn a_password_is_set_and_taken_away_and_never_shown() {
    let service = with_user().await;
    let put = |body: Value| answer(service.admin(Method::PUT, "/v1/users/ann/password").json(&body));
    let password = "correct horse battery";
    assert_eq!(put(json!({ "password": password })).await.status, 204);
    let shown = service.get("/v1/users/ann").await.ok();
    assert_eq!(shown["has_password"], true);
    assert!(!shown.to_string().contains("argon2"), "{shown}");
    assert!(!service.get("/v1/audit").await.ok().to_string().contains("horse"));
    assert!(!service.log().contains("horse"));
    assert_eq!(put(json!({ "password": null })).await.status, 204);
    assert_eq!(service.get("/v1/users/ann").await.ok()["has_password"], false);
    answer(service.admin(Method::PUT, "/v1/users/nobody/password").json(&json!({ "password": password })))
        .await
        .refused(404, "unknown_user");
}

#[tokio::test]
async fn a_user_is_deleted_with_all_keys() {
    let service = with_user().await;
    let key = service.post("/v1/keys", json!({ "user": "ann" })).await.created();
    service.delete("/v1/teams/acme").await.refused(409, "team_has_keys");
    assert_eq!(service.delete("/v1/users/ann").await.status, 204);
    service.get("/v1/users/ann").await.refused(404, "unknown_user");
    service.get(&format!("/v1/keys/{}", text(&key, "id"))).await.refused(404, "unknown_key");
    assert_eq!(service.delete("/v1/teams/acme").await.status, 204);
}

#[tokio::test]
async fn a_team_with_users_is_not_deleted() {
    let service = with_user().await;
    service.delete("/v1/teams/acme").await.refused(409, "team_has_users");
}
