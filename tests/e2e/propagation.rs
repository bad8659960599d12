//! How soon a revoked key is refused: measured, from the admin API's answer to the refusal of the last worker.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use reqwest::RequestBuilder;
use serde_json::json;
use tokio::task::JoinSet;

use crate::connections::Connections;

const WORKERS: u32 = 4;
const REVOCATIONS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_revoked_keys_are_refused_on_every_worker() {
    let edge = Edge::synced_start(|setup| setup.workers(WORKERS)).await;
    edge.key_service().create_team("acme", "Acme").await.unwrap();
    let unlimited = json!({ "quota": { "limit": 1_000_000, "window_seconds": 1 } });
    edge.key_service().patch_team("acme", &unlimited).await.unwrap();
    let mut keys = Vec::new();
    for _ in 0..REVOCATIONS {
        keys.push(edge.new_key_at_once("acme", json!({ "scopes": ["read"] })).await);
    }
    edge.serves(keys[REVOCATIONS - 1].revision).await;
    let connections = Connections::to_every_worker(&edge).await;
    let mut delays = Vec::new();
    for key in keys {
        let authorization = format!("Token {}", key.key);
        let requests = || connections.get("/api/acme/x").map(|request| request.header("authorization", &authorization));
        for request in requests() {
            assert_eq!(reason(&request).await, None);
        }
        edge.key_service().revoke_key(&key.id).await.unwrap();
        delays.push(until_refused(requests()).await);
    }
    report(delays);
}

/// Asks over every connection at the same time until each has refused; how long the last one took.
async fn until_refused(requests: impl Iterator<Item = RequestBuilder>) -> Duration {
    let revoked = Instant::now();
    let mut waiting = JoinSet::new();
    for request in requests {
        waiting.spawn(async move {
            while reason(&request).await.is_none() {
                assert!(revoked.elapsed() < Duration::from_secs(20), "the key still works");
            }
            assert_eq!(reason(&request).await.as_deref(), Some("key_revoked"));
            revoked.elapsed()
        });
    }
    waiting.join_all().await.into_iter().max().unwrap()
}

async fn reason(request: &RequestBuilder) -> Option<String> {
    let answer = request.try_clone().unwrap().send().await.unwrap();
    let reason = answer.headers().get("x-auth-reason").map(|reason| reason.to_str().unwrap().to_owned());
    let _ = answer.bytes().await;
    reason
}

#[expect(clippy::print_stdout, reason = "the measured delays belong into the report of the test run")]
fn report(mut delays: Vec<Duration>) {
    delays.sort();
    let percentile = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1].as_millis();
    println!(
        "measured: {REVOCATIONS} keys revoked, each refused on all of {WORKERS} workers after p50 {} ms, p99 {} ms, \
         max {} ms",
        percentile(50),
        percentile(99),
        percentile(100)
    );
}
