//! Nothing secret is kept or told.

use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;
use tollkeeper_contract::Digest;

use crate::harness::{ADMIN_TOKEN, Folder, NODE_TOKEN, Service, answer, node_token, text};

/// All that a service keeps and tells: its files, and the rows of a database that is none of them.
async fn everything(folder: &Folder) -> Vec<(PathBuf, Vec<u8>)> {
    let files = folder.path().read_dir().unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files.map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
    found.push(("the rows of the database".into(), folder.database.rows().await));
    found
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn no_key_and_no_token_is_in_the_database_or_the_log() {
    let service = Service::start().await;
    service.team("acme").await;
    let body = json!({ "team": "acme", "scopes": ["read"] });
    let request = service.admin(Method::POST, "/v1/keys").header("idempotency-key", "a-key-of-the-client");
    let made = answer(request.json(&body)).await.created();
    let key = text(&made, "key").to_owned();
    // What clients put where it does not belong must not reach the log either.
    service.get(&format!("/v1/keys/{key}")).await.refused(404, "unknown_key");
    service.get(&format!("/v1/keys?after={key}")).await.refused(400, "invalid_field");
    service.post("/v1/keys", json!({ "key": key })).await.refused(400, "invalid_field");
    answer(service.bare(Method::GET, "/v1/keys").bearer_auth(&key)).await.refused(401, "wrong_token");
    service.node(Method::GET, "/node/v1/snapshot?nonce=1").send().await.unwrap();
    let log = service.log();
    assert!(log.contains("\"route\":\"/v1/keys/{id}\""), "{log}");
    assert!(log.contains("\"node\":\"edge-1\""), "{log}");

    let secret = key.split('_').nth(4).unwrap();
    let mut files = everything(&service.folder).await;
    let (_, folder) = service.stop().await;
    files.extend(everything(&folder).await);
    let node = node_token();
    for (file, bytes) in &files {
        for hidden in [key.as_str(), secret, ADMIN_TOKEN, NODE_TOKEN, node.shown(), "a-key-of-the-client"] {
            assert!(!contains(bytes, hidden.as_bytes()), "{hidden} is in {}", file.display());
        }
    }
    // The search itself works: the digest is there.
    let digest = Digest::of(key.as_bytes());
    let hexadecimal = digest.to_hex();
    let is_there = |bytes: &[u8]| contains(bytes, digest.as_bytes()) || contains(bytes, hexadecimal.as_bytes());
    assert!(files.iter().any(|(_, bytes)| is_there(bytes)));
}

#[tokio::test]
async fn the_database_has_argon2id_instead_of_a_password() {
    let service = Service::start().await;
    service.team("acme").await;
    service.user("ann", "acme").await;
    let set = service.admin(Method::PUT, "/v1/users/ann/password").json(&json!({ "password": "correct horse" }));
    assert_eq!(answer(set).await.status, 204);
    let (_, folder) = service.stop().await;
    let everything = everything(&folder).await;
    assert!(everything.iter().any(|(_, bytes)| contains(bytes, b"$argon2id$v=19$m=19456,t=2,p=1$")));
    assert!(!everything.iter().any(|(_, bytes)| contains(bytes, b"correct horse")));
}

#[tokio::test]
async fn answers_with_keys_are_not_to_be_cached() {
    let service = Service::start().await;
    service.team("acme").await;
    let made = service.post("/v1/keys", json!({ "team": "acme", "scopes": [] })).await;
    assert_eq!(made.headers["cache-control"], "no-store");
}
