//! The token endpoint, introspection and revocation as OAuth clients meet them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::login::{ada, as_ada, claims, key_of, login, token_of};
use crate::harness::{ADMIN_TOKEN, Answer, Folder, Service, answer, serve_in, text};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

fn asking(service: &Service, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
    service.bare(Method::POST, path).form(form)
}

async fn post(service: &Service, path: &str, form: &[(&str, &str)]) -> Answer {
    answer(asking(service, path, form)).await
}

/// The answer is an error of RFC 6749 section 5.2.
#[track_caller]
fn refused(refused: &Answer, status: u16, error: &str) {
    assert_eq!((refused.status.as_u16(), &refused.body["error"]), (status, &json!(error)), "{}", refused.body);
    assert_eq!(refused.headers["content-type"], "application/json");
    assert_eq!(
        (&refused.headers["cache-control"], &refused.headers["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    let description = text(&refused.body, "error_description");
    assert!(!description.is_empty() && !description.contains(['"', '\\']), "{description}");
    if error == "invalid_client" {
        assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
}

async fn acme(service: &Service) -> (String, String) {
    service.team("acme").await;
    key_of(service, json!({ "team": "acme", "scopes": ["read", "write"] })).await
}

#[tokio::test]
async fn a_client_is_given_a_token_by_basic_or_by_parameters() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let by_form = post(&service, "/oauth/token", &[GRANT, ("client_id", &id), ("client_secret", &key)]).await;
    assert_eq!(
        (&by_form.headers["cache-control"], &by_form.headers["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    let by_form = by_form.ok();
    assert_eq!((&by_form["token_type"], &by_form["scope"]), (&json!("Bearer"), &json!("read write")));
    let basic = asking(&service, "/oauth/token", &[GRANT, ("unknown", "is ignored")]).basic_auth(&id, Some(&key));
    assert_eq!(answer(basic).await.ok()["access_token"], by_form["access_token"]);
    let said_twice = asking(&service, "/oauth/token", &[GRANT, ("client_id", &id)]).basic_auth(&id, Some(&key));
    assert_eq!(answer(said_twice).await.ok()["access_token"], by_form["access_token"]);
    let named = asking(&service, "/oauth/token", &[GRANT, ("session_id", "another")]).basic_auth(&id, Some(&key));
    assert_ne!(answer(named).await.ok()["access_token"], by_form["access_token"]);
}

#[tokio::test]
async fn a_scope_narrows_and_never_widens() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let with =
        |scope: &str| answer(asking(&service, "/oauth/token", &[GRANT, ("scope", scope)]).basic_auth(&id, Some(&key)));
    let narrowed = with("read").await.ok();
    assert_eq!(narrowed["scope"], "read");
    assert_eq!(claims(text(&narrowed, "access_token")).scope, "read");
    assert_eq!(with("read").await.ok()["access_token"], narrowed["access_token"]);
    assert_eq!(with("write read").await.ok()["scope"], "read write");
    assert_eq!(with("").await.ok()["scope"], "read write");
    refused(&with("read admin").await, 400, "invalid_scope");
    refused(&with("read  write").await, 400, "invalid_scope");
    refused(&with("\"").await, 400, "invalid_scope");
}

#[tokio::test]
async fn mistakes_are_told_as_rfc_6749_says() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let client = [("client_id", id.as_str()), ("client_secret", key.as_str())];
    refused(&post(&service, "/oauth/token", &client).await, 400, "invalid_request");
    refused(&post(&service, "/oauth/token", &[("grant_type", ""), client[0], client[1]]).await, 400, "invalid_request");
    for grant in ["password", "authorization_code", "refresh_token", "CLIENT_CREDENTIALS"] {
        let form = [("grant_type", grant), client[0], client[1], ("username", "ada"), ("password", "p")];
        refused(&post(&service, "/oauth/token", &form).await, 400, "unsupported_grant_type");
    }
    refused(&post(&service, "/oauth/token", &[GRANT, GRANT, client[0], client[1]]).await, 400, "invalid_request");
    refused(&post(&service, "/oauth/token", &[GRANT]).await, 401, "invalid_client");
    refused(&post(&service, "/oauth/token", &[GRANT, client[0]]).await, 401, "invalid_client");
    let both = asking(&service, "/oauth/token", &[GRANT, client[0], client[1]]).basic_auth(&id, Some(&key));
    refused(&answer(both).await, 400, "invalid_request");
    let two_secrets = asking(&service, "/oauth/token", &[GRANT, client[1]]).basic_auth(&id, Some(&key));
    refused(&answer(two_secrets).await, 400, "invalid_request");
    let two_ids = asking(&service, "/oauth/token", &[GRANT, ("client_id", "other")]).basic_auth(&id, Some(&key));
    refused(&answer(two_ids).await, 400, "invalid_request");
    let twice = post(&service, "/oauth/token", &[GRANT, client[0], client[1], client[0]]).await;
    refused(&twice, 400, "invalid_request");
    assert_eq!(text(&twice.body, "error_description"), "client_id stands there twice");
    let bearer = asking(&service, "/oauth/token", &[GRANT]).bearer_auth(&key);
    refused(&answer(bearer).await, 401, "invalid_client");
    for (id, secret) in [(id.as_str(), "wrong"), ("unknown", key.as_str()), ("", "")] {
        let wrong = asking(&service, "/oauth/token", &[GRANT]).basic_auth(id, Some(secret));
        refused(&answer(wrong).await, 401, "invalid_client");
    }
    let long = "x".repeat(257);
    let form = [GRANT, client[0], client[1], ("session_id", long.as_str())];
    refused(&post(&service, "/oauth/token", &form).await, 400, "invalid_request");
    for (kind, body) in [
        ("application/json", "{}"),
        ("application/x-www-form-urlencoded", "grant_type=%ff"),
        ("text/plain", "grant_type=client_credentials"),
    ] {
        let request = service.bare(Method::POST, "/oauth/token").header("content-type", kind).body(body);
        refused(&answer(request).await, 400, "invalid_request");
    }
    let long = "x".repeat(70_000);
    refused(&post(&service, "/oauth/token", &[GRANT, ("client_id", &long)]).await, 413, "invalid_request");
}

#[tokio::test]
async fn a_key_that_does_not_work_is_no_client() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let ask = || answer(asking(&service, "/oauth/token", &[GRANT]).basic_auth(&id, Some(&key)));
    service.patch(&format!("/v1/keys/{id}"), json!({ "state": "disabled" })).await.ok();
    let answered = ask().await;
    refused(&answered, 401, "invalid_client");
    assert_eq!(answered.body["reason"], "key_disabled");
    service.patch(&format!("/v1/keys/{id}"), json!({ "state": "active" })).await.ok();
    service.patch("/v1/teams/acme", json!({ "state": "disabled" })).await.ok();
    refused(&ask().await, 400, "unauthorized_client");
}

pub(crate) async fn introspect(service: &Service, bearer: Option<&str>, token: &str) -> Answer {
    let request = asking(service, "/oauth/introspect", &[("token", token), ("token_type_hint", "access_token")]);
    answer(match bearer {
        Some(bearer) => request.bearer_auth(bearer),
        None => request,
    })
    .await
}

fn inactive() -> Value {
    json!({ "active": false })
}

#[tokio::test]
async fn administrators_and_the_holder_may_introspect_a_token() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    let seen = introspect(&service, Some(ADMIN_TOKEN), &token).await.ok();
    let claims = claims(&token);
    assert_eq!(
        (&seen["active"], &seen["token_type"], &seen["client_id"]),
        (&json!(true), &json!("Bearer"), &json!(id))
    );
    assert_eq!(
        (&seen["scope"], &seen["team"], &seen["kind"]),
        (&json!("read write"), &json!("acme"), &json!("application"))
    );
    assert_eq!(
        (&seen["exp"], &seen["iat"], &seen["jti"]),
        (&json!(claims.expires), &json!(claims.issued), &json!(claims.session))
    );
    assert_eq!(introspect(&service, Some(&token), &token).await.ok(), seen);

    let (_, other) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    let other = token_of(&service, &other).await;
    assert_eq!(
        introspect(&service, Some(&other), &token).await.ok(),
        inactive(),
        "another's token is none of its business"
    );
    for bearer in [None, Some("neither"), Some(key.as_str())] {
        let refused_ = introspect(&service, bearer, &token).await;
        refused(&refused_, 401, "invalid_token");
        assert!(refused_.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
    }
    let missing = asking(&service, "/oauth/introspect", &[]).bearer_auth(ADMIN_TOKEN);
    let missing = missing.header("content-type", "application/x-www-form-urlencoded");
    refused(&answer(missing).await, 400, "invalid_request");
}

#[tokio::test]
async fn a_token_that_was_changed_by_one_bit_is_inactive() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    let (message, signature) = token.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    for forged in [
        format!("{message}.{flipped}{}", &signature[1..]),
        format!("{message}."),
        message.to_owned(),
        format!("{token} "),
        key.clone(),
        "x".to_owned(),
        "\u{0}".to_owned(),
    ] {
        assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &forged).await.ok(), inactive(), "{forged}");
    }
}

#[tokio::test]
async fn an_es256_token_in_its_other_spelling_is_no_token() {
    let folder = Folder::for_logins();
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_TOKEN_ALGORITHM", "ES256");
    let service = Service::start_as(command, folder).await;
    let (_, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let (r, s) = signature.split_scalars();
    let other = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let other = format!("{message}.{}", URL_SAFE_NO_PAD.encode(other.to_bytes()));
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &other).await.ok(), inactive());
    post(&service, "/oauth/revoke", &[("token", &other)]).await.ok();
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &token).await.ok()["active"], true);
}

#[tokio::test]
async fn introspection_tells_what_a_token_may_do_now() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &["read", "write"]).await;
    let token = text(&login(&service, as_ada()).await.ok(), "access_token").to_owned();
    service.patch("/v1/users/ada", json!({ "permissions": ["read", "admin"] })).await.ok();
    let seen = introspect(&service, Some(ADMIN_TOKEN), &token).await.ok();
    assert_eq!((&seen["scope"], &seen["username"]), (&json!("admin read"), &json!("ada")));
    service.patch("/v1/users/ada", json!({ "state": "disabled" })).await.ok();
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &token).await.ok(), inactive());
    service.patch("/v1/users/ada", json!({ "state": "active" })).await.ok();
    service.patch("/v1/teams/acme", json!({ "state": "disabled" })).await.ok();
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &token).await.ok(), inactive());
}

#[tokio::test]
async fn a_holder_revokes_its_token_and_unknown_ones_are_no_error() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    post(&service, "/oauth/revoke", &[("token", "unknown")]).await.ok();
    post(&service, "/oauth/revoke", &[("token", &format!("{token}x"))]).await.ok();
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &token).await.ok()["active"], true);
    refused(&post(&service, "/oauth/revoke", &[("token", "")]).await, 400, "invalid_request");
    post(&service, "/oauth/revoke", &[("token", &token), ("token_type_hint", "refresh_token")]).await.ok();
    post(&service, "/oauth/revoke", &[("token", &token)]).await.ok();
    assert_eq!(introspect(&service, Some(ADMIN_TOKEN), &token).await.ok(), inactive());
    assert_ne!(token_of(&service, &key).await, token, "a new login is given a new one");
    let audit = service.get("/v1/audit?action=session.revoke").await.ok();
    let entry = &audit["entries"][0];
    assert_eq!(entry["actor"], format!("session:{}", claims(&token).session), "{audit}");
}
