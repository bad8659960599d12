//! The same judgement in every protocol, in the form that its clients understand.

use std::time::{Duration, Instant};

use lab::edge::{Edge, Setup};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::scene::{self, Outcome};

#[tokio::test]
async fn http1_and_http2_have_the_same_outcomes() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    for (method, path, credential, status, reason) in [
        (Method::GET, "/api/acme/x", key.as_str(), 200, ""),
        (Method::GET, "/api/acme/x", "unknown", 401, "unknown_key"),
        (Method::GET, "/api/globex/x", &key, 403, "team_mismatch"),
        (Method::DELETE, "/api/acme/x", &key, 403, "missing_scope"),
        (Method::GET, "/api/acme/%25", &key, 400, "ambiguous_path"),
    ] {
        let http1 = scene::send(&edge, edge.request(method.clone(), path).header("x-api-key", credential)).await;
        let http2 = scene::send(&edge, edge.request_http2(method, path).header("x-api-key", credential)).await;
        for outcome in [http1, http2] {
            match status {
                200 => outcome.is_granted(),
                _ => outcome.is_refused(status, reason),
            }
        }
    }
}

#[tokio::test]
async fn reading_methods_need_the_read_scope_and_all_others_the_write_scope() {
    let edge = scene::edge().await;
    let (reader, writer) = (edge.key("acme", &["read"]).await, edge.key("acme", &["write"]).await);
    for name in ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "get"] {
        let reads = ["GET", "HEAD", "OPTIONS"].contains(&name);
        let (may, may_not) = if reads { (&reader, &writer) } else { (&writer, &reader) };
        let granted = scene::send_raw(&edge, name, "/api/acme/x", &[("x-api-key", may.as_bytes())]).await;
        if granted.status() == 400 {
            // Envoy's own parser knows no such method.
            assert_eq!(granted.hits, 0);
            continue;
        }
        granted.is_granted();
        let refused = scene::send_raw(&edge, name, "/api/acme/x", &[("x-api-key", may_not.as_bytes())]).await;
        refused.is_refused_in_headers(403, "missing_scope");
    }
}

#[tokio::test]
async fn a_refused_grpc_client_gets_a_grpc_status_and_a_sentence() {
    let edge = scene::edge().await;
    scene::limit_team(&edge, "slow", 1, 86_400).await;
    let (acme, slow) = (edge.key("acme", &["write"]).await, edge.key("slow", &["write"]).await);
    scene::request(&edge, Method::POST, "/api/slow/x", &slow).await.is_granted();
    for (path, credential, code, reason, sentence) in [
        ("/api/acme/%25", acme.as_str(), "3", "ambiguous_path", "The path can be read in more than one way"),
        ("/api/acme/x", "unknown", "16", "unknown_key", "The key is not known."),
        ("/api/globex/x", &acme, "7", "team_mismatch", "The credential belongs to another team"),
        ("/api/slow/x", &slow, "8", "quota_exhausted", "The team has used up its quota"),
    ] {
        grpc(&edge, path, credential).await.is_refused_as_grpc(code, reason, sentence);
    }
    let granted = grpc(&edge, "/api/acme/x", &acme).await;
    assert_eq!((granted.status(), granted.hits, granted.header("x-auth-status").as_str()), (200, 1, "granted"));
}

#[tokio::test]
async fn a_grpc_client_that_comes_too_early_is_told_that_the_service_is_unavailable() {
    let edge = Edge::start(Setup::without_key_service).await;
    let outcome = grpc(&edge, "/api/acme/x", "any").await;
    outcome.is_refused_as_grpc("14", "not_synced", "The keys have not arrived yet.");
}

#[tokio::test]
async fn what_only_resembles_grpc_is_answered_as_http() {
    let edge = scene::edge().await;
    for content_type in ["application/grpc-web", "application/grpcx", "application/json"] {
        let request = edge.request(Method::POST, "/api/acme/x").header("content-type", content_type);
        scene::send(&edge, request).await.is_refused(401, "missing_credential");
    }
}

#[tokio::test]
async fn a_websocket_is_not_opened_without_a_key() {
    const UPGRADE: [(&str, &[u8]); 4] = [
        ("connection", b"upgrade"),
        ("upgrade", b"websocket"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let edge = scene::edge_edited(|bootstrap| {
        scene::connection_manager(bootstrap)["upgrade_configs"] = json!([{ "upgrade_type": "websocket" }]);
    })
    .await;
    let key = edge.key("acme", &["read"]).await;
    scene::send_raw(&edge, "GET", "/api/acme/x", &UPGRADE).await.is_refused(401, "missing_credential");
    let headers = [&UPGRADE, [("x-api-key", key.as_bytes())].as_slice()].concat();
    let admitted = scene::send_raw(&edge, "GET", "/api/acme/x", &headers).await;
    assert_eq!((admitted.hits, admitted.header("x-auth-status").as_str()), (1, "granted"), "{admitted:?}");
}

#[tokio::test]
async fn whoever_waits_as_long_as_told_is_admitted() {
    let edge = scene::edge().await;
    scene::limit_team(&edge, "acme", 2, 2).await;
    let key = edge.key("acme", &["read"]).await;
    let refused = until_limited(&edge, &key).await;
    refused.is_refused(429, "quota_exhausted");
    assert_eq!(refused.header("ratelimit-policy"), r#""team";q=2;w=2"#);
    let wait = refused.header("retry-after");
    assert_eq!(refused.header("ratelimit"), format!("\"team\";r=0;t={wait}"));
    let (refused_at, told) = (Instant::now(), Duration::from_secs(wait.parse().unwrap()));
    edge.wait_until("the time is over", told * 10, async || (refused_at.elapsed() >= told).then_some(())).await;
    scene::get(&edge, "/api/acme/x", &key).await.is_granted();
}

#[tokio::test]
async fn what_remains_is_counted_down_to_the_refusal() {
    let edge = scene::edge().await;
    scene::limit_team(&edge, "acme", 3, 86_400).await;
    let key = edge.key("acme", &["read"]).await;
    for remaining in ["2", "1", "0"] {
        let outcome = scene::get(&edge, "/api/acme/x", &key).await;
        outcome.is_granted();
        assert!(outcome.header("ratelimit").starts_with(&format!("\"team\";r={remaining};t=")), "{outcome:?}");
        assert_eq!(outcome.header("retry-after"), "");
    }
    let refused = scene::get(&edge, "/api/acme/x", &key).await;
    refused.is_refused(429, "quota_exhausted");
    // A third of a day, less what the requests themselves took.
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=28_800).contains(&wait), "{wait}");
}

async fn until_limited(edge: &Edge, key: &str) -> Outcome {
    loop {
        let outcome = scene::get(edge, "/api/acme/x", key).await;
        if outcome.status() != 200 {
            return outcome;
        }
    }
}

async fn grpc(edge: &Edge, path: &str, key: &str) -> Outcome {
    scene::send(edge, grpc_call(edge, path).header("x-api-key", key)).await
}

fn grpc_call(edge: &Edge, path: &str) -> RequestBuilder {
    let call = edge.request_http2(Method::POST, path).header("te", "trailers");
    call.header("content-type", "application/grpc+proto").body(&b"\0\0\0\0\0"[..])
}

impl Outcome {
    #[track_caller]
    fn is_refused_as_grpc(&self, code: &str, reason: &str, sentence: &str) {
        assert_eq!((self.status(), self.hits), (200, 0), "{self:?}");
        assert_eq!((self.header("grpc-status"), self.header("x-auth-reason")), (code.to_owned(), reason.to_owned()));
        assert_eq!(self.header("content-type"), "application/grpc", "{self:?}");
        assert!(self.header("grpc-message").starts_with(sentence), "{self:?}");
    }
}

#[tokio::test]
async fn a_method_in_lower_case_cannot_slip_past_the_routes_of_its_method() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read", "write"]).await;
    let method = Method::from_bytes(b"get").unwrap();
    let request = edge.request_http2(method, "/api/acme/x").header("x-api-key", key);
    scene::send(&edge, request).await.is_refused(400, "ambiguous_method");
}
