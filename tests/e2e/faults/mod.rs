//! Parts break while requests of every sort flow and changes are made: who gets in, who does not, what is lost, and how long
//! it takes until all is as before.

pub(crate) mod changes;
mod clocks;
mod disk;
mod envoy;
mod flow;
mod key_service;
mod soak;
pub(crate) mod sort;
mod stores;
pub(crate) mod traffic;

use std::{
    env,
    time::{Duration, Instant},
};

use lab::{
    edge::{Edge, Setup},
    key_service::KeyService,
};
use reqwest::RequestBuilder;
use serde_json::json;

use self::{
    changes::Operator,
    flow::Flow,
    sort::{PATH, Phase, Sort},
    traffic::Traffic,
};
use crate::{connections::Connections, scene};

/// From one change of an operator to the next.
const CHANGES: Duration = Duration::from_millis(50);

/// Requests of every sort in each phase, at least.
const SOME: u64 = 20;

/// For whatever is waited for.
const LIMIT: Duration = Duration::from_secs(60);

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

/// One fault, from before it until all is as before.
pub(crate) struct Course {
    name: String,
    traffic: Traffic,
    operator: Operator,
    /// What a request may wait for the key service, as it is configured.
    bound: Duration,
    recovery: Duration,
    /// How many VMs had trapped before.
    vm_traps: usize,
}

impl Course {
    pub(crate) fn start(edge: &Edge, name: &str, sorts: Vec<Sort>) -> Self {
        Self {
            name: name.to_owned(),
            traffic: Traffic::start(edge, sorts),
            operator: Operator::start(edge, CHANGES),
            bound: Duration::ZERO,
            recovery: Duration::ZERO,
            vm_traps: vm_traps(edge),
        }
    }

    /// A request may wait for so long.
    pub(crate) fn bound(self, bound: Duration) -> Self {
        Self { bound, ..self }
    }

    /// Traffic and changes before anything breaks, which it does from now on.
    pub(crate) async fn begins_to_break(&self) {
        self.traffic.flows(SOME).await;
        self.operator.makes(2).await;
        self.traffic.enters(Phase::Turning).await;
    }

    /// It is broken from now on, for so long at least.
    pub(crate) async fn is_broken_for(&self, time: Duration) {
        self.traffic.enters(Phase::During).await;
        let begin = Instant::now();
        self.traffic.flows(SOME).await;
        lab::poll::wait_until("it was broken for long enough", time + LIMIT, async || {
            (begin.elapsed() >= time).then_some(())
        })
        .await
        .unwrap();
    }

    /// It is mended by this, and recovered when a key that is made then works.
    pub(crate) async fn is_mended(&mut self, edge: &mut Edge, mends: impl AsyncFnOnce(&mut Edge)) {
        self.traffic.enters(Phase::Mending).await;
        mends(edge).await;
        let mended = Instant::now();
        let described = json!({ "team": "acme", "scopes": ["read"] });
        let made =
            edge.wait_until("a key is made", LIMIT, async || edge.key_service().create_key(&described).await.ok());
        let key = made.await.key;
        edge.wait_until("the new key works", LIMIT, async || {
            let answer = edge.get_over_new_connection(PATH).header("x-api-key", &key).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
        self.recovery = mended.elapsed();
        self.traffic.enters(Phase::After).await;
        self.traffic.flows(SOME).await;
        self.operator.makes(2).await;
    }

    /// Counts, reports, and insists that nothing is wrong.
    pub(crate) async fn ends(self, edge: &Edge) -> Flow {
        let confirmed = self.operator.stop().await;
        let flow = self.traffic.stop(edge).await;
        let lost = confirmed.lost(edge).await;
        let tally = Tally {
            lost: lost.len(),
            waited: flow.waited(self.bound),
            vm_traps: vm_traps(edge).saturating_sub(self.vm_traps),
            changes: confirmed.entries.len(),
            changes_refused: confirmed.refused,
            recovery: self.recovery,
        };
        tally.report(&self.name, &flow);
        assert!(flow.wrong.is_empty() && lost.is_empty(), "{}: {:?} {lost:?}", self.name, flow.wrong);
        assert_eq!((flow.without_right, flow.valid_refused, flow.not_arrived), (0, 0, 0), "{}", self.name);
        assert_eq!((tally.waited, tally.vm_traps), (0, 0), "{}: {flow:?}", self.name);
        flow
    }
}

/// How many VMs have trapped.
fn vm_traps(edge: &Edge) -> usize {
    edge.envoy_log().matches("Uncaught RuntimeError").count()
}

/// What was counted beside the requests.
struct Tally {
    lost: usize,
    waited: usize,
    vm_traps: usize,
    changes: usize,
    changes_refused: u64,
    recovery: Duration,
}

impl Tally {
    #[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
    fn report(&self, name: &str, flow: &Flow) {
        let Self { lost, waited, vm_traps, changes, changes_refused, recovery } = self;
        let [before, turning, during, mending, after] = flow.sent;
        let [control, longest @ ..] = flow.longest.map(|longest| longest.as_millis());
        println!(
            "hold: fault/{name} {} without_right={} valid_refused={} lost={lost} vm_traps={vm_traps} waited={waited} \
             before={before} during={} after={} in_outage={} changes={changes} changes_refused={changes_refused} \
             longest_before_ms={control} longest_ms={} recovery_ms={}",
            flow.all(),
            flow.without_right,
            flow.valid_refused,
            turning + during,
            mending + after,
            flow.outage,
            longest.iter().max().unwrap(),
            recovery.as_millis(),
        );
    }
}

/// A fault that lasts for [`lasting`], and is over with `mends`.
pub(crate) async fn survives(
    edge: &mut Edge,
    name: &str,
    sorts: Vec<Sort>,
    breaks: impl AsyncFnOnce(&mut Edge),
    mends: impl AsyncFnOnce(&mut Edge),
) -> Flow {
    let mut course = Course::start(edge, name, sorts);
    course.begins_to_break().await;
    breaks(edge).await;
    course.is_broken_for(lasting()).await;
    course.is_mended(edge, mends).await;
    course.ends(edge).await
}

/// Something that happens while all goes on, again and again, and needs no mending.
pub(crate) async fn takes(
    edge: &mut Edge,
    name: &str,
    sorts: Vec<Sort>,
    rounds: u64,
    mut happens: impl AsyncFnMut(&mut Edge, u64),
) -> Flow {
    let mut course = Course::start(edge, name, sorts);
    course.begins_to_break().await;
    for round in 0..rounds {
        happens(edge, round).await;
    }
    course.is_broken_for(Duration::ZERO).await;
    course.is_mended(edge, async |_| {}).await;
    course.ends(edge).await
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
