//! The keys that sign tokens: made at first start, replaced, and never told.

use std::time::Instant;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use keyservice::{domain::Moment, store::Database};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tollkeeper_contract::{
    Digest, TokenKeyRecord, TokenMaterial,
    page::{Cursor, Table},
    token::Parts,
};

use super::{
    login::{key_of, login, token_as, token_of},
    oauth::introspect,
};
use crate::{
    harness::{ADMIN_TOKEN, Folder, Service, answer, eventually, node_token, serve_in, text},
    replica::Replica,
};

const OTHER_SECRET: (&str, &str) = ("TOLLKEEPER_SIGNING_SECRET", "another-secret-of-the-tests-0123456789-0123456");

async fn start_with(folder: Folder, settings: &[(&str, &str)]) -> Service {
    let mut command = serve_in(&folder);
    command.envs(settings.iter().copied());
    Service::start_as(command, folder).await
}

async fn key_of_acme(service: &Service) -> String {
    service.team("acme").await;
    key_of(service, json!({ "team": "acme", "scopes": ["read"] })).await.1
}

fn kid(token: &str) -> String {
    Parts::split(token.as_bytes()).unwrap().header.kid
}

async fn jwks(service: &Service) -> Vec<Value> {
    let jwks = answer(service.bare(Method::GET, "/.well-known/jwks.json")).await;
    assert!(jwks.headers["cache-control"].to_str().unwrap().starts_with("public"));
    jwks.ok()["keys"].as_array().unwrap().clone()
}

async fn token_keys(service: &Service) -> Vec<Value> {
    service.get("/v1/token-keys").await.ok()["token_keys"].as_array().unwrap().clone()
}

/// Whether a node that took a snapshot now takes the token: it verifies it with what it was told.
async fn is_taken(service: &Service, token: &str) -> bool {
    let parts = Parts::split(token.as_bytes()).unwrap();
    let (replica, _) = Replica::snapshot(service).await;
    let cursor = Cursor { table: Table::TokenKeys, digest: Digest::of(parts.header.kid.as_bytes()) };
    let Some(record) = replica.records.get(&cursor) else { return false };
    let record = TokenKeyRecord::decode(record).unwrap();
    assert_eq!(record.kid, parts.header.kid);
    match record.material {
        TokenMaterial::Hs256(salt) => {
            let mac = Hmac::<Sha256>::new_from_slice(&node_token().token_secret(salt)).unwrap();
            mac.chain_update(parts.signed).verify_slice(&parts.signature).is_ok()
        }
        TokenMaterial::EdDsa(key) => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(&parts.signature).unwrap();
            ed25519_dalek::Verifier::verify(&key, parts.signed, &signature).is_ok()
        }
        TokenMaterial::Es256(key) => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
            let signature = p256::ecdsa::Signature::from_slice(&parts.signature).unwrap();
            p256::ecdsa::signature::Verifier::verify(&key, parts.signed, &signature).is_ok()
        }
    }
}

#[tokio::test]
async fn nodes_can_verify_tokens_of_every_algorithm() {
    for algorithm in ["HS256", "EdDSA", "ES256"] {
        let service = start_with(Folder::for_logins(), &[("TOLLKEEPER_TOKEN_ALGORITHM", algorithm)]).await;
        let key = key_of_acme(&service).await;
        let token = token_of(&service, &key).await;
        assert_eq!(Parts::split(token.as_bytes()).unwrap().header.algorithm.as_str(), algorithm);
        assert!(is_taken(&service, &token).await, "{algorithm}");
        assert_eq!(token_of(&service, &key).await, token, "{algorithm}");
        let jwks = jwks(&service).await;
        if algorithm == "HS256" {
            assert!(jwks.is_empty(), "a secret was told: {jwks:?}");
            continue;
        }
        assert_eq!((&jwks[0]["kid"], &jwks[0]["alg"]), (&json!(kid(&token)), &json!(algorithm)));
        assert_eq!(URL_SAFE_NO_PAD.decode(text(&jwks[0], "x")).unwrap().len(), 32);
    }
}

/// Logs in again and again, under a new name each time, until another key signs; gives the last token.
async fn when_another_key_signs(service: &Service, key: &str, before: &str) -> String {
    let mut number = 0;
    eventually("another key signs", async || {
        number += 1;
        let token = token_as(service, key, &format!("number {number}")).await;
        assert!(is_taken(service, &token).await);
        (kid(&token) != before).then_some(token)
    })
    .await
}

async fn token_key(service: &Service, kid: &str) -> Value {
    token_keys(service).await.into_iter().find(|key| key["kid"] == kid).unwrap()
}

fn unix(time: &str) -> u64 {
    Moment::parse(time).unwrap().unix()
}

async fn is_active(service: &Service, token: &str) -> bool {
    introspect(service, Some(ADMIN_TOKEN), token).await.ok()["active"] == true
}

#[tokio::test]
async fn a_new_key_signs_when_nodes_have_had_the_time_to_get_it() {
    let service = start_with(Folder::for_logins(), &[("TOLLKEEPER_TOKEN_SECONDS", "3600")]).await;
    let key = key_of_acme(&service).await;
    let first = text(&token_keys(&service).await[0], "kid").to_owned();
    let made = service.post("/v1/token-keys", json!({})).await.created();
    assert_eq!((&made["state"], &made["ours"]), (&json!("active"), &json!(true)));
    // What a node has that has not heard of the new key takes what is given now.
    let token = token_of(&service, &key).await;
    assert_eq!(kid(&token), first);
    let before = token_key(&service, &first).await;
    assert_eq!(before["state"], "active");
    assert_eq!(unix(text(&before, "retired_at")), unix(text(&made, "created_at")) + 10);
    assert!(unix(text(&before, "ends_at")) >= super::login::claims(&token).expires, "{before}");

    let after = when_another_key_signs(&service, &key, &first).await;
    assert_eq!(kid(&after), text(&made, "kid"));
    assert!(super::login::claims(&after).issued >= unix(text(&made, "created_at")) + 10);
    let before = token_key(&service, &first).await;
    assert_eq!(before["state"], "retired");
    assert!(is_taken(&service, &token).await, "until its last token ends");
    assert_eq!(token_of(&service, &key).await, token, "it is still valid");
    // A restart without the setting goes on with the newest key.
    let service = Service::start_in(service.stop().await.1).await;
    assert_eq!(kid(&token_as(&service, &key, "after the restart").await), kid(&after));
}

#[tokio::test]
async fn a_start_with_another_algorithm_makes_a_key_for_it() {
    let service = Service::for_logins().await;
    let key = key_of_acme(&service).await;
    let before = token_of(&service, &key).await;
    let folder = service.stop().await.1;
    let service = start_with(folder, &[("TOLLKEEPER_TOKEN_ALGORITHM", "ES256")]).await;
    let after = when_another_key_signs(&service, &key, &kid(&before)).await;
    assert_eq!(Parts::split(after.as_bytes()).unwrap().header.algorithm.as_str(), "ES256");
    assert!(is_taken(&service, &before).await);
}

#[tokio::test]
async fn another_signing_secret_signs_with_a_key_of_its_own_and_ends_no_token() {
    for algorithm in ["HS256", "EdDSA", "ES256"] {
        let settings = [("TOLLKEEPER_TOKEN_ALGORITHM", algorithm)];
        let service = start_with(Folder::for_logins(), &settings).await;
        let key = key_of_acme(&service).await;
        let (before, revoked) = (token_of(&service, &key).await, token_as(&service, &key, "to be revoked").await);
        let service = start_with(service.stop().await.1, &[OTHER_SECRET]).await;
        assert!(service.log().contains("was made from another signing secret"), "{}", service.log());
        let after = token_of(&service, &key).await;
        assert_ne!(kid(&after), kid(&before), "{algorithm}");
        assert_eq!(Parts::split(after.as_bytes()).unwrap().header.algorithm.as_str(), algorithm);
        assert_eq!(token_of(&service, &key).await, after, "the same token again");
        for token in [&before, &after, &revoked] {
            assert!(is_taken(&service, token).await && is_active(&service, token).await, "{algorithm}");
        }
        let old = token_key(&service, &kid(&before)).await;
        assert_eq!(old["ours"], false);
        assert!(unix(text(&old, "ends_at")) >= super::login::claims(&before).expires);
        assert_eq!(jwks(&service).await.len(), if algorithm == "HS256" { 0 } else { 2 });

        let form = [("token", revoked.as_str())];
        answer(service.bare(Method::POST, "/oauth/revoke").form(&form)).await.ok();
        assert!(!is_active(&service, &revoked).await && is_active(&service, &before).await, "{algorithm}");
    }
}

/// A login is answered only when the node, which calls a good while later, has the key.
async fn holds_a_login_back(service: &Service, key: &str, replica: &mut Replica) {
    let (answered, (had, told)) = tokio::join!(
        async {
            token_of(service, key).await;
            Instant::now()
        },
        async {
            // Longer than any login takes that waits for nobody.
            for _ in 0..50 {
                service.get("/v1/fleet").await.ok();
            }
            let had = Instant::now();
            replica.follow(service, 0).await.unwrap();
            replica.follow(service, 0).await.unwrap();
            (had, Instant::now())
        }
    );
    println!("a login was held back for {:?} after the node had its key", answered.saturating_duration_since(told));
    assert!(answered > had, "the token was given out before the node could know its key");
}

#[tokio::test]
async fn a_token_whose_key_no_node_has_is_held_back_until_they_have_it() {
    let service = Service::for_logins().await;
    let key = key_of_acme(&service).await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    replica.catch_up(&service).await;
    let service = start_with(service.stop().await.1, &[OTHER_SECRET]).await;
    holds_a_login_back(&service, &key, &mut replica).await;
}

/// All keys were made an hour earlier.
async fn age_token_keys(database: &Database) {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
    let age = "UPDATE token_keys SET created_at = created_at - 3600";
    match database {
        Database::Sqlite(path) => {
            let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
            sqlx::query(age).execute(&mut connection).await.unwrap();
        }
        Database::Postgres(options) => {
            let mut connection = options.connect().await.unwrap();
            sqlx::query(age).execute(&mut connection).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_token_is_held_back_although_its_key_is_old_if_nobody_could_get_it_meanwhile() {
    let service = Service::for_logins().await;
    let key = key_of_acme(&service).await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    replica.catch_up(&service).await;
    // This one makes the key, and ends before any node calls it.
    let folder = start_with(service.stop().await.1, &[OTHER_SECRET]).await.stop().await.1;
    age_token_keys(&folder.database()).await;
    let service = start_with(folder, &[OTHER_SECRET]).await;
    holds_a_login_back(&service, &key, &mut replica).await;
}

#[tokio::test]
async fn keys_of_a_secret_that_leaked_are_ended_at_once() {
    let service = Service::for_logins().await;
    let key = key_of_acme(&service).await;
    let before = token_of(&service, &key).await;
    let service = start_with(service.stop().await.1, &[OTHER_SECRET]).await;
    let between = token_of(&service, &key).await;
    let made = service.post("/v1/token-keys", json!({ "end_others": true })).await.created();
    for token in [&before, &between] {
        assert!(!is_taken(&service, token).await && !is_active(&service, token).await);
        assert!(token_keys(&service).await.iter().all(|key| text(key, "kid") != kid(token)), "it is gone");
    }
    let after = token_of(&service, &key).await;
    assert_eq!(kid(&after), text(&made, "kid"), "there is no other to sign with meanwhile");
    assert!(is_taken(&service, &after).await && is_active(&service, &after).await);
    let ended = service.get("/v1/audit?action=token_key.end").await.ok();
    assert_eq!(ended["entries"].as_array().unwrap().len(), 2, "{ended}");
}

#[tokio::test]
async fn a_key_that_leaked_is_taken_from_nodes_although_its_last_token_has_ended() {
    let service = Service::for_logins().await;
    let unused = text(&token_keys(&service).await[0], "kid").to_owned();
    service.post("/v1/token-keys", json!({})).await.created();
    // It signed nothing, so it ends as soon as the new one has settled.
    eventually("the key has ended", async || (token_key(&service, &unused).await["state"] == "ended").then_some(()))
        .await;
    let cursor = Cursor { table: Table::TokenKeys, digest: Digest::of(unused.as_bytes()) };
    assert!(Replica::snapshot(&service).await.0.records.contains_key(&cursor), "nodes keep it for a while");
    service.post("/v1/token-keys", json!({ "end_others": true })).await.created();
    assert!(!Replica::snapshot(&service).await.0.records.contains_key(&cursor));
}

#[tokio::test]
async fn another_node_token_makes_another_key_where_it_takes_part_in_keys() {
    for (algorithm, is_same) in [("HS256", false), ("EdDSA", true)] {
        let settings = [("TOLLKEEPER_TOKEN_ALGORITHM", algorithm)];
        let service = start_with(Folder::for_logins(), &settings).await;
        let key = key_of_acme(&service).await;
        let before = token_of(&service, &key).await;
        let other = ("TOLLKEEPER_NODE_TOKEN", "another-node-token-of-the-tests-0123456789-0123456789");
        let service = start_with(service.stop().await.1, &[settings[0], other]).await;
        let after = token_of(&service, &key).await;
        assert_eq!((after == before, kid(&after) == kid(&before)), (is_same, is_same), "{algorithm}");
        // Nodes with the new node token cannot verify the old secret's, and neither says the service that they do.
        assert_eq!(is_active(&service, &before).await, is_same, "{algorithm}");
        assert!(is_active(&service, &after).await, "{algorithm}");
    }
}

#[tokio::test]
async fn without_a_signing_secret_nobody_logs_in_and_the_rest_works() {
    let folder = Folder::for_logins();
    let mut command = serve_in(&folder);
    command.env_remove("TOLLKEEPER_SIGNING_SECRET");
    let service = Service::start_as(command, folder).await;
    let key = key_of_acme(&service).await;
    login(&service, json!({ "api_key": key })).await.refused(503, "login_not_configured");
    service.post("/v1/token-keys", json!({})).await.refused(503, "login_not_configured");
    assert!(jwks(&service).await.is_empty());
    let form = [("grant_type", "client_credentials"), ("client_id", "a"), ("client_secret", "b")];
    let refused = answer(service.bare(Method::POST, "/oauth/token").form(&form)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]), (503, &json!("temporarily_unavailable")));
}

#[tokio::test]
async fn settings_of_tokens_stand_in_them() {
    let settings = [
        ("TOLLKEEPER_ISSUER", "https://login.acme.example"),
        ("TOLLKEEPER_AUDIENCE", "api"),
        ("TOLLKEEPER_TOKEN_SECONDS", "60"),
    ];
    let service = start_with(Folder::for_logins(), &settings).await;
    let key = key_of_acme(&service).await;
    let given = login(&service, json!({ "api_key": key })).await.ok();
    assert!((50..=60).contains(&given["expires_in"].as_u64().unwrap()), "{given}");
    let token = text(&given, "access_token");
    let claims = super::login::claims(token);
    assert_eq!((claims.issuer.as_str(), claims.audience.as_str()), ("https://login.acme.example", "api"));
    // Another issuer's token is not given again.
    let service = start_with(service.stop().await.1, &[("TOLLKEEPER_AUDIENCE", "api")]).await;
    assert_ne!(token_of(&service, &key).await, token);
}

#[tokio::test]
async fn a_wrong_request_for_a_token_key_is_refused() {
    let service = Service::for_logins().await;
    for bad in [
        json!({ "algorithm": "none" }),
        json!({ "algorithm": "RS256" }),
        json!({ "end_others": 1 }),
        json!({ "kid": "mine" }),
    ] {
        service.post("/v1/token-keys", bad).await.refused(400, "invalid_field");
    }
    assert_eq!(token_keys(&service).await.len(), 1);
    answer(service.bare(Method::POST, "/v1/token-keys")).await.refused(401, "missing_token");
    assert!(!service.log().contains(ADMIN_TOKEN));
}

#[test]
fn weak_secrets_and_wrong_settings_are_refused_at_start() {
    for (name, value, expected) in [
        ("TOLLKEEPER_SIGNING_SECRET", "too-short-for-a-signing-secret", "at least 43 visible ASCII characters"),
        ("TOLLKEEPER_SIGNING_SECRET_FILE", "/nowhere", "are both set"),
        ("TOLLKEEPER_NODE_TOKEN", "too-short-where-tokens-are-signed", "with a signing secret"),
        ("TOLLKEEPER_TOKEN_SECONDS", "59", "from 60 to 86400"),
        ("TOLLKEEPER_TOKEN_ALGORITHM", "none", "must be HS256, EdDSA or ES256"),
        ("TOLLKEEPER_ISSUER", "with a space", "1 to 256 visible ASCII characters"),
    ] {
        let folder = Folder::for_logins();
        let output = serve_in(&folder).env(name, value).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("too-short"), "{message}");
    }
}
