//! Requests that are sent again because nobody knows whether they arrived.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Service, answer, text};

async fn create(service: &Service, path: &str, key: &str, body: &Value) -> Answer {
    answer(service.admin(Method::POST, path).header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_repeated_request_makes_one_team() {
    let service = Service::start().await;
    let body = json!({ "id": "acme" });
    let first = create(&service, "/v1/teams", "a", &body).await;
    assert_eq!(first.headers.get("idempotency-replayed"), None);
    let again = create(&service, "/v1/teams", "a", &body).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let mut expected = first.created();
    expected["replayed"] = json!(true);
    assert_eq!(again.created(), expected);
}

#[tokio::test]
async fn a_repeated_request_makes_one_key_and_does_not_show_it_again() {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({ "team": "acme", "scopes": ["read"] });
    let mut first = create(&service, "/v1/keys", "a", &body).await.created();
    let again = create(&service, "/v1/keys", "a", &body).await.created();
    first.as_object_mut().unwrap().remove("key").unwrap();
    first["replayed"] = json!(true);
    assert_eq!(again, first);
    assert_eq!(service.get("/v1/keys").await.ok()["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_idempotency_key_for_another_request_is_refused() {
    let service = Service::start().await;
    service.team("acme").await;
    create(&service, "/v1/keys", "a", &json!({ "team": "acme", "scopes": ["read"] })).await.created();
    let other = create(&service, "/v1/keys", "a", &json!({ "team": "acme", "scopes": ["write"] })).await;
    other.refused(422, "idempotency_key_reused");
    // Teams and keys do not share their idempotency keys.
    create(&service, "/v1/teams", "a", &json!({ "id": "globex" })).await.created();
}

#[tokio::test]
async fn a_request_that_was_refused_can_be_sent_again() {
    let service = Service::start().await;
    let body = json!({ "team": "acme", "scopes": ["read"] });
    create(&service, "/v1/keys", "a", &body).await.refused(422, "unknown_team");
    service.team("acme").await;
    assert_eq!(create(&service, "/v1/keys", "a", &body).await.created()["replayed"], false);
}

#[tokio::test]
async fn a_repeated_request_for_what_was_deleted_says_so() {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({ "team": "acme", "scopes": ["read"] });
    let made = create(&service, "/v1/keys", "a", &body).await.created();
    service.delete(&format!("/v1/keys/{}", text(&made, "id"))).await;
    create(&service, "/v1/keys", "a", &body).await.refused(409, "made_and_deleted");
}

#[tokio::test]
async fn requests_sent_at_the_same_time_make_one_key() {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({ "team": "acme", "scopes": ["read"] });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let request = service.admin(Method::POST, "/v1/keys").header("idempotency-key", "same").json(&body);
        tasks.spawn(answer(request));
    }
    let made: Vec<Value> = tasks.join_all().await.into_iter().map(Answer::created).collect();
    assert_eq!(made.iter().filter(|answer| answer.get("key").is_some()).count(), 1);
    assert!(made.iter().all(|answer| answer["id"] == made[0]["id"]));
    assert_eq!(service.revision().await, 2);
}

#[tokio::test]
async fn an_idempotency_key_that_is_none_is_refused() {
    let service = Service::start().await;
    let body = json!({ "id": "acme" });
    for key in ["", "a b", &"x".repeat(256)] {
        let refused = create(&service, "/v1/teams", key, &body).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "idempotency-key");
    }
    let twice = service.admin(Method::POST, "/v1/teams").header("idempotency-key", "a").header("idempotency-key", "b");
    answer(twice.json(&body)).await.refused(400, "invalid_field");
}
