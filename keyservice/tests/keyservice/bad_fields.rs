//! Every field of enterprises, users, service accounts and keys, with values that it cannot have: the field is named.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Service, answer, text};

#[track_caller]
fn names_field(answer: &Answer, field: &str, request: &Value) {
    assert!(answer.status.is_client_error(), "{request}: {} {}", answer.status, answer.body);
    assert_eq!(answer.body["field"], field, "{request}: {}", answer.body);
}

/// Sends `whole` with one field after the other replaced.
async fn each_is_named(service: &Service, method: Method, path: &str, whole: &Value, wrong: &[(&str, Value)]) {
    for (field, value) in wrong {
        let mut body = whole.clone();
        let top = field.split(['[', '.']).next().unwrap();
        body[top] = value.clone();
        names_field(&answer(service.admin(method.clone(), path).json(&body)).await, field, &body);
    }
}

fn bad_ids(field: &'static str) -> Vec<(&'static str, Value)> {
    [json!(null), json!(7), json!(""), json!("a/b"), json!("."), json!("a\u{0}"), json!("ü"), json!("x".repeat(65))]
        .into_iter()
        .map(|value| (field, value))
        .collect()
}

fn bad_names() -> Vec<(&'static str, Value)> {
    [json!(7), json!(""), json!("a\nb"), json!("a\u{202e}b"), json!("x".repeat(129)), json!(["a"])]
        .into_iter()
        .map(|value| ("name", value))
        .collect()
}

fn bad_scopes(field: &'static str) -> Vec<(&'static str, Value)> {
    let many: Vec<_> = (0..33).map(|number| number.to_string()).collect();
    [json!("read"), json!(["a b"]), json!([""]), json!(["\u{7f}"]), json!(many), json!({})]
        .into_iter()
        .map(|value| (field, value))
        .collect()
}

fn bad_times(field: &'static str) -> Vec<(&'static str, Value)> {
    [
        json!("soon"),
        json!(1_900_000_000),
        json!("1969-12-31T23:59:59Z"),
        json!("10000-01-01T00:00:00Z"),
        json!("2030-02-30T00:00:00Z"),
        json!("2030-01-01T00:00:00Z[UTC]"),
        json!("99999999999999-01-01T00:00:00Z"),
        json!(1e300),
    ]
    .into_iter()
    .map(|value| (field, value))
    .collect()
}

#[tokio::test]
async fn every_wrong_field_of_an_enterprise_is_named() {
    let service = Service::start().await;
    let mut wrong = bad_ids("id");
    wrong.extend(bad_names());
    wrong.extend([
        ("state", json!("gone")),
        ("quota", json!(300)),
        ("quota.limit", json!({ "limit": 0, "window_seconds": 1 })),
        ("quota.window_seconds", json!({ "limit": 1, "window_seconds": -1 })),
        ("teams", json!([])),
    ]);
    each_is_named(&service, Method::POST, "/v1/enterprises", &json!({ "id": "umbrella" }), &wrong).await;
    service.enterprise("umbrella").await;
    let mut wrong = bad_names();
    wrong.extend([("name", json!(null)), ("state", json!(null)), ("quota", json!([1, 1])), ("id", json!("other"))]);
    each_is_named(&service, Method::PATCH, "/v1/enterprises/umbrella", &json!({}), &wrong).await;
    assert_eq!(service.revision().await, 1);
}

#[tokio::test]
async fn every_wrong_new_field_of_a_team_is_named() {
    let service = Service::start().await;
    let many: Vec<_> = (0..65).map(|number| format!("h{number}.example")).collect();
    let hosts = [
        ("hosts", json!("a.example")),
        ("hosts", json!(many)),
        ("hosts[0]", json!([7])),
        ("hosts[1]", json!(["a.example", "b.example:80"])),
        ("hosts[0]", json!(["https://a.example"])),
        ("hosts[0]", json!([""])),
        ("hosts[0]", json!(["a b"])),
        ("hosts[0]", json!(["a\u{0}.example"])),
        ("hosts[0]", json!(["ü.example"])),
        ("revoke_sessions", json!("yes")),
        ("revoke_sessions", json!(1)),
    ];
    each_is_named(&service, Method::POST, "/v1/teams", &json!({ "id": "acme" }), &hosts).await;
    each_is_named(&service, Method::POST, "/v1/teams", &json!({ "id": "acme" }), &bad_ids("enterprise")[1..]).await;
    service.team("acme").await;
    each_is_named(&service, Method::PATCH, "/v1/teams/acme", &json!({}), &hosts).await;
    let null = [("hosts", json!(null)), ("revoke_sessions", json!(null))];
    each_is_named(&service, Method::PATCH, "/v1/teams/acme", &json!({}), &null).await;
    assert_eq!(service.revision().await, 1);
}

#[tokio::test]
async fn every_wrong_field_of_a_user_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    let whole = json!({ "id": "ann", "team": "acme", "permissions": [] });
    let mut wrong = bad_ids("id");
    wrong.extend(bad_ids("team"));
    wrong.extend(bad_names());
    wrong.extend(bad_scopes("permissions"));
    wrong.extend([
        ("team", json!("nobody")),
        ("permissions", json!(null)),
        ("permissions", json!(["*"])),
        ("state", json!("Active")),
        ("password", json!("correct horse")),
    ]);
    each_is_named(&service, Method::POST, "/v1/users", &whole, &wrong).await;
    service.user("ann", "acme").await;
    let mut wrong = bad_names();
    wrong.extend(bad_scopes("permissions"));
    wrong.extend([
        ("permissions", json!(null)),
        ("state", json!(null)),
        ("team", json!("acme")),
        ("name", json!(null)),
    ]);
    each_is_named(&service, Method::PATCH, "/v1/users/ann", &json!({}), &wrong).await;
    let wrong = [
        ("password", json!("seven77")),
        ("password", json!("x".repeat(1025))),
        ("password", json!(12_345_678)),
        ("password", json!(["correct horse"])),
        ("username", json!("ann")),
    ];
    each_is_named(&service, Method::PUT, "/v1/users/ann/password", &json!({}), &wrong).await;
    let missing = answer(service.admin(Method::PUT, "/v1/users/ann/password").json(&json!({}))).await;
    names_field(&missing, "password", &json!({}));
    assert_eq!(service.revision().await, 2);
}

#[tokio::test]
async fn every_wrong_field_of_a_service_account_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    service.enterprise("umbrella").await;
    let whole = json!({ "id": "ci", "team": "acme" });
    let mut wrong = bad_ids("id");
    wrong.extend(bad_ids("team"));
    wrong.extend(bad_names());
    wrong.extend([("enterprise", json!("umbrella")), ("key", json!("x"))]);
    each_is_named(&service, Method::POST, "/v1/service-accounts", &whole, &wrong).await;
    each_is_named(&service, Method::POST, "/v1/service-accounts", &json!({ "id": "ci" }), &bad_ids("enterprise")[1..])
        .await;
    service.account(whole).await;
    let wrong = [("name", json!(null)), ("team", json!("acme")), ("id", json!("other"))];
    each_is_named(&service, Method::PATCH, "/v1/service-accounts/ci", &json!({}), &wrong).await;
    service.get("/v1/service-accounts/other").await.refused(404, "unknown_service_account");
}

#[tokio::test]
async fn every_wrong_new_field_of_a_key_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    let whole = json!({ "team": "acme", "scopes": ["read"] });
    let mut wrong = bad_times("expires");
    wrong.extend(bad_times("not_before"));
    wrong.extend(bad_scopes("scopes"));
    wrong.extend([
        ("kind", json!("session")),
        ("kind", json!(1)),
        ("user", json!(7)),
        ("service_account", json!([])),
        ("origin", json!("acme.example")),
        ("origin", json!({})),
        ("origin", json!({ "domain": "acme.example", "webhook_url": "https://acme.example/webhook" })),
        ("origin.domain", json!({ "domain": "acme.example/api" })),
        ("origin.domain", json!({ "domain": "a b" })),
        ("origin.domain", json!({ "domain": 7 })),
        ("origin.webhook_url", json!({ "webhook_url": "https://acme.example/api" })),
        ("origin.webhook_url", json!({ "webhook_url": "" })),
        ("origin.host", json!({ "host": "acme.example" })),
        ("compromised", json!(true)),
    ]);
    each_is_named(&service, Method::POST, "/v1/keys", &whole, &wrong).await;
    let both = json!({ "user": "ann", "service_account": "ci", "scopes": [] });
    names_field(&service.post("/v1/keys", both.clone()).await, "service_account", &both);
    let path = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    let mut wrong = bad_times("expires");
    wrong.extend(bad_scopes("scopes"));
    wrong.extend([("origin", json!({})), ("origin", json!([])), ("kind", json!("personal")), ("user", json!("ann"))]);
    each_is_named(&service, Method::PATCH, &path, &json!({}), &wrong).await;
    let wrong = [
        ("reason", json!("")),
        ("reason", json!("a\u{0}b")),
        ("reason", json!(7)),
        ("compromised", json!("yes")),
        ("compromised", json!(1)),
        ("sessions", json!(true)),
    ];
    each_is_named(&service, Method::POST, &format!("{path}/revoke"), &json!({}), &wrong).await;
    let mut wrong = bad_times("expires");
    wrong.extend([
        ("overlap_seconds", json!(-1)),
        ("overlap_seconds", json!(2_592_001)),
        ("overlap_seconds", json!(1.5)),
        ("overlap_seconds", json!("60")),
        ("overlap_seconds", json!(u64::MAX)),
        ("scopes", json!([])),
    ]);
    each_is_named(&service, Method::POST, &format!("{path}/rotate"), &json!({}), &wrong).await;
    assert_eq!(service.revision().await, 2);
}

#[tokio::test]
async fn every_wrong_parameter_of_a_list_is_named() {
    let service = Service::start().await;
    for (path, field) in [
        ("/v1/enterprises?state=gone", "state"),
        ("/v1/enterprises?team=acme", "team"),
        ("/v1/teams?enterprise=a/b", "enterprise"),
        ("/v1/teams?state=revoked", "state"),
        ("/v1/users?team=%00", "team"),
        ("/v1/users?after=", "after"),
        ("/v1/users?state=", "state"),
        ("/v1/service-accounts?enterprise=%ff", "enterprise"),
        ("/v1/service-accounts?limit=0", "limit"),
        ("/v1/keys?kind=session", "kind"),
        ("/v1/keys?user=a%20b", "user"),
        ("/v1/keys?service_account=", "service_account"),
        ("/v1/keys?enterprise=..", "enterprise"),
        ("/v1/audit?after=-1", "after"),
        ("/v1/audit?after=1e3", "after"),
        ("/v1/audit?after=9223372036854775808", "after"),
        ("/v1/audit?since=yesterday", "since"),
        ("/v1/audit?until=1700000000", "until"),
        ("/v1/audit?actor=%0a", "actor"),
        ("/v1/audit?action=KEY", "action"),
        ("/v1/audit?resource=%20", "resource"),
        ("/v1/audit?team=a/b", "team"),
        ("/v1/audit?limit=1001", "limit"),
        ("/v1/audit?colour=red", "colour"),
    ] {
        names_field(&service.get(path).await, field, &json!(path));
    }
}
