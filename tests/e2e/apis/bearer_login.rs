//! The login API.
//!
//! | what its page says | test |
//! |---|---|
//! | protected endpoints need a Bearer token in `Authorization` | `protected_endpoints_need_a_bearer_token` |
//! | the example request and its answer | `the_printed_request_is_answered_as_printed` |
//! | credentials may be an API key, | `an_api_key_logs_in` |
//! | a username with its password, | `a_username_and_its_password_log_in` |
//! | or an OAuth2 client's | `an_oauth2_client_logs_in` |
//! | tokens live for 2 hours | `a_token_expires_after_two_hours` |
//! | refresh before the token expires | `a_token_can_be_refreshed_before_it_expires` |
//! | while the token is valid, the same one is given again | `the_same_token_is_given_again_while_it_is_valid` |
//! | a unique session id forces a new one | `a_unique_session_id_forces_a_new_token` |
//! | session ids part several processes | `several_processes_have_sessions_of_their_own` |
//! | and tenants, which are isolated | `the_same_session_id_of_two_keys_is_two_sessions` |
//! | an id is any random string, such as a UUID or a hash | `a_session_id_may_be_a_uuid_or_a_hash` |
//! | no collisions among concurrent logins | `concurrent_logins_do_not_collide` |
//! | single sessions can be revoked | `one_session_is_revoked_and_the_others_go_on` |
//! | keys have scopes, which an endpoint may need | `a_token_has_the_scopes_of_its_key` |
//! | compromised keys are revoked | `a_compromised_key_is_revoked_with_its_sessions` |
//! | keys are rotated | `a_rotated_key_logs_in_and_the_old_one_does_not` |
//!
//! And what the page need not say: `nothing_else_of_the_key_service_is_reached`, `failures_do_not_say_what_was_wrong`,
//! `whoever_sends_a_login_slowly_keeps_nobody_else_from_logging_in`.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::served::{Served, sentences};
use crate::{
    scene,
    tenants::{becomes, changed, id, imported, key, made, text, user},
};

sentences! { BearerLogin:
    protected_endpoints_need_a_bearer_token
    the_printed_request_is_answered_as_printed
    an_api_key_logs_in
    a_username_and_its_password_log_in
    an_oauth2_client_logs_in
    a_token_expires_after_two_hours
    a_token_can_be_refreshed_before_it_expires
    the_same_token_is_given_again_while_it_is_valid
    a_unique_session_id_forces_a_new_token
    several_processes_have_sessions_of_their_own
    the_same_session_id_of_two_keys_is_two_sessions
    a_session_id_may_be_a_uuid_or_a_hash
    concurrent_logins_do_not_collide
    one_session_is_revoked_and_the_others_go_on
    a_token_has_the_scopes_of_its_key
    a_compromised_key_is_revoked_with_its_sessions
    a_rotated_key_logs_in_and_the_old_one_does_not
    nothing_else_of_the_key_service_is_reached
    failures_do_not_say_what_was_wrong
    whoever_sends_a_login_slowly_keeps_nobody_else_from_logging_in
}

/// The body of the page's example, byte for byte.
const PRINTED: &str = r#"{
"api_key": "your_api_key_here",
"session_id": "optional_custom_session_id"
}"#;

async fn protected_endpoints_need_a_bearer_token(api: &Served) {
    let token = api.session(&customer(api).await, "a").await;
    let outcome = api.get_as(&token).await;
    outcome.is_granted();
    for (name, value) in [("x-auth-method", "bearer"), ("x-auth-kind", "session"), ("x-auth-team", "acme")] {
        assert_eq!(outcome.header(name), value, "{name}");
    }
    assert!(outcome.upstream_headers("authorization").is_empty());
    api.send(api.get("/reports")).await.is_refused(401, "missing_credential");
    api.get_with("/reports", "Authorization", &format!("Token {token}")).await.is_refused(401, "unsupported_scheme");
    api.get_with("/reports", "Authorization", &token).await.is_refused(401, "unsupported_scheme");
}

async fn the_printed_request_is_answered_as_printed(api: &Served) {
    imported(&api.edge, "your_api_key_here", "printed", "acme", &["read"]).await;
    let login = api.log_in(PRINTED).await;
    let token = login.token();
    let members: BTreeSet<_> = login.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["access_token", "expires_in", "token_type"]));
    assert!((7199..=7200).contains(&login.body["expires_in"].as_u64().unwrap()), "{:?}", login.body["expires_in"]);
    assert_eq!(login.body["token_type"], "Bearer");
    assert_eq!(login.headers["content-type"], "application/json");
    assert_eq!(login.headers["cache-control"], "no-store");
    assert_eq!(part(&token, 0)["alg"], "HS256");
    assert_eq!(part(&token, 0)["typ"], "JWT");
    assert_eq!(part(&token, 1)["sid"], "optional_custom_session_id");
    becomes(&api.edge, "", async || api.get_as(&token).await).await;
}

async fn an_api_key_logs_in(api: &Served) {
    let key = customer(api).await;
    let login = api.log_in(json!({ "api_key": key }).to_string()).await;
    let token = login.token();
    becomes(&api.edge, "", async || api.get_as(&token).await).await;
}

async fn a_username_and_its_password_log_in(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let password = json!({ "password": "correct horse battery staple" });
    api.edge.key_service().put("/v1/users/alice/password", &password).await.unwrap();
    let login = json!({ "username": "alice", "password": "correct horse battery staple" });
    let token = api.log_in(login.to_string()).await.token();
    becomes(&api.edge, "", async || api.get_as(&token).await).await;
    let outcome = api.get_as(&token).await;
    assert_eq!((outcome.header("x-auth-subject"), outcome.header("x-auth-scopes")), ("alice".into(), "read".into()));
    changed(&api.edge, "/v1/users/alice", json!({ "permissions": ["write"] })).await;
    api.get_as(&token).await.is_refused(403, "missing_scope");
    let wrong = api.log_in(json!({ "username": "alice", "password": "wrong horse" }).to_string()).await;
    assert_eq!(wrong.refusal(), (401, "invalid_credentials"));
}

async fn an_oauth2_client_logs_in(api: &Served) {
    api.edge.key_service().create_team("acme", "Acme").await.unwrap();
    let key = key(&api.edge, json!({ "team": "acme", "scopes": ["read"] })).await;
    let client = json!({ "client_id": id(&key), "client_secret": text(&key) });
    let token = api.log_in(client.to_string()).await.token();
    becomes(&api.edge, "", async || api.get_as(&token).await).await;
    let request = api.edge.request(Method::POST, "/oauth/token").basic_auth(id(&key), Some(text(&key)));
    let form =
        request.header("Content-Type", "application/x-www-form-urlencoded").body("grant_type=client_credentials");
    let answer = form.send().await.unwrap();

    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
    becomes(&api.edge, "", async || api.get_as(token).await).await;
}

async fn a_token_expires_after_two_hours(api: &Served) {
    let token = api.session(&customer(api).await, "a").await;
    let claims = part(&token, 1);
    let (issued, end) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(end - issued, 2 * 60 * 60);
    assert_eq!(api.get_as(&token).await.header("x-auth-expires"), end.to_string());
}

async fn a_token_can_be_refreshed_before_it_expires(api: &Served) {
    let key = customer(api).await;
    let first = api.session(&key, "first").await;
    let fresh = api.session(&key, "fresh").await;
    assert_ne!(first, fresh);
    assert!(part(&fresh, 1)["exp"].as_u64() >= part(&first, 1)["exp"].as_u64());
    api.get_as(&first).await.is_granted();
    api.get_as(&fresh).await.is_granted();
}

async fn the_same_token_is_given_again_while_it_is_valid(api: &mut Served) {
    let body = json!({ "api_key": customer(api).await }).to_string();
    let first = api.log_in(body.clone()).await;
    let again = api.log_in(body.clone()).await;
    assert_eq!(first.token(), again.token());
    assert!(again.body["expires_in"].as_u64() <= first.body["expires_in"].as_u64());
    api.edge.restart_key_service().await;
    assert_eq!(api.log_in(body).await.token(), first.token());
}

async fn a_unique_session_id_forces_a_new_token(api: &Served) {
    let key = customer(api).await;
    let tokens: BTreeSet<_> = [api.session(&key, "one").await, api.session(&key, "two").await].into();
    let without = api.log_in(json!({ "api_key": key }).to_string()).await.token();
    assert_eq!(tokens.len(), 2);
    assert!(!tokens.contains(&without));
    assert!(tokens.contains(&api.session(&key, "one").await));
}

async fn several_processes_have_sessions_of_their_own(api: &Served) {
    let key = customer(api).await;
    for process in ["gateway", "worker-1", "worker-2"] {
        let token = api.session(&key, process).await;
        assert_eq!(part(&token, 1)["sid"], process);
        api.get_as(&token).await.is_granted();
    }
}

async fn the_same_session_id_of_two_keys_is_two_sessions(api: &Served) {
    let (acme, globex) = (customer(api).await, api.edge.key("globex", &["read"]).await);
    for (key, team) in [(acme, "acme"), (globex, "globex")] {
        let outcome = api.get_as(&api.session(&key, "shared").await).await;
        assert_eq!(outcome.header("x-auth-team"), team);
    }
}

async fn a_session_id_may_be_a_uuid_or_a_hash(api: &Served) {
    let key = customer(api).await;
    let hash = tollkeeper_contract::Digest::of(b"1700000000.random_salt").to_hex();
    for session_id in ["0b5f0f6c-4b0c-4f6e-9f77-3f1f4d1a8c11", &hash, "prozess-ä", &"x".repeat(256)] {
        api.session(&key, session_id).await;
    }
    let too_long = api.log_in(json!({ "api_key": key, "session_id": "x".repeat(257) }).to_string()).await;
    assert_eq!(too_long.status.as_u16() / 100, 4);
    assert_eq!(too_long.body["field"], "session_id");
}

async fn concurrent_logins_do_not_collide(api: &Served) {
    let key = customer(api).await;
    let log_in = async |session_id: String| {
        api.log_in(json!({ "api_key": key, "session_id": session_id }).to_string()).await.token()
    };
    let (a, b, c, d) = tokio::join!(
        log_in("same".to_owned()),
        log_in("same".to_owned()),
        log_in("other".to_owned()),
        log_in("another".to_owned())
    );
    assert_eq!(a, b);
    assert_eq!(BTreeSet::from([a, c, d]).len(), 3);
}

async fn one_session_is_revoked_and_the_others_go_on(api: &Served) {
    let key = customer(api).await;
    let (stolen, other) = (api.session(&key, "stolen").await, api.session(&key, "other").await);
    let session = part(&stolen, 1)["jti"].as_str().unwrap().to_owned();
    let reason = json!({ "reason": "compromised" });
    api.edge.key_service().post(&format!("/v1/sessions/{session}/revoke"), &reason).await.unwrap();
    becomes(&api.edge, "session_revoked", async || api.get_as(&stolen).await).await;
    api.get_as(&stolen).await.is_refused(401, "session_revoked");
    api.get_as(&other).await.is_granted();
    assert_ne!(api.session(&key, "stolen").await, stolen);
}

async fn a_token_has_the_scopes_of_its_key(api: &Served) {
    let reader = api.session(&api.edge.key("acme", &["read"]).await, "a").await;
    let writer = api.session(&api.edge.key("acme", &["read", "write"]).await, "a").await;
    let post = async |token: &str| {
        let request = api.request(Method::POST, "/reports").header("Authorization", format!("Bearer {token}"));
        api.send(request).await
    };
    api.get_as(&reader).await.is_granted();
    assert_eq!(api.get_as(&reader).await.header("x-auth-scopes"), "read");
    post(&reader).await.is_refused(403, "missing_scope");
    post(&writer).await.is_granted();
}

async fn a_compromised_key_is_revoked_with_its_sessions(api: &Served) {
    let key = api.edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let token = api.session(&key.key, "a").await;
    let why = json!({ "reason": "in a public repository", "compromised": true });
    api.edge.key_service().post(&format!("/v1/keys/{}/revoke", key.id), &why).await.unwrap();
    becomes(&api.edge, "session_revoked", async || api.get_as(&token).await).await;
    assert_eq!(api.log_in(json!({ "api_key": key.key }).to_string()).await.refusal(), (401, "key_revoked"));
}

async fn a_rotated_key_logs_in_and_the_old_one_does_not(api: &Served) {
    let old = api.edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let rotate = format!("/v1/keys/{}/rotate", old.id);
    let new = text(&made(&api.edge, &rotate, json!({ "overlap_seconds": 0 })).await);
    api.session(&new, "a").await;
    assert_eq!(api.log_in(json!({ "api_key": old.key }).to_string()).await.refusal(), (401, "key_revoked"));
}

async fn nothing_else_of_the_key_service_is_reached(api: &Served) {
    let admin = format!("Bearer {}", api.edge.tokens().admin.expose());
    for (method, path) in [
        (Method::GET, "/v1/keys"),
        (Method::POST, "/v1/keys"),
        (Method::GET, "/node/v1/changes"),
        (Method::GET, "/metrics"),
        (Method::GET, "/openapi.json"),
        (Method::GET, "/auth/login"),
        (Method::POST, "/auth/login/"),
        (Method::POST, "/auth/login/../../v1/keys"),
        (Method::POST, "/Auth/Login"),
        (Method::GET, "/oauth/token"),
        (Method::POST, "/.well-known/jwks.json"),
    ] {
        let request = api.edge.request(method.clone(), path).header("authorization", &admin);
        let outcome = scene::send(&api.edge, request).await;
        assert_eq!((outcome.header("x-auth-status").as_str(), outcome.hits), ("denied", 0), "{method} {path}");
    }
    let request = b"POST /auth/login%2f..%2fv1%2fkeys HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(scene::exchange(&api.edge, request).await.status, 400);
}

async fn failures_do_not_say_what_was_wrong(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let password = json!({ "password": "correct horse battery staple" });
    api.edge.key_service().put("/v1/users/alice/password", &password).await.unwrap();
    let wrong = api.log_in(json!({ "username": "alice", "password": "wrong" }).to_string()).await;
    let unknown = api.log_in(json!({ "username": "nobody", "password": "wrong" }).to_string()).await;
    let key = api.log_in(json!({ "api_key": "unknown" }).to_string()).await;
    assert_eq!(wrong.body, unknown.body);
    assert_eq!((wrong.refusal(), key.refusal()), ((401, "invalid_credentials"), (401, "invalid_credentials")));
}

async fn whoever_sends_a_login_slowly_keeps_nobody_else_from_logging_in(api: &Served) {
    let key = customer(api).await;
    let mut slow = Vec::new();
    for _ in 0..150 {
        let mut connection = TcpStream::connect(api.edge.address()).await.unwrap();
        let begun =
            "POST /auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
        connection.write_all(begun.as_bytes()).await.unwrap();
        slow.push(connection);
    }
    api.edge
        .wait_until("Envoy has seen them all", Duration::from_secs(10), async || {
            let active = api.edge.stat("http.edge.downstream_rq_active").await?;
            (active >= 150).then_some(())
        })
        .await;
    for _ in 0..3 {
        api.log_in(json!({ "api_key": key }).to_string()).await.token();
    }
    let pending = api.edge.stat("cluster.login.upstream_rq_pending_overflow").await;
    assert_eq!(pending, Some(0), "and the connections to the key service were free");
}

/// A key of the team acme.
async fn customer(api: &Served) -> String {
    api.edge.key("acme", &["read"]).await
}

/// The header (0) or the claims (1) of a token.
fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
