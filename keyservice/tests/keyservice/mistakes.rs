//! Whatever a client does wrong: a problem that names it, never an error of the service's own.

use keyservice::api::DOCUMENT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, NODE_TOKEN, Service, answer, node_token, text};

#[track_caller]
fn names_field(answer: &Answer, field: &str, request: &Value) {
    assert!(answer.status.is_client_error(), "{request}: {} {}", answer.status, answer.body);
    assert_eq!(answer.body["field"], field, "{request}: {}", answer.body);
    assert!(text(&answer.body, "detail").len() > field.len());
}

#[tokio::test]
async fn every_wrong_field_of_a_new_team_is_named() {
    let service = Service::start().await;
    for (body, field) in [
        (json!({}), "id"),
        (json!({ "id": null }), "id"),
        (json!({ "id": 7 }), "id"),
        (json!({ "id": "a/b" }), "id"),
        (json!({ "id": "" }), "id"),
        (json!({ "id": "x".repeat(65) }), "id"),
        (json!({ "id": "a", "name": "" }), "name"),
        (json!({ "id": "a", "name": "a\nb" }), "name"),
        (json!({ "id": "a", "state": "revoked" }), "state"),
        (json!({ "id": "a", "quota": {} }), "quota.limit"),
        (json!({ "id": "a", "quota": [300, 300] }), "quota"),
        (json!({ "id": "a", "quota": { "limit": 1 } }), "quota.window_seconds"),
        (json!({ "id": "a", "quota": { "limit": 0, "window_seconds": 1 } }), "quota.limit"),
        (json!({ "id": "a", "quota": { "limit": -1, "window_seconds": 1 } }), "quota.limit"),
        (json!({ "id": "a", "quota": { "limit": 1.5, "window_seconds": 1 } }), "quota.limit"),
        (json!({ "id": "a", "quota": { "limit": 4_294_967_296_u64, "window_seconds": 1 } }), "quota.limit"),
        (json!({ "id": "a", "quota": { "limit": 1, "window_seconds": 2_678_401 } }), "quota.window_seconds"),
        (json!({ "id": "a", "quota": { "limit": 1, "window_seconds": 1, "burst": 1 } }), "quota.burst"),
        (json!({ "id": "a", "colour": "red" }), "colour"),
    ] {
        names_field(&service.post("/v1/teams", body.clone()).await, field, &body);
    }
    assert_eq!(service.revision().await, 0);
}

#[tokio::test]
async fn every_wrong_field_of_a_new_key_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    for (field, value) in [
        ("kind", json!("personal")),
        ("team", json!(null)),
        ("team", json!("nobody")),
        ("team", json!("a b")),
        ("name", json!("\u{7}")),
        ("subject", json!("ü")),
        ("subject", json!(" x")),
        ("scopes", json!(null)),
        ("scopes", json!("read")),
        ("scopes", json!(["read write"])),
        ("scopes", json!(["\""])),
        ("scopes", json!((0..33).map(|number| number.to_string()).collect::<Vec<_>>())),
        ("scopes[1]", json!(["read", 7])),
        ("state", json!("revoked")),
        ("state", json!("Active")),
        ("not_before", json!("tomorrow")),
        ("expires", json!(1_900_000_000)),
        ("expires", json!("1969-12-31T23:59:59Z")),
        ("expires", json!("10000-01-01T00:00:00Z")),
        ("id", json!("mine")),
        ("key", json!("tk_live_app_x")),
    ] {
        let mut body = json!({ "team": "acme", "scopes": ["read"] });
        body[field.split('[').next().unwrap()] = value;
        names_field(&service.post("/v1/keys", body.clone()).await, field, &body);
    }
    let dates = json!({ "team": "acme", "scopes": [], "not_before": "2030-01-01T00:00:00Z", "expires": "2030-01-01T00:00:00Z" });
    names_field(&service.post("/v1/keys", dates.clone()).await, "expires", &dates);
    assert_eq!(service.revision().await, 1);
}

#[tokio::test]
async fn every_wrong_field_of_a_change_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    for (path, body, field) in [
        ("/v1/teams/acme", json!({ "id": "other" }), "id"),
        ("/v1/teams/acme", json!({ "name": "" }), "name"),
        ("/v1/teams/acme", json!({ "name": null }), "name"),
        ("/v1/teams/acme", json!({ "state": null }), "state"),
        (&key, json!({ "scopes": null }), "scopes"),
        (&key, json!({ "state": null }), "state"),
        ("/v1/teams/acme", json!({ "state": "gone" }), "state"),
        ("/v1/teams/acme", json!({ "quota": { "limit": 1 } }), "quota.window_seconds"),
        (&key, json!({ "team": "globex" }), "team"),
        (&key, json!({ "state": "revoked" }), "state"),
        (&key, json!({ "name": 1 }), "name"),
        (&key, json!({ "scopes": ["a b"] }), "scopes"),
        (&key, json!({ "expires": "never" }), "expires"),
        (&key, json!({ "not_before": "2030-01-01T00:00:00Z", "expires": "2029-01-01T00:00:00Z" }), "expires"),
    ] {
        names_field(&service.patch(path, body.clone()).await, field, &body);
    }
    let reason = json!({ "reason": "x".repeat(257) });
    names_field(&service.post(&format!("{key}/revoke"), reason.clone()).await, "reason", &reason);
    assert_eq!(service.revision().await, 2);
}

#[tokio::test]
async fn every_wrong_parameter_of_a_query_is_named() {
    let service = Service::start().await;
    let wrong = [
        ("/v1/teams?limit=0", "limit"),
        ("/v1/teams?limit=1001", "limit"),
        ("/v1/teams?limit=ten", "limit"),
        ("/v1/teams?limit=1&limit=2", "limit"),
        ("/v1/teams?after=a/b", "after"),
        ("/v1/teams?team=acme", "team"),
        ("/v1/keys?state=gone", "state"),
        ("/v1/keys?team=", "team"),
        ("/v1/keys?after=%00", "after"),
    ];
    for (path, field) in wrong {
        names_field(&service.get(path).await, field, &json!(path));
    }
    let wrong = [
        ("/node/v1/snapshot", "nonce"),
        ("/node/v1/snapshot?nonce=-1", "nonce"),
        ("/node/v1/snapshot?nonce=1&after=00", "after"),
        ("/node/v1/snapshot?nonce=1&wait=1", "wait"),
        ("/node/v1/changes?nonce=1", "after"),
        ("/node/v1/changes?nonce=1&after=+1", "after"),
        ("/node/v1/changes?nonce=1&after=18446744073709551616", "after"),
        ("/node/v1/changes?nonce=1&after=0&wait=x", "wait"),
    ];
    for (path, field) in wrong {
        names_field(&answer(service.node(Method::GET, path)).await, field, &json!(path));
    }
}

#[tokio::test]
async fn a_value_that_is_no_utf_8_is_refused_by_the_name_of_its_parameter() {
    let service = Service::start().await;
    for (path, field) in [
        ("/v1/audit?actor=%ff", "actor"),
        ("/v1/audit?limit=1&action=a%c3", "action"),
        ("/v1/teams?after=%80", "after"),
        ("/v1/teams?bogus=%ff", "bogus"),
        ("/v1/teams?%ff=1", "query"),
    ] {
        let refused = service.get(path).await;
        refused.refused(400, "invalid_field");
        names_field(&refused, field, &json!(path));
    }
    assert_eq!(service.get("/v1/audit?actor=%C3%BC+a").await.ok()["entries"], json!([]));
}

#[tokio::test]
async fn a_parameter_that_an_endpoint_does_not_have_is_refused_everywhere() {
    let service = Service::start().await;
    let mut asked = 0;
    for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let path = format!("{}?bogus=1", path.replace("{id}", "t1").replace("{node}", "n1"));
            let refused = answer(service.admin(method.clone(), &path)).await;
            refused.refused(400, "invalid_field");
            names_field(&refused, "bogus", &json!(format!("{method} {path}")));
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
}

#[tokio::test]
async fn a_field_that_stands_there_twice_is_named() {
    let service = Service::start().await;
    service.team("acme").await;
    let digest = "0".repeat(64);
    for (path, body, field) in [
        ("/auth/login", r#"{"api_key":"a","api_key":"b"}"#.to_owned(), "api_key"),
        ("/v1/teams", r#"{"id":"a","id":"b"}"#.to_owned(), "id"),
        ("/v1/teams", r#"{"id":"a","quota":{"limit":1,"window_seconds":1,"limit":2}}"#.to_owned(), "quota.limit"),
        (
            "/v1/keys/import",
            format!(r#"{{"keys":[{{"team":"acme","digest":"{digest}","digest":"{digest}","scopes":[]}}]}}"#),
            "keys[0].digest",
        ),
    ] {
        let request = service.admin(Method::POST, path).header("content-type", "application/json").body(body.clone());
        let refused = answer(request).await;
        refused.refused(400, "invalid_field");
        names_field(&refused, field, &json!(body));
        assert_eq!(text(&refused.body, "detail"), format!("{field}: stands there twice"));
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let service = Service::start().await;
    for body in
        ["", "{", "null", "[]", "[\"acme\"]", "\"acme\"", "{\"id\":\"acme\"} x", "{\"id\":\"a\",\"id\":\"b\"}", "\u{0}"]
    {
        let request = service.admin(Method::POST, "/v1/teams").header("content-type", "application/json");
        let refused = answer(request.body(body)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body:?}: {}", refused.body);
        assert_eq!(refused.headers["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_body_of_another_type_or_too_long_is_refused() {
    let service = Service::start().await;
    let request = || service.admin(Method::POST, "/v1/teams");
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let typed = request().header("content-type", kind).body("{\"id\":\"acme\"}");
        answer(typed).await.refused(415, "unsupported_media_type");
    }
    let named = request().header("content-type", "Application/JSON; charset=utf-8").body("{\"id\":\"acme\"}");
    assert_eq!(answer(named).await.status, StatusCode::CREATED);
    let long = json!({ "id": "x".repeat(70_000) });
    answer(request().json(&long)).await.refused(413, "body_too_large");
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_told_apart() {
    let service = Service::start().await;
    service.get("/v1/nothing").await.refused(404, "unknown_route");
    service.get("/v1/teams/").await.refused(404, "unknown_route");
    service.get("/").await.refused(404, "unknown_route");
    answer(service.node(Method::GET, "/node/v1/nothing")).await.refused(404, "unknown_route");
    service.delete("/v1/teams").await.refused(405, "method_not_allowed");
    answer(service.node(Method::GET, "/node/v1/ledger")).await.refused(405, "method_not_allowed");
    answer(service.bare(Method::POST, "/healthz")).await.refused(405, "method_not_allowed");
    service.get("/v1/teams/nobody").await.refused(404, "unknown_team");
    service.get("/v1/teams/a%20b").await.refused(404, "unknown_team");
    service.get("/v1/keys/nothing").await.refused(404, "unknown_key");
    service.get("/v1/keys/%ff").await.refused(404, "unknown_route");
    service.post("/v1/keys/nothing/revoke", json!({})).await.refused(404, "unknown_key");
}

#[tokio::test]
async fn each_api_opens_with_its_own_token_only() {
    let service = Service::start().await;
    let node = node_token();
    for (path, own, other) in [
        ("/v1/teams", ADMIN_TOKEN, node.shown()),
        ("/v1/nothing", ADMIN_TOKEN, node.shown()),
        ("/node/v1/snapshot?nonce=1", node.shown(), ADMIN_TOKEN),
        ("/node/v1/nothing", node.shown(), ADMIN_TOKEN),
    ] {
        let request = || service.bare(Method::GET, path);
        let bare = answer(request()).await;
        bare.refused(401, "missing_token");
        assert_eq!(bare.headers["www-authenticate"], "Bearer realm=\"keyservice\"");
        answer(request().bearer_auth(other)).await.refused(401, "wrong_token");
        answer(request().bearer_auth(format!("{own}x"))).await.refused(401, "wrong_token");
        answer(request().bearer_auth("")).await.refused(401, "missing_token");
        answer(request().header("authorization", own)).await.refused(401, "missing_token");
        answer(request().header("authorization", format!("Basic {own}"))).await.refused(401, "missing_token");
        answer(request().bearer_auth(own).header("authorization", "Bearer x")).await.refused(401, "missing_token");
        let right = request().header("authorization", format!("bearer {own}")).send().await.unwrap();
        assert_ne!(right.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn the_node_token_itself_opens_nothing() {
    let service = Service::start().await;
    for (method, path) in [
        (Method::GET, "/node/v1/snapshot?nonce=1"),
        (Method::GET, "/node/v1/changes?after=0&nonce=1"),
        (Method::POST, "/node/v1/ledger"),
        (Method::POST, "/node/v1/leases"),
        (Method::GET, "/v1/teams"),
    ] {
        answer(service.bare(method, path).bearer_auth(NODE_TOKEN)).await.refused(401, "wrong_token");
    }
}
