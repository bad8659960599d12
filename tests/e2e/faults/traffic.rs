//! Requests of every sort that go on while something breaks, counted where they arrive and by what came of them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use lab::{edge::Edge, upstream::NONCE};
use reqwest::Client;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    flow::{AT_ONCE, Flow},
    sort::{PHASES, Phase, Sort},
};
use crate::load::kept_connection_ended;

/// From one request of a client to its next, at least: so that what is broken has the machine, not the clients.
const PACE: Duration = Duration::from_millis(20);

/// How often each outcome came, by sort and phase; and how long those took that were not answered at once.
#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<(usize, Phase), BTreeMap<String, u64>>,
    slow: Vec<(Phase, Duration)>,
    /// The longest that one took, in each phase.
    longest: [Duration; PHASES],
    /// How many were sent again.
    again: u64,
}

/// What becomes of a client's connection when it has been answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    Kept,
    Closed,
}

/// Two clients of each sort: one keeps its connection, the other makes a new one each time.
pub(crate) struct Traffic {
    number: u64,
    sorts: Vec<Sort>,
    phase: watch::Sender<Option<Phase>>,
    seen: Arc<Mutex<Seen>>,
    /// Of each client: in which phase it sent what is not answered yet.
    under_way: Arc<Mutex<Vec<Option<Phase>>>>,
    clients: JoinSet<()>,
}

impl Traffic {
    pub(crate) fn start(edge: &Edge, sorts: Vec<Sort>) -> Self {
        let (phase, _) = watch::channel(Some(Phase::Before));
        let under_way = Arc::new(Mutex::new(vec![None; 2 * sorts.len()]));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut traffic = Self { number, sorts, phase, seen: Arc::default(), under_way, clients: JoinSet::new() };
        for (index, sort) in traffic.sorts.iter().enumerate() {
            for (me, connection) in [Connection::Closed, Connection::Kept].into_iter().enumerate() {
                let idle = usize::from(connection == Connection::Kept);
                let http = lab::http::client().unwrap().http1_only().pool_max_idle_per_host(idle);
                let client = OneClient {
                    number,
                    http: http.timeout(Duration::from_secs(20)).build().unwrap(),
                    address: edge.address(),
                    index,
                    connection,
                    me: 2 * index + me,
                    under_way: Arc::clone(&traffic.under_way),
                    sort: sort.clone(),
                    phase: traffic.phase.subscribe(),
                    seen: Arc::clone(&traffic.seen),
                };
                traffic.clients.spawn(client.send_all());
            }
        }
        traffic
    }

    /// From now on what is sent belongs to this phase; what belongs to the one before has been answered.
    pub(crate) async fn enters(&self, phase: Phase) {
        self.phase.send_replace(Some(phase));
        lab::poll::wait_until("what was sent before is answered", Duration::from_secs(60), async || {
            let under_way = self.under_way.lock().unwrap();
            under_way.iter().all(|sent| sent.is_none_or(|sent| sent == phase)).then_some(())
        })
        .await
        .unwrap();
    }

    /// Waits until `count` requests of every sort, sent in this phase, have been answered.
    pub(crate) async fn flows(&self, count: u64) {
        let phase = self.phase.borrow().expect("it has not been stopped");
        let answered = |index| {
            let seen = self.seen.lock().unwrap();
            seen.outcomes.get(&(index, phase)).map_or(0, |outcomes| outcomes.values().sum::<u64>())
        };
        lab::poll::wait_until("requests of every sort flow", Duration::from_secs(60), async || {
            (0..self.sorts.len()).all(|index| answered(index) >= count).then_some(())
        })
        .await
        .unwrap();
    }

    /// The longest that a request of this phase took until now.
    pub(crate) fn longest(&self, phase: Phase) -> Duration {
        self.seen.lock().unwrap().longest[phase as usize]
    }

    /// Sends no more, and says what came of everything.
    pub(crate) async fn stop(mut self, edge: &Edge) -> Flow {
        self.phase.send_replace(None);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        let mut flow = Flow::default();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        (flow.slow, flow.longest, flow.again) = (seen.slow, seen.longest, seen.again);
        for ((index, phase), outcomes) in &seen.outcomes {
            let sort = &self.sorts[*index];
            flow.add(sort, *phase, outcomes, edge.upstream().hits_of(&sort.nonce(self.number, *phase)));
        }
        flow
    }
}

struct OneClient {
    number: u64,
    http: Client,
    connection: Connection,
    address: SocketAddr,
    index: usize,
    me: usize,
    under_way: Arc<Mutex<Vec<Option<Phase>>>>,
    sort: Sort,
    phase: watch::Receiver<Option<Phase>>,
    seen: Arc<Mutex<Seen>>,
}

impl OneClient {
    async fn send_all(self) {
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            let Some(phase) = self.begins() else { return };
            let sent = Instant::now();
            let outcome = self.send(phase).await;
            let took = sent.elapsed();
            self.under_way.lock().unwrap()[self.me] = None;
            let mut seen = self.seen.lock().unwrap();
            *seen.outcomes.entry((self.index, phase)).or_default().entry(outcome).or_default() += 1;
            let longest = &mut seen.longest[phase as usize];
            *longest = took.max(*longest);
            if took > AT_ONCE {
                seen.slow.push((phase, took));
            }
        }
    }

    /// In one piece, so that nobody enters another phase in between.
    fn begins(&self) -> Option<Phase> {
        let mut under_way = self.under_way.lock().unwrap();
        let phase = *self.phase.borrow();
        under_way[self.me] = phase;
        phase
    }

    async fn send(&self, phase: Phase) -> String {
        let Sort { header: (name, value), path, .. } = &self.sort;
        let url = format!("http://{}{path}", self.address);
        let nonce = self.sort.nonce(self.number, phase);
        let request = || self.http.get(&url).header(*name, value).header(NONCE, &nonce).send();
        let answer = match request().await {
            // On a connection of its own, nothing excuses it.
            Err(error) if self.connection == Connection::Kept && kept_connection_ended(&error) => {
                self.seen.lock().unwrap().again += 1;
                request().await
            }
            answer => answer,
        };
        let Ok(answer) = answer else { return "no answer".to_owned() };
        let reason = answer.headers().get("x-auth-reason").map(|reason| reason.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let _ = answer.bytes().await;
        reason.map_or(status.to_string(), |reason| format!("{status} {reason}"))
    }
}
