//! Parts break while requests of every sort flow and changes are made: who gets in, who does not, what is lost, and how long
//! it takes until all is as before.

pub(crate) mod changes;
mod clocks;
mod course;
mod disk;
mod envoy;
mod flow;
mod key_service;
mod network;
mod records;
mod soak;
pub(crate) mod sort;
mod stores;
pub(crate) mod traffic;
mod traps;

use std::{env, time::Duration};

use lab::{
    edge::{Edge, Setup},
    key_service::KeyService,
};
use reqwest::RequestBuilder;
use serde_json::json;

pub(crate) use self::course::Course;
use self::{
    course::{survives, takes},
    sort::{PATH, Sort},
};
use crate::{connections::Connections, scene};

/// For whatever is waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How long something is broken: a moment, or as long as `make hold` says.
pub(crate) fn lasting() -> Duration {
    Duration::from_secs(number("FAULT_SECONDS", 1))
}

/// A number from the environment, or else this one.
pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect(variable))
}

/// As the tests here want an edge.
pub(crate) fn with_tokens(setup: Setup) -> Setup {
    setup.filter(|filter| filter["tokens"] = json!({ "issuer": "tollkeeper" }))
}

/// Calls to the key service take eight seconds at most, so that a test sees how they are given up. It is more than a request may
/// take on a busy machine: whoever waited for such a call would be seen.
pub(crate) fn gives_up_soon(setup: Setup) -> Setup {
    setup.filter(|filter| {
        filter["key_service"]["timeout_ms"] = json!(8_000);
        filter["key_service"]["poll_seconds"] = json!(1);
    })
}

/// How many questions about the table were not answered, or not well.
pub(crate) async fn sync_failures(edge: &Edge) -> u64 {
    edge.stat("wasmcustom.tollkeeper.sync_failures.instance.edge").await.unwrap_or(0)
}

/// Waits until there are more of them.
pub(crate) async fn sync_fails(edge: &Edge, failures: u64) {
    edge.wait_until("a question is given up", LIMIT, async || (sync_failures(edge).await > failures).then_some(()))
        .await;
}

/// Requests with and without a right to, of everything that there is.
pub(crate) async fn sorts(edge: &Edge) -> Vec<Sort> {
    let sorts = sorts_by(edge.key_service()).await;
    // Whatever is made later has a later revision.
    edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    sorts
}

async fn sorts_by(service: &KeyService) -> Vec<Sort> {
    let read = |team| json!({ "team": team, "scopes": ["read"] });
    for team in ["acme", "globex"] {
        service.create_team(team, team).await.unwrap();
    }
    let key = service.create_key(&read("acme")).await.unwrap().key;
    let foreign = service.create_key(&read("globex")).await.unwrap().key;
    let revoked = service.create_key(&read("acme")).await.unwrap();
    service.revoke_key(&revoked.id).await.unwrap();
    let token = log_in(service, &key).await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", &signature[1..]);
    let room = json!({ "quota": { "limit": 1_000_000, "window_seconds": 1 } });
    service.patch_team("acme", &room).await.unwrap();
    let x_api_key = |key: &str| ("x-api-key", key.to_owned());
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    vec![
        Sort::valid("key", x_api_key(&key)),
        Sort::valid("token", bearer(&token)),
        Sort::wrong("unknown", x_api_key("nobody-knows-this-key"), "401 unknown_key"),
        Sort::wrong("revoked", x_api_key(&revoked.key), "401 key_revoked"),
        Sort::wrong("foreign", x_api_key(&foreign), "403 team_mismatch"),
        Sort::wrong("forged", bearer(&forged), "401 unknown_token"),
    ]
}

async fn log_in(service: &KeyService, key: &str) -> String {
    let made = service.post("/auth/login", &json!({ "api_key": key })).await.unwrap();
    made["access_token"].as_str().unwrap().to_owned()
}

/// What comes of a request: status, and reason if there is one.
async fn outcome(edge: &Edge, request: RequestBuilder) -> String {
    let seen = scene::send(edge, request).await;
    match seen.answer.header("x-auth-reason") {
        Some(reason) => format!("{} {reason}", seen.status()),
        None => seen.status().to_string(),
    }
}

async fn becomes(edge: &Edge, key: &str, expected: &str) {
    edge.wait_until(&format!("the answer is {expected}"), LIMIT, async || {
        let request = edge.get_over_new_connection(PATH).header("x-api-key", key);
        (outcome(edge, request).await == expected).then_some(())
    })
    .await;
}

/// Waits until every worker says so of a request with this header.
async fn everywhere(edge: &Edge, connections: &Connections, (name, value): &(&str, String), expected: &str) {
    edge.wait_until(&format!("every worker says {expected}"), LIMIT, async || {
        for request in connections.get(PATH) {
            if outcome(edge, request.header(*name, value)).await != expected {
                return None;
            }
        }
        Some(())
    })
    .await;
}
