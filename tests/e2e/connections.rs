//! Connections that reach every worker of an Envoy.

use std::{collections::BTreeMap, time::Duration};

use lab::edge::Edge;
use reqwest::{Client, RequestBuilder};

/// Kept connections, at least one to each worker.
pub(crate) struct Connections {
    base: String,
    clients: Vec<Client>,
}

impl Connections {
    /// Opens connections until every worker has one of these; the kernel chooses the worker.
    pub(crate) async fn to_every_worker(edge: &Edge) -> Self {
        let before = connections_by_worker(edge).await;
        let mut connections = Self { base: format!("http://{}", edge.address()), clients: Vec::new() };
        for _ in 0..30 {
            for _ in 0..8 {
                connections.open().await;
            }
            let after = connections_by_worker(edge).await;
            if before.iter().all(|(worker, count)| after[worker] > *count) {
                return connections;
            }
        }
        panic!("240 connections do not reach every worker: {before:?}");
    }

    async fn open(&mut self) {
        let builder = lab::http::client().unwrap().http1_only().pool_max_idle_per_host(1);
        let client = builder.timeout(Duration::from_secs(20)).build().unwrap();
        client.get(format!("{}/healthz", self.base)).send().await.unwrap().bytes().await.unwrap();
        self.clients.push(client);
    }

    /// One GET per connection.
    pub(crate) fn get(&self, path: &str) -> impl Iterator<Item = RequestBuilder> {
        self.clients.iter().map(move |client| client.get(format!("{}{path}", self.base)))
    }
}

pub(crate) async fn connections_by_worker(edge: &Edge) -> BTreeMap<String, u64> {
    let stats = edge.admin("/stats?filter=worker_[0-9]%2B.downstream_cx_total").await;
    let lines = stats.lines().filter(|line| line.starts_with("listener.") && !line.starts_with("listener.admin"));
    let counts: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect();
    assert!(!counts.is_empty(), "Envoy counts connections by worker: {stats}");
    counts
}
