//! Every endpoint that takes a body, with every sort of bad body: refused with its field, and nothing half-written.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Service, answer, text};

/// Every endpoint that takes JSON, and the longest body that it reads.
async fn endpoints(service: &Service) -> Vec<(Method, String, usize)> {
    service.enterprise("umbrella").await;
    service.team("acme").await;
    service.user("ann", "acme").await;
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    let key = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    let (most, import) = (64 * 1024, 4 * 1024 * 1024);
    vec![
        (Method::POST, "/v1/enterprises".into(), most),
        (Method::PATCH, "/v1/enterprises/umbrella".into(), most),
        (Method::POST, "/v1/teams".into(), most),
        (Method::PATCH, "/v1/teams/acme".into(), most),
        (Method::POST, "/v1/users".into(), most),
        (Method::PATCH, "/v1/users/ann".into(), most),
        (Method::PUT, "/v1/users/ann/password".into(), most),
        (Method::POST, "/v1/service-accounts".into(), most),
        (Method::PATCH, "/v1/service-accounts/ci".into(), most),
        (Method::POST, "/v1/keys".into(), most),
        (Method::PATCH, key.clone(), most),
        (Method::POST, format!("{key}/revoke"), most),
        (Method::POST, format!("{key}/rotate"), most),
        (Method::POST, "/v1/keys/import".into(), import),
    ]
}

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
    assert!(answer.body["field"].is_string(), "{what}: {}", answer.body);
    assert!(answer.body.to_string().len() < 2000, "{what}: the answer is as long as the mistake");
}

async fn nothing_was_written(service: &Service, before: &(u64, Value)) {
    let after = (service.revision().await, service.get("/v1/audit").await.ok());
    assert_eq!(&after, before);
}

async fn state(service: &Service) -> (u64, Value) {
    (service.revision().await, service.get("/v1/audit").await.ok())
}

#[tokio::test]
async fn a_body_that_is_no_object_of_known_fields_is_refused_everywhere() {
    let service = Service::start().await;
    let endpoints = endpoints(&service).await;
    let before = state(&service).await;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let bodies: [&[u8]; 14] = [
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\"text\"",
        b"{\"name\":\"a\"} x",
        b"{\"name\":\"a\",\"name\":\"b\"}",
        b"{\"name\":\"\xff\xfe\"}",
        b"{\"name\":\"\\ud800\"}",
        b"\x00",
        b"\xef\xbb\xbf{}",
        b"{\"colour\":\"red\"}",
        b"{'name':'a'}",
        deep.as_bytes(),
    ];
    for (method, path, _) in &endpoints {
        for body in bodies {
            let what = format!("{method} {path} {}", String::from_utf8_lossy(&body[..body.len().min(60)]));
            let request = service.admin(method.clone(), path).header("content-type", "application/json");
            is_refused(&answer(request.body(body.to_vec())).await, &what);
        }
        let nested = format!("{{\"name\":{deep}}}");
        let request = service.admin(method.clone(), path).header("content-type", "application/json");
        is_refused(&answer(request.body(nested)).await, &format!("{method} {path} deep"));
    }
    nothing_was_written(&service, &before).await;
}

#[tokio::test]
async fn a_body_that_is_too_long_or_of_another_type_is_refused_everywhere() {
    let service = Service::start().await;
    let endpoints = endpoints(&service).await;
    let before = state(&service).await;
    for (method, path, most) in endpoints {
        let request = || service.admin(method.clone(), &path);
        let long = answer(request().header("content-type", "application/json").body(vec![b' '; most + 1])).await;
        long.refused(413, "body_too_large");
        is_refused(&long, &path);
        let name = format!("{{\"{}\":1}}", "x".repeat(most / 2));
        is_refused(&answer(request().header("content-type", "application/json").body(name)).await, &path);
        for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json"] {
            let typed = answer(request().header("content-type", kind).body("{\"name\":\"a\"}")).await;
            typed.refused(415, "unsupported_media_type");
        }
    }
    nothing_was_written(&service, &before).await;
}

#[tokio::test]
async fn a_header_that_names_the_actor_badly_is_refused() {
    let service = Service::start().await;
    for value in ["", " ", "a\u{200b}b", &"x".repeat(129)] {
        let request = service.admin(Method::POST, "/v1/teams").header("x-tollkeeper-actor", value);
        let refused = answer(request.json(&json!({ "id": "acme" }))).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "x-tollkeeper-actor", "{value:?}");
    }
    let bytes = reqwest::header::HeaderValue::from_bytes(b"\xff\xfe").unwrap();
    let request = service.admin(Method::POST, "/v1/teams").header("x-tollkeeper-actor", bytes);
    answer(request.json(&json!({ "id": "acme" }))).await.refused(400, "invalid_field");
    let twice = service.admin(Method::POST, "/v1/teams").header("x-tollkeeper-actor", "a");
    let twice = answer(twice.header("x-tollkeeper-actor", "b").json(&json!({ "id": "acme" }))).await;
    twice.refused(400, "invalid_field");
    service.get("/v1/teams/acme").await.refused(404, "unknown_team");
}

#[tokio::test]
async fn an_id_in_a_path_that_cannot_be_one_is_the_id_of_nothing() {
    let service = Service::start().await;
    for (folder, reason) in [
        ("enterprises", "unknown_enterprise"),
        ("teams", "unknown_team"),
        ("users", "unknown_user"),
        ("service-accounts", "unknown_service_account"),
        ("keys", "unknown_key"),
    ] {
        for id in ["a%20b", "a%00", "%0a", "%e2%80%ae", "nobody", &"x".repeat(2000)] {
            let path = format!("/v1/{folder}/{id}");
            service.get(&path).await.refused(404, reason);
            service.patch(&path, json!({})).await.refused(404, reason);
            service.delete(&path).await.refused(404, reason);
        }
        service.get(&format!("/v1/{folder}/%ff")).await.refused(404, "unknown_route");
    }
}
