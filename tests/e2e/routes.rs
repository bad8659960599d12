//! What a route says about the requests under its path.

use reqwest::Method;
use serde_json::json;

use crate::scene::{self, Style};

#[tokio::test]
async fn the_team_in_the_path_must_be_the_keys_byte_for_byte() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    for path in ["/api/acme", "/api/acme/", "/api/acme/a/b?team=globex", "/api/acme?x"] {
        scene::get(&edge, path, &key).await.is_granted();
    }
    for path in ["/api/globex/", "/api/ACME/", "/api/acme2/", "/api/acm/", "/api/acme%20/"] {
        scene::get(&edge, path, &key).await.is_refused(403, "team_mismatch");
    }
}

#[tokio::test]
async fn a_path_without_a_team_takes_a_key_of_any_team() {
    let edge = scene::edge_with(json!({ "unmatched": "authenticate" })).await;
    for team in ["acme", "globex"] {
        let key = edge.key(team, &["read"]).await;
        let outcome = scene::get(&edge, "/shared/report", &key).await;
        outcome.is_granted();
        assert_eq!(outcome.upstream_headers("x-auth-team"), [team]);
    }
    scene::send(&edge, edge.get("/shared/report")).await.is_refused(401, "missing_credential");
}

#[tokio::test]
async fn a_routes_scopes_replace_those_of_the_method() {
    let routes = json!([
        { "path": "/reports/...", "scopes": ["reports:read", "reports:list"] },
        { "path": "/anyone", "scopes": [] }
    ]);
    let edge = scene::edge_with(json!({ "routes": routes, "unmatched": "authenticate" })).await;
    let reader = edge.key("acme", &["read", "write", "reports:read"]).await;
    let reporter = edge.key("acme", &["reports:list", "reports:read"]).await;
    for method in [Method::GET, Method::POST] {
        scene::request(&edge, method.clone(), "/reports/1", &reporter).await.is_granted();
        scene::request(&edge, method.clone(), "/reports/1", &reader).await.is_refused(403, "missing_scope");
        scene::request(&edge, method.clone(), "/anyone", &reporter).await.is_granted();
        scene::request(&edge, method, "/elsewhere", &reporter).await.is_refused(403, "missing_scope");
    }
}

#[tokio::test]
async fn a_public_route_needs_no_key_and_judges_none() {
    let edge = scene::edge().await;
    let unknown = edge.get("/healthz").header("x-api-key", "unknown");
    for request in [edge.get("/healthz"), edge.get("/healthz?verbose"), unknown] {
        let outcome = scene::send(&edge, request).await;
        assert_eq!((outcome.status(), outcome.hits), (200, 1));
        assert_eq!(outcome.header("x-auth-status"), "public");
        assert_eq!(outcome.header("ratelimit"), "");
    }
    for path in ["/healthz/", "/healthz/x", "/healthzz", "/Healthz"] {
        scene::send(&edge, edge.get(path)).await.is_refused(403, "no_route");
    }
}

#[tokio::test]
async fn the_first_route_that_matches_decides() {
    let routes = json!([
        { "path": "/docs/internal/...", "scopes": ["internal"] },
        { "path": "/docs/...", "methods": ["GET"], "access": "public" },
        { "path": "/docs/...", "scopes": ["edit"] }
    ]);
    let edge = scene::edge_with(json!({ "routes": routes })).await;
    let editor = edge.key("acme", &["edit"]).await;
    assert_eq!(scene::send(&edge, edge.get("/docs/a")).await.header("x-auth-status"), "public");
    scene::request(&edge, Method::POST, "/docs/a", &editor).await.is_granted();
    scene::send(&edge, edge.request(Method::POST, "/docs/a")).await.is_refused(401, "missing_credential");
    scene::get(&edge, "/docs/internal/a", &editor).await.is_refused(403, "missing_scope");
}

#[tokio::test]
async fn where_no_route_matches_nothing_passes_if_so_configured() {
    let edge = scene::edge_with(json!({ "unmatched": "refuse" })).await;
    let key = edge.key("acme", &["read", "write"]).await;
    scene::get(&edge, "/api/acme/x", &key).await.is_granted();
    scene::get(&edge, "/elsewhere", &key).await.is_refused(403, "no_route");
    scene::send(&edge, edge.get("/elsewhere")).await.is_refused(403, "no_route");
}

#[tokio::test]
async fn the_quota_is_the_default_or_the_teams_own() {
    let edge = scene::edge_with(json!({ "quota": { "limit": 50, "window_seconds": 600 } })).await;
    scene::limit_team(&edge, "globex", 7, 60).await;
    for (team, policy) in [("acme", r#""team";q=50;w=600"#), ("globex", r#""team";q=7;w=60"#)] {
        let key = edge.key(team, &["read"]).await;
        let outcome = scene::get(&edge, &format!("/api/{team}/x"), &key).await;
        assert_eq!(outcome.header("ratelimit-policy"), policy);
    }
}

#[tokio::test]
async fn all_keys_of_a_team_draw_from_one_bucket_and_other_teams_from_theirs() {
    let edge = scene::edge_with(json!({ "quota": { "limit": 2, "window_seconds": 86_400 } })).await;
    let (one, other) = (edge.key("acme", &["read"]).await, edge.key("acme", &["read"]).await);
    let globex = edge.key("globex", &["read"]).await;
    scene::get(&edge, "/api/acme/x", &one).await.is_granted();
    scene::get(&edge, "/api/acme/x", &other).await.is_granted();
    scene::get(&edge, "/api/acme/x", &one).await.is_refused(429, "quota_exhausted");
    scene::get(&edge, "/api/acme/x", &other).await.is_refused(429, "quota_exhausted");
    scene::get(&edge, "/api/globex/x", &globex).await.is_granted();
}

#[tokio::test]
async fn a_route_takes_only_its_own_styles() {
    let routes = json!([
        { "path": "/by-token/...", "styles": ["token"] },
        { "path": "/by-header/...", "styles": ["x-api-key"] }
    ]);
    let edge = scene::edge_with(json!({ "routes": routes })).await;
    let key = edge.key("acme", &["read"]).await;
    for style in Style::ALL {
        let (name, value) = style.header(&key);
        let by_token = scene::send(&edge, edge.get("/by-token/x").header(name, &value)).await;
        let by_header = scene::send(&edge, edge.get("/by-header/x").header(name, &value)).await;
        match style {
            Style::Token => {
                by_token.is_granted();
                by_header.is_refused(401, "missing_credential");
            }
            Style::Raw | Style::Bearer => {
                by_token.is_refused(401, "unsupported_scheme");
                assert_eq!(by_token.headers("www-authenticate"), [r#"Token realm="tollkeeper""#]);
                by_header.is_refused(401, "missing_credential");
            }
            Style::XApiKey => {
                by_token.is_refused(401, "missing_credential");
                by_header.is_granted();
            }
        }
    }
}

#[tokio::test]
async fn a_header_of_a_style_that_the_route_does_not_take_belongs_to_the_upstream() {
    let edge = scene::edge_with(json!({ "styles": ["x-api-key"] })).await;
    let key = edge.key("acme", &["read"]).await;
    let request = edge.get("/api/acme/x").header("x-api-key", &key).header("authorization", "Basic abc");
    let outcome = scene::send(&edge, request).await;
    outcome.is_granted();
    assert_eq!(outcome.upstream_headers("authorization"), ["Basic abc"]);
    assert!(outcome.upstream_headers("x-api-key").is_empty());
}

#[tokio::test]
async fn challenges_name_the_configured_realm() {
    let edge = scene::edge_with(json!({ "realm": "Example API", "styles": ["bearer"] })).await;
    let outcome = scene::send(&edge, edge.get("/api/acme/x")).await;
    outcome.is_refused(401, "missing_credential");
    assert_eq!(outcome.headers("www-authenticate"), [r#"Bearer realm="Example API""#]);
}
