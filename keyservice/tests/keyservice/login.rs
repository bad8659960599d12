//! Logging in: what is shown, what is given, and when it is the same token again.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use keyservice::store::Database;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tollkeeper_contract::token::{Claims, Parts};

use crate::harness::{Answer, Service, answer, eventually, text};

/// A login that is yet to be sent.
pub(crate) fn asking(service: &Service, body: &Value) -> RequestBuilder {
    service.bare(Method::POST, "/auth/login").json(body)
}

pub(crate) async fn login(service: &Service, body: Value) -> Answer {
    answer(asking(service, &body)).await
}

/// Logs in with a key and gives the token.
pub(crate) async fn token_of(service: &Service, key: &str) -> String {
    text(&login(service, json!({ "api_key": key })).await.ok(), "access_token").to_owned()
}

/// Logs in with a key under a name and gives the token.
pub(crate) async fn token_as(service: &Service, key: &str, session: &str) -> String {
    text(&login(service, json!({ "api_key": key, "session_id": session })).await.ok(), "access_token").to_owned()
}

/// What a token says; nothing is verified.
pub(crate) fn claims(token: &str) -> Claims {
    Claims::parse(&Parts::split(token.as_bytes()).unwrap().claims).unwrap()
}

/// Makes the user `ada` of the team `acme`, with a password and these permissions.
pub(crate) async fn ada(service: &Service, permissions: &[&str]) {
    service.post("/v1/users", json!({ "id": "ada", "team": "acme", "permissions": permissions })).await.created();
    set_password(service, "ada", "correct horse").await;
}

pub(crate) async fn set_password(service: &Service, user: &str, password: &str) {
    let put = service.admin(Method::PUT, &format!("/v1/users/{user}/password")).json(&json!({ "password": password }));
    answer(put).await.ok();
}

pub(crate) fn as_ada() -> Value {
    json!({ "username": "ada", "password": "correct horse" })
}

/// A key of the team `acme`, by what is sent to make it; gives its id and its text.
pub(crate) async fn key_of(service: &Service, body: Value) -> (String, String) {
    let made = service.post("/v1/keys", body).await.created();
    (text(&made, "id").to_owned(), text(&made, "key").to_owned())
}

async fn acme(service: &Service) -> (String, String) {
    service.team("acme").await;
    key_of(service, json!({ "team": "acme", "scopes": ["read", "write"], "subject": "ci" })).await
}

#[tokio::test]
async fn a_key_is_given_a_bearer_token_for_two_hours() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let given = login(&service, json!({ "api_key": key, "session_id": "first" })).await;
    assert_eq!(
        (&given.headers["cache-control"], &given.headers["pragma"]),
        (&"no-store".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    let body = given.ok();
    assert_eq!(body["token_type"], "Bearer");
    assert!((7190..=7200).contains(&body["expires_in"].as_u64().unwrap()), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
    let token = text(&body, "access_token");
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("HS256"), &json!("JWT")));
    let claims = claims(token);
    assert_eq!((claims.issuer.as_str(), claims.audience.as_str()), ("tollkeeper", "tollkeeper"));
    assert_eq!((claims.subject.as_str(), claims.team.as_deref(), claims.enterprise), ("ci", Some("acme"), None));
    assert_eq!((claims.kind.as_str(), claims.scope.as_str()), ("application", "read write"));
    assert_eq!((claims.key_id, claims.client_session.as_deref()), (Some(id), Some("first")));
    assert_eq!((claims.expires - claims.issued, claims.not_before), (7200, claims.issued));
}

#[tokio::test]
async fn the_same_token_is_given_while_it_is_valid_also_after_a_restart() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    assert_eq!(token_of(&service, &key).await, token);
    let as_client = json!({ "client_id": id, "client_secret": key });
    assert_eq!(text(&login(&service, as_client).await.ok(), "access_token"), token, "the same credential");
    let service = Service::start_in(service.stop().await.1).await;
    assert_eq!(token_of(&service, &key).await, token);
}

#[tokio::test]
async fn a_session_id_of_its_own_is_given_a_token_of_its_own() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let names = ["", "a", "A", " a", "\u{0}", "ü", &"x".repeat(256)];
    let mut tokens = vec![token_of(&service, &key).await];
    for name in names {
        tokens.push(token_as(&service, &key, name).await);
        assert_eq!(token_as(&service, &key, name).await, *tokens.last().unwrap(), "{name:?}");
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), names.len() + 1);
}

#[tokio::test]
async fn a_user_logs_in_with_a_password() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &["read", "write"]).await;
    let token = text(&login(&service, as_ada()).await.ok(), "access_token").to_owned();
    assert_eq!(login(&service, as_ada()).await.ok()["access_token"], token);
    let claims = claims(&token);
    assert_eq!((claims.subject.as_str(), claims.kind.as_str(), claims.key_id), ("ada", "personal", None));
    assert_eq!((claims.team.as_deref(), claims.scope.as_str()), (Some("acme"), "*"));
    // A token for the user's key is another one.
    let (_, key) = key_of(&service, json!({ "kind": "personal", "user": "ada", "scopes": ["read", "admin"] })).await;
    let with_key = self::claims(&token_of(&service, &key).await);
    assert_eq!((with_key.subject.as_str(), with_key.scope.as_str()), ("ada", "admin read"));
    // The password is gone: so is the login.
    answer(service.admin(Method::PUT, "/v1/users/ada/password").json(&json!({ "password": null }))).await.ok();
    login(&service, as_ada()).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn a_login_is_exactly_one_of_three() {
    let service = Service::for_logins().await;
    for (body, field) in [
        (json!({}), "api_key"),
        (json!({ "session_id": "a" }), "api_key"),
        (json!({ "api_key": "k", "username": "u", "password": "p" }), "username"),
        (json!({ "api_key": "k", "client_secret": "s" }), "client_id"),
        (json!({ "username": "u", "password": "p", "client_id": "c" }), "client_id"),
        (json!({ "username": "u" }), "password"),
        (json!({ "password": "p" }), "username"),
        (json!({ "client_id": "c" }), "client_secret"),
        (json!({ "client_secret": "c" }), "client_id"),
        (json!({ "api_key": "k", "session_id": "x".repeat(257) }), "session_id"),
        (json!({ "api_key": 1 }), "api_key"),
        (json!({ "api_key": "k", "session_id": ["a"] }), "session_id"),
        (json!({ "api_key": "k", "scope": "read" }), "scope"),
    ] {
        let refused = login(&service, body.clone()).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], field, "{body}");
    }
    for broken in
        ["", "{", "[]", "\"key\"", "null", "{\"api_key\":\"\\ud800\"}", "{\"api_key\":\"a\",\"api_key\":\"b\"}"]
    {
        let request = service.bare(Method::POST, "/auth/login").header("content-type", "application/json").body(broken);
        assert_eq!(answer(request).await.status, 400, "{broken}");
    }
    let form = service.bare(Method::POST, "/auth/login").form(&[("api_key", "k")]);
    answer(form).await.refused(415, "unsupported_media_type");
    let long = json!({ "api_key": "x".repeat(70_000) });
    login(&service, long).await.refused(413, "body_too_large");
    answer(service.bare(Method::GET, "/auth/login")).await.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn keys_that_do_not_work_log_nobody_in() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let body = || json!({ "api_key": key });
    let path = format!("/v1/keys/{id}");
    login(&service, body()).await.ok();
    service.patch(&path, json!({ "state": "disabled" })).await.ok();
    login(&service, body()).await.refused(401, "key_disabled");
    service.patch(&path, json!({ "state": "active", "not_before": "2999-01-01T00:00:00Z" })).await.ok();
    login(&service, body()).await.refused(401, "key_not_yet_valid");
    service.patch(&path, json!({ "not_before": null, "expires": "2020-01-01T00:00:00Z" })).await.ok();
    login(&service, body()).await.refused(401, "key_expired");
    service.patch(&path, json!({ "expires": null })).await.ok();
    service.patch("/v1/teams/acme", json!({ "state": "disabled" })).await.ok();
    login(&service, body()).await.refused(403, "team_disabled");
    service.patch("/v1/teams/acme", json!({ "state": "active" })).await.ok();
    login(&service, body()).await.ok();
    service.post(&format!("{path}/revoke"), json!({})).await.ok();
    login(&service, body()).await.refused(401, "key_revoked");
    service.delete(&path).await.ok();
    login(&service, body()).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn disabled_users_and_enterprises_log_nobody_in() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &["read"]).await;
    let (_, key) = key_of(&service, json!({ "kind": "personal", "user": "ada" })).await;
    service.patch("/v1/users/ada", json!({ "state": "disabled" })).await.ok();
    login(&service, as_ada()).await.refused(401, "user_disabled");
    login(&service, json!({ "api_key": key })).await.refused(401, "user_disabled");
    service.post("/v1/enterprises", json!({ "id": "corp" })).await.created();
    service.post("/v1/service-accounts", json!({ "id": "robot", "enterprise": "corp" })).await.created();
    let (_, key) = key_of(&service, json!({ "service_account": "robot", "scopes": ["read"] })).await;
    let claims = claims(&token_of(&service, &key).await);
    assert_eq!((claims.team, claims.enterprise.as_deref()), (None, Some("corp")));
    assert_eq!((claims.kind.as_str(), claims.subject.as_str()), ("enterprise_service_account", "robot"));
    service.patch("/v1/enterprises/corp", json!({ "state": "disabled" })).await.ok();
    login(&service, json!({ "api_key": key })).await.refused(403, "enterprise_disabled");
}

#[tokio::test]
async fn a_token_ends_no_later_than_its_key() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let before = token_of(&service, &key).await;
    let ends = claims(&before).issued + 600;
    let expires = keyservice::domain::Moment::from_unix(ends).unwrap().to_string();
    service.patch(&format!("/v1/keys/{id}"), json!({ "expires": expires })).await.ok();
    let given = login(&service, json!({ "api_key": key })).await.ok();
    assert_ne!(given["access_token"], before);
    assert_eq!(claims(text(&given, "access_token")).expires, ends);
    assert!(given["expires_in"].as_u64().unwrap() <= 600);
}

#[tokio::test]
async fn what_would_be_granted_otherwise_now_is_told_by_a_new_token() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let before = token_of(&service, &key).await;
    service.patch(&format!("/v1/keys/{id}"), json!({ "name": "another name" })).await.ok();
    assert_eq!(token_of(&service, &key).await, before, "the token does not tell the name");
    service.patch(&format!("/v1/keys/{id}"), json!({ "scopes": ["read"] })).await.ok();
    let narrowed = token_of(&service, &key).await;
    assert_eq!(claims(&narrowed).scope, "read");
    assert_eq!(token_of(&service, &key).await, narrowed);
    service.patch(&format!("/v1/keys/{id}"), json!({ "subject": "another" })).await.ok();
    assert_eq!(claims(&token_of(&service, &key).await).subject, "another");

    ada(&service, &["read", "write"]).await;
    let before = login(&service, as_ada()).await.ok()["access_token"].clone();
    service.patch("/v1/users/ada", json!({ "permissions": ["write"] })).await.ok();
    // Filters add what the user may at every moment, so the token need not.
    let after = login(&service, as_ada()).await.ok();
    assert_eq!(after["access_token"], before);
    assert_eq!(claims(text(&after, "access_token")).scope, "*");
}

#[tokio::test]
async fn a_bound_key_is_shown_from_its_origin_only_and_binds_its_token() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    let body =
        json!({ "team": "acme", "scopes": [], "origin": { "webhook_url": "https://myCoolApp.com/api/webhook" } });
    let (_, key) = key_of(&service, body).await;
    let body = json!({ "api_key": key });
    let from = |origins: &[&str]| {
        let origins = origins.iter().map(|origin| ("origin", (*origin).to_owned())).collect::<Vec<_>>();
        let request = asking(&service, &body);
        let request = origins.iter().fold(request, |request, (name, value)| request.header(*name, value));
        answer(request)
    };
    from(&[]).await.refused(403, "origin_mismatch");
    from(&["null"]).await.refused(403, "origin_mismatch");
    from(&["evil.example/api"]).await.refused(403, "origin_mismatch");
    from(&["mycoolapp.com/api", "mycoolapp.com/api"]).await.refused(403, "origin_mismatch");
    let given = from(&["MyCoolApp.com/api"]).await.ok();
    assert_eq!(claims(text(&given, "access_token")).origin.as_deref(), Some("mycoolapp.com/api"));
}

#[tokio::test]
async fn logins_at_the_same_time_are_given_one_token() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let logins = (0..20).map(|_| tokio::spawn(asking(&service, &json!({ "api_key": key })).send()));
    let mut tokens = Vec::new();
    for login in logins.collect::<Vec<_>>() {
        let given: Value = login.await.unwrap().unwrap().json().await.unwrap();
        tokens.push(text(&given, "access_token").to_owned());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn a_token_that_filters_would_not_read_is_not_given() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    let scopes: Vec<_> = (0..32).map(|number| format!("{number:064}")).collect();
    let (_, key) = key_of(&service, json!({ "team": "acme", "scopes": scopes })).await;
    token_of(&service, &key).await;
    let longest = json!({ "api_key": key, "session_id": "\u{1}".repeat(256) });
    login(&service, longest).await.refused(400, "token_too_long");
}

/// Copies the one session that there is, without making logins of it.
async fn copy_session(database: &Database, times: u32) {
    use sqlx::{AssertSqlSafe, ConnectOptions, sqlite::SqliteConnectOptions};
    let copy = |digest: &str| {
        AssertSqlSafe(format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {times})
             INSERT INTO sessions (id, digest, credential, key_id, user_id, team, sid_digest, current, kid, claims,
                                   created_at, expires)
             SELECT 'copy' || n, {digest}, credential, key_id, user_id, team, sid_digest, 0, kid, claims, created_at,
                    expires
             FROM sessions, n"
        ))
    };
    match database {
        Database::Sqlite(path) => {
            let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            sqlx::query(copy("randomblob(32)")).execute(&mut connection).await.unwrap();
        }
        Database::Postgres(options) => {
            let mut connection = options.connect().await.unwrap();
            sqlx::query(copy("sha256(('copy' || n)::bytea)")).execute(&mut connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn ten_thousand_live_sessions_of_one_credential_are_enough() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    copy_session(&service.folder.database(), 9999).await;
    let refused = login(&service, json!({ "api_key": key, "session_id": "one more" })).await;
    refused.refused(429, "too_many_sessions");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(token_of(&service, &key).await, token, "the one that is there is given");
    // Nodes remember a revoked one until its token ends, so revoking makes no room.
    service.post("/v1/sessions/copy1/revoke", json!({})).await.ok();
    let refused = login(&service, json!({ "api_key": key, "session_id": "one more" })).await;
    refused.refused(429, "too_many_sessions");
}

#[tokio::test]
async fn nothing_secret_of_a_login_is_kept_or_logged() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    ada(&service, &["read"]).await;
    let token = token_of(&service, &key).await;
    let (_, signature) = token.rsplit_once('.').unwrap();
    login(&service, as_ada()).await.ok();
    login(&service, json!({ "username": "ada", "password": "a wrong password" }))
        .await
        .refused(401, "invalid_credentials");
    login(&service, json!({ "api_key": "a-wrong-key" })).await.refused(401, "invalid_credentials");
    service.get("/v1/sessions").await.ok();
    service.get("/v1/audit").await.ok();
    let revoke = service.bare(Method::POST, "/oauth/revoke").form(&[("token", token.as_str())]);
    answer(revoke).await.ok();
    let log = eventually("the log has it all", async || {
        Some(service.log()).filter(|log| log.contains("\"route\":\"/oauth/revoke\""))
    })
    .await;
    assert!(log.contains("\"route\":\"/auth/login\""), "{log}");
    let (_, folder) = service.stop().await;
    let hidden =
        [key.as_str(), signature, "correct horse", "a wrong password", "a-wrong-key", crate::harness::SIGNING_SECRET];
    for file in folder.path().read_dir().unwrap().map(|file| file.unwrap().path()) {
        let bytes = std::fs::read(&file).unwrap();
        for hidden in hidden {
            let found = bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes());
            assert!(!found, "{hidden} is in {}", file.display());
        }
    }
}
