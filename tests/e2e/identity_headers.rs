//! The identity headers are the filter's alone: whoever else sets them, on either side, is not heard.

use std::time::Duration;

use lab::{edge::Edge, key_service::NewKey};
use reqwest::Method;
use serde_json::{Value, json};

use crate::scene::{self, Outcome};

const SPOOFED: [(&str, &[u8]); 9] = [
    ("x-auth-team", b"spoofed"),
    ("x-auth-team", b"spoofed"),
    ("X-Auth-Team", b"spoofed"),
    ("x_auth_team", b"spoofed"),
    ("X_AUTH-key-ID", b"spoofed"),
    ("x-auth_scopes", b"spoofed"),
    ("x-auth-status", b"spoofed"),
    ("x-auth-reason", b"spoofed"),
    ("x-auth-of-tomorrow", b"spoofed"),
];

#[tokio::test]
async fn what_a_client_claims_to_be_never_reaches_the_upstream() {
    let edge = scene::edge().await;
    let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let headers = [&SPOOFED, [("x-api-key", key.key.as_bytes())].as_slice()].concat();
    let outcome = scene::send_raw(&edge, "GET", "/api/acme/x", &headers).await;
    outcome.is_granted();
    let truth = [("x-auth-key-id", key.id.as_str()), ("x-auth-scopes", "read"), ("x-auth-team", "acme")];
    assert_eq!(outcome.upstream_identity(), truth.map(owned));
}

#[tokio::test]
async fn what_a_client_claims_over_http2_never_reaches_the_upstream() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let mut request = edge.request_http2(Method::GET, "/api/acme/x").header("x-api-key", &key);
    for (name, value) in SPOOFED {
        request = request.header(name, value);
    }
    let outcome = scene::send(&edge, request).await;
    outcome.is_granted();
    assert_eq!(outcome.upstream_identity().len(), 3, "{outcome:?}");
    assert!(!outcome.answer.text().contains("spoofed"), "{outcome:?}");
}

#[tokio::test]
async fn a_public_route_strips_claims_and_leaves_authorization_alone() {
    let edge = scene::edge().await;
    let headers = [&SPOOFED, [("authorization", b"Basic abc".as_slice())].as_slice()].concat();
    let outcome = scene::send_raw(&edge, "GET", "/healthz", &headers).await;
    assert_eq!(outcome.upstream_identity(), []);
    assert_eq!(outcome.upstream_headers("authorization"), ["Basic abc"]);
    assert_eq!(outcome.identity(), [owned(("x-auth-status", "public"))]);
}

#[tokio::test]
async fn what_an_upstream_claims_never_reaches_the_client() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let claims = ["x-auth-team", "X-Auth-Team", "x_auth_team", "x-auth-reason", "x-auth-of-tomorrow"];
    let (name, value) = scene::answered_with(&claims.map(|name| (name, "spoofed")));
    for path in ["/api/acme/x", "/healthz"] {
        let request = edge.get(path).header("x-api-key", &key).header(name, &value);
        let outcome = scene::send(&edge, request).await;
        assert_eq!((outcome.status(), outcome.hits), (200, 1), "{path}");
        assert!(outcome.identity().iter().all(|(_, value)| value != "spoofed"), "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn an_upstreams_own_rate_limit_is_kept_only_where_the_filter_states_none() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let own = [("RateLimit", "\"own\";r=1"), ("ratelimit-policy", "\"own\";q=2")];
    let (name, value) = scene::answered_with(&own);
    let answered = |path| scene::send(&edge, edge.get(path).header("x-api-key", &key).header(name, &value));
    let public = answered("/healthz").await;
    assert_eq!(public.headers("ratelimit"), ["\"own\";r=1"]);
    assert_eq!(public.headers("ratelimit-policy"), ["\"own\";q=2"]);
    let protected = answered("/api/acme/x").await;
    assert_eq!(protected.headers("ratelimit-policy"), ["\"team\";q=300;w=300"]);
    assert_eq!(protected.headers("ratelimit").len(), 1, "{protected:?}");
}

#[tokio::test]
async fn an_upstreams_own_rate_limit_is_left_alone_where_the_filter_sends_headers_of_other_names() {
    for configured in ["legacy", "off"] {
        let edge = scene::edge_with(json!({ "rate_limit_headers": configured })).await;
        let key = edge.key("acme", &["read"]).await;
        let (name, value) = scene::answered_with(&[("RateLimit", "\"own\";r=1"), ("X-RateLimit-Limit", "7")]);
        let request = edge.get("/api/acme/x").header("x-api-key", &key).header(name, value);
        let outcome = scene::send(&edge, request).await;
        assert_eq!(outcome.headers("ratelimit"), ["\"own\";r=1"], "{configured}");
        let limit = if configured == "legacy" { "300" } else { "7" };
        assert_eq!(outcome.headers("x-ratelimit-limit"), [limit], "{configured}");
    }
}

#[tokio::test]
async fn the_upstreams_other_headers_and_its_status_reach_the_client() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let (name, value) = scene::answered_with(&[("x-own", "1"), ("retry-after", "7"), ("www-authenticate", "Own")]);
    let request = edge.get("/api/acme/x").header("x-api-key", &key).header(name, value).header("x-echo-status", "503");
    let outcome = scene::send(&edge, request).await;
    assert_eq!((outcome.status(), outcome.header("x-auth-status").as_str()), (503, "granted"));
    for (name, value) in [("x-own", "1"), ("retry-after", "7"), ("www-authenticate", "Own")] {
        assert_eq!(outcome.headers(name), [value], "{name}");
    }
}

#[tokio::test]
async fn answers_that_envoy_makes_itself_say_who_the_caller_is() {
    let edge = Edge::synced_start(|setup| {
        let setup = setup.filter(|filter| filter["unmatched"] = json!("authenticate"));
        setup.bootstrap(|bootstrap| {
            bootstrap.edit(only_api_has_a_route);
            bootstrap.cluster("upstream", lab::port::reserve()?)
        })
    })
    .await;
    let key = edge.key("acme", &["read"]).await;
    for (path, status, details) in [("/api/acme/x", 503, "upstream down"), ("/elsewhere", 404, "no route of Envoy's")] {
        let outcome = scene::get(&edge, path, &key).await;
        assert_eq!(outcome.status(), status, "{details}: {outcome:?}");
        assert_eq!(outcome.header("x-auth-status"), "granted", "{details}: {outcome:?}");
        assert_eq!(outcome.header("x-auth-team"), "acme", "{details}: {outcome:?}");
        assert!(outcome.header("ratelimit").starts_with("\"team\";r="), "{details}: {outcome:?}");
    }
}

/// What [`scene::Outcome::is_refused`] looks at: exactly one `x-auth-status` and one `x-auth-reason`.
#[tokio::test]
async fn every_refusal_carries_identity_headers() {
    let edge = scene::edge().await;
    scene::limit_team(&edge, "slow", 1, 86_400).await;
    let (acme, slow) = (edge.key("acme", &["read"]).await, edge.key("slow", &["read"]).await);
    scene::get(&edge, "/api/acme/%25", &acme).await.is_refused(400, "ambiguous_path");
    scene::get(&edge, "/api/acme/x", "unknown").await.is_refused(401, "unknown_key");
    scene::get(&edge, "/api/slow/x", &acme).await.is_refused(403, "team_mismatch");
    scene::get(&edge, "/api/slow/x", &slow).await.is_granted();
    scene::get(&edge, "/api/slow/x", &slow).await.is_refused(429, "quota_exhausted");
}

#[tokio::test]
async fn before_the_first_sync_a_refusal_is_a_fault_and_says_when_to_come_back() {
    let edge = Edge::start(lab::edge::Setup::without_key_service).await;
    let outcome = scene::get(&edge, "/api/acme/x", "any").await;
    outcome.is_refused(503, "not_synced");
    assert_eq!(outcome.header("retry-after"), "1");
    assert_eq!(scene::send(&edge, edge.get("/healthz")).await.status(), 200);
}

#[tokio::test]
async fn the_credential_stays_at_the_edge_unless_the_route_forwards_it() {
    let routes = json!([{ "path": "/kept/...", "forward_credential": true }, { "path": "/api/{team}/..." }]);
    let edge = scene::edge_with(json!({ "routes": routes })).await;
    let key = edge.key("acme", &["read"]).await;
    let authorization = format!("Bearer {key}");
    for (path, forwarded) in [("/kept/x", 1), ("/api/acme/x", 0)] {
        let request = edge.get(path).header("authorization", &authorization).header("x-api-key", &key);
        let outcome = scene::send(&edge, request).await;
        outcome.is_granted();
        assert_eq!(outcome.upstream_headers("authorization"), vec![authorization.as_str(); forwarded], "{path}");
        assert_eq!(outcome.upstream_headers("x-api-key"), vec![key.as_str(); forwarded], "{path}");
    }
}

#[tokio::test]
async fn identity_headers_can_be_switched_off_on_both_sides_and_stay_reserved() {
    let off = json!({ "response_headers": "off", "request_headers": "off", "rate_limit_headers": "off" });
    let edge = scene::edge_with(off).await;
    let key = edge.key("acme", &["read"]).await;
    let (name, value) = scene::answered_with(&[("x-auth-team", "spoofed")]);
    let request = edge.get("/api/acme/x").header("x-api-key", &key).header(name, value);
    let outcome = scene::send(&edge, request.header("x_auth_team", "spoofed")).await;
    assert_eq!((outcome.status(), outcome.hits), (200, 1));
    assert_eq!((outcome.identity(), outcome.upstream_identity()), (vec![], vec![]));
    assert_eq!((outcome.header("ratelimit"), outcome.header("ratelimit-policy")), (String::new(), String::new()));
}

#[tokio::test]
async fn only_the_listed_identity_headers_are_set() {
    let lists = json!({
        "response_headers": ["x-auth-team", "x-auth-reason"],
        "request_headers": ["x-auth-method", "x-auth-expires"]
    });
    let edge = scene::edge_with(lists).await;
    let key = edge.key("acme", &["read"]).await;
    let outcome = scene::get(&edge, "/api/acme/x", &key).await;
    assert_eq!(outcome.identity(), [owned(("x-auth-team", "acme"))]);
    assert_eq!(outcome.upstream_identity(), [owned(("x-auth-method", "x-api-key"))]);
    let refused = scene::get(&edge, "/api/acme/x", "unknown").await;
    assert_eq!(refused.identity(), [owned(("x-auth-reason", "unknown_key"))]);
}

#[tokio::test]
async fn an_upstream_that_wants_everything_is_told_everything() {
    let edge = scene::edge_with(json!({ "request_headers": "all" })).await;
    let key = edge.new_key("acme", json!({ "scopes": ["read"], "subject": "alice" })).await;
    // Before, the revision may change between the request and its answer.
    let outcome = answer_that_names_the_revision(&edge, &key).await;
    outcome.is_granted();
    assert_eq!(outcome.upstream_identity(), outcome.identity());
    assert_eq!(outcome.upstream_headers("x-auth-subject"), ["alice"]);
}

#[tokio::test]
async fn other_filters_and_access_logs_are_told_what_was_decided_unless_it_is_switched_off() {
    for (told, expected) in [("all", vec!["acme"]), ("verdict", vec![]), ("off", vec![])] {
        let edge = Edge::synced_start(|setup| {
            let setup = setup.filter(move |filter| filter["filter_state"] = json!(told));
            setup.bootstrap(move |bootstrap| {
                bootstrap.edit(shows_the_team);
                if told == "off" {
                    bootstrap.edit(scene::forgets_whom_nobody_judged);
                }
                Ok(())
            })
        })
        .await;
        let key = edge.key("acme", &["read"]).await;
        assert_eq!(scene::get(&edge, "/api/acme/x", &key).await.headers("x-team"), expected, "{told}");
    }
}

/// A worker reads the revision a few times a second, so for a moment it may name one before the one that decided.
#[tokio::test]
async fn answers_come_to_name_the_revision_that_is_served() {
    let edge = scene::edge().await;
    let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    answer_that_names_the_revision(&edge, &key).await;
}

async fn answer_that_names_the_revision(edge: &Edge, key: &NewKey) -> Outcome {
    edge.wait_until("answers name the key's revision", Duration::from_secs(20), async || {
        let outcome = scene::get(edge, "/api/acme/x", &key.key).await;
        (outcome.header("x-auth-revision") == key.revision.to_string()).then_some(outcome)
    })
    .await
}

fn only_api_has_a_route(bootstrap: &mut Value) {
    let prefix = "/route_config/virtual_hosts/0/routes/0/match/prefix";
    *scene::connection_manager(bootstrap).pointer_mut(prefix).expect("a route") = json!("/api/");
}

fn shows_the_team(bootstrap: &mut Value) {
    let host = scene::connection_manager(bootstrap).pointer_mut("/route_config/virtual_hosts/0").expect("a host");
    let team = json!({ "key": "x-team", "value": "%FILTER_STATE(wasm.tollkeeper.team:PLAIN)%" });
    host["response_headers_to_add"] = json!([{ "header": team }]);
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
