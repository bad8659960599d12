//! Every way to present a key, with every way in which a key can be good or bad.

use lab::edge::Edge;
use serde_json::{Value, json};

use crate::scene::{self, Outcome, Style};

const LONG_AGO: &str = "2001-01-01T00:00:00Z";
const LONG_AWAY: &str = "2901-01-01T00:00:00Z";

/// A test for each sentence, which holds in every style: all of them present keys to one edge.
macro_rules! in_every_style {
    ($($sentence:ident)*) => {
        mod in_every_style {
            $(
                #[tokio::test]
                async fn $sentence() {
                    let edge = crate::scene::edge().await;
                    for style in crate::scene::Style::ALL {
                        println!("as {}:", style.word());
                        super::$sentence(&edge, style).await;
                    }
                }
            )*
        }
    };
}

in_every_style! {
    a_valid_key_is_admitted
    an_unknown_key_is_refused
    a_malformed_key_is_refused
    a_revoked_key_is_refused
    an_expired_key_is_refused
    a_key_is_refused_before_its_time
    a_key_of_another_team_is_refused
    a_key_without_the_scope_is_refused
}

async fn a_valid_key_is_admitted(edge: &Edge, style: Style) {
    let fields = json!({ "scopes": ["read", "write"], "subject": "alice", "expires": LONG_AWAY });
    let key = edge.new_key("acme", fields).await;
    let outcome = present(edge, style, &key.key).await;
    outcome.is_granted();
    for (name, value) in [
        ("x-auth-method", style.word()),
        ("x-auth-kind", "application"),
        ("x-auth-team", "acme"),
        ("x-auth-key-id", &key.id),
        ("x-auth-scopes", "read write"),
        ("x-auth-subject", "alice"),
        ("x-auth-expires", "29379542400"),
    ] {
        assert_eq!(outcome.header(name), value, "{name}");
    }
    assert!(outcome.answer.header("x-auth-revision").is_some());
    assert_eq!(outcome.header("ratelimit-policy"), r#""team";q=300;w=300"#);
    assert_eq!(outcome.upstream_headers("x-auth-team"), ["acme"]);
    assert_eq!(outcome.upstream_headers("x-auth-key-id"), [key.id]);
    assert_eq!(outcome.upstream_headers("x-auth-scopes"), ["read write"]);
    assert!(!outcome.answer.text().contains(&key.key), "the upstream has seen the key");
}

async fn an_unknown_key_is_refused(edge: &Edge, style: Style) {
    present(edge, style, "a-key-that-nobody-made").await.is_refused(401, "unknown_key");
}

async fn a_malformed_key_is_refused(edge: &Edge, style: Style) {
    let key = edge.key("acme", &["read"]).await;
    let cut = &key[..key.len() - 1];
    present(edge, style, cut).await.is_refused(401, "malformed_credential");
}

async fn a_revoked_key_is_refused(edge: &Edge, style: Style) {
    let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let revoked = edge.key_service().revoke_key(&key.id).await.unwrap();
    edge.serves(revoked["revision"].as_u64().unwrap()).await;
    present(edge, style, &key.key).await.is_refused(401, "key_revoked");
}

async fn an_expired_key_is_refused(edge: &Edge, style: Style) {
    let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let ended = edge.key_service().patch_key(&key.id, &json!({ "expires": LONG_AGO })).await.unwrap();
    edge.serves(ended["revision"].as_u64().unwrap()).await;
    present(edge, style, &key.key).await.is_refused(401, "key_expired");
}

async fn a_key_is_refused_before_its_time(edge: &Edge, style: Style) {
    refused_at_acme(edge, style, json!({ "scopes": ["read"], "not_before": LONG_AWAY }), 401, "key_not_yet_valid")
        .await;
}

async fn a_key_of_another_team_is_refused(edge: &Edge, style: Style) {
    let key = edge.key("globex", &["read"]).await;
    present(edge, style, &key).await.is_refused(403, "team_mismatch");
}

async fn a_key_without_the_scope_is_refused(edge: &Edge, style: Style) {
    refused_at_acme(edge, style, json!({ "scopes": ["write", "reports:read"] }), 403, "missing_scope").await;
}

#[tokio::test]
async fn one_key_works_in_every_style_with_schemes_in_any_case() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    for style in Style::ALL {
        let outcome = present(&edge, style, &key).await;
        outcome.is_granted();
        assert_eq!(outcome.header("x-auth-method"), style.word());
    }
    for (scheme, method) in [("TOKEN", "token"), ("tOKEN", "token"), ("BEARER", "bearer"), ("bEARER", "bearer")] {
        let request = edge.get("/api/acme/x").header("authorization", format!("{scheme} {key}"));
        let outcome = scene::send(&edge, request).await;
        outcome.is_granted();
        assert_eq!(outcome.header("x-auth-method"), method);
    }
}

#[tokio::test]
async fn somebody_elses_jwt_is_no_key_and_a_token_of_another_form() {
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
    let edge = scene::edge().await;
    present(&edge, Style::Bearer, JWT).await.is_refused(401, "malformed_token");
}

#[tokio::test]
async fn a_disabled_key_is_refused_until_it_is_enabled_again() {
    let edge = scene::edge().await;
    let key = edge.new_key("acme", json!({ "scopes": ["read"], "state": "disabled" })).await;
    present(&edge, Style::Token, &key.key).await.is_refused(401, "key_disabled");
    let enabled = edge.key_service().patch_key(&key.id, &json!({ "state": "active" })).await.unwrap();
    edge.serves(enabled["revision"].as_u64().unwrap()).await;
    present(&edge, Style::Token, &key.key).await.is_granted();
}

#[tokio::test]
async fn the_keys_of_a_disabled_team_are_refused_until_it_is_enabled_again() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    for state in ["disabled", "active"] {
        let changed = edge.key_service().patch_team("acme", &json!({ "state": state })).await.unwrap();
        edge.serves(changed["revision"].as_u64().unwrap()).await;
        let outcome = present(&edge, Style::Token, &key).await;
        match state {
            "disabled" => outcome.is_refused(403, "team_disabled"),
            _ => outcome.is_granted(),
        }
    }
}

#[tokio::test]
async fn a_scheme_that_is_not_ours_is_refused_with_a_challenge_for_each_that_is() {
    let edge = scene::edge().await;
    let request = edge.get("/api/acme/x").header("authorization", "Basic YWxpY2U6c2VjcmV0");
    let outcome = scene::send(&edge, request).await;
    outcome.is_refused(401, "unsupported_scheme");
    let challenges = outcome.headers("www-authenticate");
    for challenge in [
        r#"ApiKey realm="tollkeeper", header="authorization""#,
        r#"Token realm="tollkeeper""#,
        r#"Bearer realm="tollkeeper""#,
        r#"ApiKey realm="tollkeeper", header="x-api-key""#,
    ] {
        assert!(challenges.iter().any(|sent| sent.starts_with(challenge)), "{challenge} in {challenges:?}");
    }
    assert_eq!(challenges.len(), 4);
}

async fn refused_at_acme(edge: &Edge, style: Style, key: Value, status: u16, reason: &str) {
    let key = edge.new_key("acme", key).await;
    present(edge, style, &key.key).await.is_refused(status, reason);
}

async fn present(edge: &Edge, style: Style, credential: &str) -> Outcome {
    let (name, value) = style.header(credential);
    scene::send(edge, edge.get("/api/acme/reports").header(name, value)).await
}
