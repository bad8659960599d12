//! A team gets its quota and not one request more, over all workers.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use serde_json::json;
use tokio::task::JoinSet;

use crate::connections::Connections;

/// Sends all requests at once; returns how many were admitted and how many limited.
async fn burst(edge: &Edge, path: &str, key: &str, count: u32) -> (u32, u32) {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        // A client of its own is a connection of its own, so the kernel spreads them over the workers.
        let client = lab::http::client().unwrap().http1_only().timeout(Duration::from_secs(60)).build().unwrap();
        let request = client.get(format!("http://{}{path}", edge.address())).header("x-api-key", key);
        requests.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    tally(requests).await
}

async fn tally(mut requests: JoinSet<u16>) -> (u32, u32) {
    let (mut admitted, mut limited) = (0, 0);
    while let Some(status) = requests.join_next().await {
        match status.unwrap() {
            200 => admitted += 1,
            429 => limited += 1,
            status => panic!("status {status}"),
        }
    }
    (admitted, limited)
}

/// Sends all requests at once, over connections to every worker.
async fn burst_on_every_worker(edge: &Edge, path: &str, key: &str, count: usize) -> (u32, u32) {
    let connections = Connections::to_every_worker(edge).await;
    let mut requests = JoinSet::new();
    while requests.len() < count {
        for request in connections.get(path).take(count - requests.len()) {
            let request = request.header("x-api-key", key);
            requests.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
    }
    tally(requests).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_1000_concurrent_requests_on_every_worker_exactly_300_are_admitted_when_nothing_refills() {
    let edge = Edge::synced_start(|setup| setup.workers(4)).await;
    let (acme, globex) = (edge.key("acme", &["read"]).await, edge.key("globex", &["read"]).await);
    // One token in 2.5 hours.
    let quota = json!({"quota": {"limit": 300, "window_seconds": 2_678_400}});
    edge.key_service().patch_team("globex", &quota).await.unwrap();
    let team = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;

    let (acme, globex) = tokio::join!(
        burst_on_every_worker(&edge, "/api/acme/x", &acme, 1000),
        burst_on_every_worker(&edge, "/api/globex/x", &globex, 250),
    );
    assert_eq!(acme, (300, 700));
    assert_eq!(globex, (250, 0), "a second team is untouched meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_1000_concurrent_requests_on_4_workers_exactly_300_and_the_refill_are_admitted() {
    let edge = Edge::synced_start(|setup| setup.workers(4)).await;
    let (acme, globex) = (edge.key("acme", &["read"]).await, edge.key("globex", &["read"]).await);

    let began = Instant::now();
    let (admitted, limited) = burst(&edge, "/api/acme/x", &acme, 1000).await;
    // One request per second refills: 300 per 300 seconds.
    let refill = u32::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert_eq!(admitted + limited, 1000);
    assert!((300..=300 + refill).contains(&admitted), "admitted {admitted}, refill at most {refill}");
    assert_eq!(edge.upstream().hits(), u64::from(admitted), "what was refused never reached the upstream");

    let other = edge.get("/api/globex/x").header("x-api-key", &globex).send().await.unwrap();
    assert_eq!(other.headers()["ratelimit"], "\"team\";r=299;t=1", "another team's bucket is untouched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_quota_holds_without_a_restart_and_without_a_fresh_bucket() {
    let edge = Edge::synced_start(|setup| setup.workers(2)).await;
    let key = edge.key("acme", &["read"]).await;
    let (admitted, _) = burst(&edge, "/api/acme/x", &key, 320).await;
    assert!(admitted >= 300);

    let raised = json!({"quota": {"limit": 100_000, "window_seconds": 86_400}});
    let team = edge.key_service().patch_team("acme", &raised).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    let answer = edge.get("/api/acme/x").header("x-api-key", &key).send().await.unwrap();
    assert_eq!(answer.headers()["ratelimit-policy"], "\"team\";q=100000;w=86400");
    let left: u32 = answer.headers()["ratelimit"].to_str().unwrap().split(['=', ';']).nth(2).unwrap().parse().unwrap();
    assert!(left < 1000, "the bucket was not filled up: {left} left");
}
