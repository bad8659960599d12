//! Enterprises, teams, users, accounts and keys, made and changed so that the filter knows them when a test goes on.

use std::time::Duration;

use lab::edge::Edge;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tollkeeper_contract::Digest;

use crate::scene::Outcome;

const LIMIT: Duration = Duration::from_secs(20);

/// Makes something with `POST path`, and waits until the filter knows it.
pub(crate) async fn made(edge: &Edge, path: &str, description: Value) -> Value {
    let made = edge.key_service().post(path, &description).await.unwrap();
    known(edge, &made).await;
    made
}

/// Changes something with `PATCH path`, and waits until the filter knows it.
pub(crate) async fn changed(edge: &Edge, path: &str, changes: Value) -> Value {
    let changed = edge.key_service().patch(path, &changes).await.unwrap();
    known(edge, &changed).await;
    changed
}

/// Nodes are not told of everything, such as service accounts; what they are told of has a revision.
async fn known(edge: &Edge, answer: &Value) {
    if let Some(revision) = answer["revision"].as_u64() {
        edge.serves(revision).await;
    }
}

/// Makes an enterprise with an active team for each name.
pub(crate) async fn enterprise(edge: &Edge, id: &str, teams: &[&str]) {
    made(edge, "/v1/enterprises", json!({ "id": id, "name": id })).await;
    for team in teams {
        made(edge, "/v1/teams", json!({ "id": team, "name": team, "enterprise": id })).await;
    }
}

/// Makes a user of a team.
pub(crate) async fn user(edge: &Edge, id: &str, team: &str, permissions: &[&str]) {
    edge.key_service().create_team(team, team).await.unwrap();
    let user = json!({ "id": id, "name": id, "team": team, "permissions": permissions });
    made(edge, "/v1/users", user).await;
}

/// Makes a key; its answer.
pub(crate) async fn key(edge: &Edge, description: Value) -> Value {
    made(edge, "/v1/keys", description).await
}

/// Makes a service account of a team with its key; the key's answer.
pub(crate) async fn service_account(edge: &Edge, id: &str, team: &str) -> Value {
    edge.key_service().create_team(team, team).await.unwrap();
    made(edge, "/v1/service-accounts", json!({ "id": id, "name": id, "team": team })).await;
    key(edge, json!({ "service_account": id, "scopes": ["read", "write"] })).await
}

/// Makes a service account of an enterprise with its key; the key's text.
pub(crate) async fn enterprise_key(edge: &Edge, enterprise: &str) -> String {
    let id = format!("{enterprise}-robot");
    made(edge, "/v1/service-accounts", json!({ "id": id, "name": id, "enterprise": enterprise })).await;
    text(&key(edge, json!({ "service_account": id, "scopes": ["read", "write"] })).await)
}

/// Makes the very text `key` a key, by its hash; its id is `id`.
pub(crate) async fn imported(edge: &Edge, key: &str, id: &str, team: &str, scopes: &[&str]) {
    edge.key_service().create_team(team, team).await.unwrap();
    let digest = Digest::of(key.as_bytes()).to_hex();
    let keys = json!({ "keys": [{ "digest": digest, "id": id, "team": team, "scopes": scopes }] });
    let imported = edge.key_service().post("/v1/keys/import", &keys).await.unwrap();
    assert_eq!(imported["imported"], 1, "{imported}");
    known(edge, &edge.key_service().key(id).await.unwrap()).await;
}

/// The text of a key that was just made.
pub(crate) fn text(key: &Value) -> String {
    key["key"].as_str().unwrap_or_else(|| panic!("no key was made: {key}")).to_owned()
}

/// The id of what was made.
pub(crate) fn id(made: &Value) -> String {
    made["id"].as_str().unwrap_or_else(|| panic!("it has no id: {made}")).to_owned()
}

/// What the key service says to a request that it refuses: status and reason.
pub(crate) async fn refused(edge: &Edge, path: &str, description: Value) -> (StatusCode, String) {
    let answer = edge.key_service().request(reqwest::Method::POST, path).json(&description).send().await.unwrap();
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap();
    (status, problem["reason"].as_str().unwrap_or_default().to_owned())
}

/// Sends until the answer has this reason (`""`: until it is granted), for what has no revision to wait for.
pub(crate) async fn becomes(edge: &Edge, reason: &str, send: impl AsyncFn() -> Outcome) {
    edge.wait_until(&format!("the answer is {reason:?}"), LIMIT, async || {
        let outcome = send().await;
        let is_so = outcome.header("x-auth-reason") == reason && outcome.status() != 503;
        is_so.then_some(())
    })
    .await;
}
