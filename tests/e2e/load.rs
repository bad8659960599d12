//! Traffic that flows while something happens, and what came of it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use lab::edge::Edge;
use tokio::task::JoinSet;

/// Requests from several clients, one after the other, until it is told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    clients: JoinSet<Outcomes>,
}

/// What came of requests.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    /// How often each outcome came: status, and reason if there was one.
    counts: BTreeMap<String, u64>,
    /// How many were sent again, because the connection that was kept had ended.
    pub(crate) again: u64,
}

impl Outcomes {
    pub(crate) fn all(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn of(&self, outcome: &str) -> u64 {
        self.counts.get(outcome).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.again += other.again;
        for (outcome, count) in other.counts {
            *self.counts.entry(outcome).or_default() += count;
        }
    }
}

impl Load {
    /// `clients` clients that send GETs for `path` with this key.
    pub(crate) fn start(edge: &Edge, clients: u32, path: &str, key: &str) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let url = format!("http://{}{path}", edge.address());
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn(client(url.clone(), key.to_owned(), Arc::clone(&stop), Arc::clone(&sent)));
        }
        Self { stop, sent, clients: running }
    }

    /// Waits until `count` more requests have been answered.
    pub(crate) async fn flows(&self, edge: &Edge, count: u64) {
        let goal = self.sent.load(Ordering::Relaxed) + count;
        edge.wait_until("traffic flows", Duration::from_secs(60), async || {
            (self.sent.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Ends the traffic and says what came of all of it.
    pub(crate) async fn stop(mut self) -> Outcomes {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Outcomes::default();
        while let Some(outcomes) = self.clients.join_next().await {
            all.add(outcomes.unwrap());
        }
        all
    }
}

/// Envoy may close a connection that is kept at the very moment in which a request is sent on it, so every client sends a GET
/// again then (RFC 9112 section 9.3.1). Tests do so once, and tell how often.
pub(crate) fn kept_connection_ended(error: &reqwest::Error) -> bool {
    !error.is_timeout() && !error.is_connect()
}

async fn client(url: String, key: String, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) -> Outcomes {
    let client = lab::http::client().unwrap().timeout(Duration::from_secs(20)).build().unwrap();
    let mut outcomes = Outcomes::default();
    while !stop.load(Ordering::Relaxed) {
        let request = || client.get(&url).header("x-api-key", &key).send();
        let answer = match request().await {
            Err(error) if kept_connection_ended(&error) => {
                outcomes.again += 1;
                request().await
            }
            answer => answer,
        };
        let outcome = match answer {
            Ok(answer) => {
                let reason = answer.headers().get("x-auth-reason").map(|reason| reason.to_str().unwrap().to_owned());
                let status = answer.status().as_u16();
                let _ = answer.bytes().await;
                reason.map_or(status.to_string(), |reason| format!("{status} {reason}"))
            }
            Err(error) => format!("no answer: {error}"),
        };
        *outcomes.counts.entry(outcome).or_default() += 1;
        sent.fetch_add(1, Ordering::Relaxed);
    }
    outcomes
}

/// Every request came to this.
#[expect(clippy::print_stdout, reason = "what was sent again belongs into the report of the run")]
pub(crate) fn assert_only(outcomes: &Outcomes, expected: &str) {
    println!("measured: {} requests came to {expected}, {} of them sent again", outcomes.of(expected), outcomes.again);
    assert!(outcomes.all() > 0 && outcomes.of(expected) == outcomes.all(), "expected only {expected}: {outcomes:?}");
}
