//! A team gets its quota and not one request more, over all workers.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;

/// Sends all requests at once; returns how many were admitted and how many limited.
async fn burst(edge: &Edge, path: &str, key: &str, count: u32) -> (u32, u32) {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        // A client of its own is a connection of its own, so the kernel spreads them over the workers.
        let client = Client::builder().no_proxy().http1_only().timeout(Duration::from_secs(60)).build().unwrap();
        let request = client.get(format!("http://{}{path}", edge.address())).header("x-api-key", key);
        requests.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
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
