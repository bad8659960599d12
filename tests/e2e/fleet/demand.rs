//! Clients of all nodes of a fleet that always want more, and what came of each of their requests.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lab::{
    edge::{Edge, Fleet},
    poll::wait_until,
};
use reqwest::{Client, Response};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::record::{Record, Seen};
use crate::load::kept_connection_ended;

/// For whatever is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// How much is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    /// Clients of each node; each sends one request after the other.
    pub(crate) clients: usize,
    /// Requests of all clients together.
    pub(crate) requests: u64,
    /// The least time from one request of a client to its next.
    pub(crate) pace: Duration,
}

impl Wish {
    /// So many requests, as fast as they go.
    pub(crate) fn at_once(requests: u64) -> Self {
        Self { clients: 16, requests, pace: Duration::ZERO }
    }

    /// Until it is stopped, some hundred requests a second and node.
    pub(crate) fn without_end() -> Self {
        Self { clients: 4, requests: u64::MAX, pace: Duration::from_millis(30) }
    }
}

/// Requests that are being sent.
pub(crate) struct Demand {
    client: ClientOfNode,
    wish: Wish,
    running: JoinSet<()>,
}

/// What all clients share.
#[derive(Clone)]
struct ClientOfNode {
    path: String,
    key: String,
    pace: Duration,
    began: Instant,
    left: Arc<AtomicU64>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Demand {
    /// Begins to send GETs for `path` to every node.
    pub(crate) fn start(fleet: &Fleet, path: &str, key: &str, wish: Wish) -> Self {
        Self::at(fleet.nodes(), path, key, wish)
    }

    /// Begins to send GETs for `path` to these nodes, which are the first.
    pub(crate) fn at(nodes: &[Edge], path: &str, key: &str, wish: Wish) -> Self {
        let client = ClientOfNode {
            path: path.to_owned(),
            key: key.to_owned(),
            pace: wish.pace,
            began: Instant::now(),
            left: Arc::new(AtomicU64::new(wish.requests)),
            seen: Arc::default(),
        };
        let mut demand = Self { client, wish, running: JoinSet::new() };
        for (index, node) in nodes.iter().enumerate() {
            demand.reach(index, node);
        }
        demand
    }

    /// Sends requests to one more node.
    pub(crate) fn reach(&mut self, index: usize, node: &Edge) {
        for _ in 0..self.wish.clients {
            self.running.spawn(self.client.clone().send_all(index, node.address().to_string()));
        }
    }

    /// How long ago it began.
    pub(crate) fn now(&self) -> Duration {
        self.client.began.elapsed()
    }

    /// Waits until `found` in what has come of the requests so far.
    pub(crate) async fn until(&self, what: &str, found: impl Fn(&[Seen]) -> bool) {
        let reached = wait_until(what, LIMIT, async || {
            let seen = self.client.seen.lock().unwrap();
            found(&seen).then_some(())
        });
        if let Err(late) = reached.await {
            let seen = self.client.seen.lock().unwrap().clone();
            panic!("{late:#}: {:?}", Record::of(seen).summary());
        }
    }

    /// Waits until every one of the first `nodes` nodes has, since `since`, answered `count` requests as `found` has it.
    pub(crate) async fn until_each(
        &self,
        what: &str,
        nodes: usize,
        since: Duration,
        count: usize,
        found: impl Fn(&Seen) -> bool,
    ) {
        self.until(what, |seen| {
            (0..nodes).all(|node| {
                let of_node = seen.iter().filter(|seen| seen.node == node && seen.sent >= since);
                of_node.filter(|seen| found(seen)).count() >= count
            })
        })
        .await;
    }

    /// Lets it go on until it is as old as `age`.
    pub(crate) async fn until_age(&self, age: Duration) {
        self.until("the demand is old enough", |_| self.now() >= age).await;
    }

    /// Waits until all requests have been answered.
    pub(crate) async fn ended(mut self) -> Record {
        while let Some(client) = self.running.join_next().await {
            client.unwrap();
        }
        Record::of(std::mem::take(&mut self.client.seen.lock().unwrap()))
    }

    /// Sends no more, and waits for the answers that are missing.
    pub(crate) async fn stop(self) -> Record {
        self.client.left.store(0, Ordering::Relaxed);
        self.ended().await
    }
}

impl ClientOfNode {
    /// Ends early when the node is gone.
    async fn send_all(self, node: usize, address: String) {
        let client = lab::http::client().unwrap().http1_only().timeout(Duration::from_secs(20)).build().unwrap();
        let url = format!("http://{address}{}", self.path);
        let mut pace = (!self.pace.is_zero()).then(|| interval(self.pace));
        if let Some(pace) = &mut pace {
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        while self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let sent = self.began.elapsed();
            let (answer, again) = self.send(&client, &url).await;
            let lost = answer.is_none();
            let answered = self.began.elapsed();
            let seen = Seen { again, ..Seen::new(node, (sent, answered), answer.as_ref()) };
            self.seen.lock().unwrap().push(seen);
            if let Some(answer) = answer {
                let _ = answer.bytes().await;
            }
            if lost {
                break;
            }
        }
    }

    /// The answer, and whether it was sent again.
    async fn send(&self, client: &Client, url: &str) -> (Option<Response>, bool) {
        let request = || client.get(url).header("x-api-key", &self.key).send();
        match request().await {
            Err(error) if kept_connection_ended(&error) => (request().await.ok(), true),
            answer => (answer.ok(), false),
        }
    }
}
