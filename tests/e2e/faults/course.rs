//! One fault, from before it until all is as before: what is counted meanwhile, and what is insisted on.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use serde_json::json;
use tollkeeper::config::Config;

use super::{
    LIMIT,
    changes::Operator,
    flow::{AT_ONCE, Flow},
    lasting,
    sort::{PATH, Phase, Sort},
    traffic::Traffic,
};

/// From one change of an operator to the next.
const CHANGES: Duration = Duration::from_millis(50);

/// Requests of every sort in each phase, at least.
const SOME: u64 = 20;

/// One fault, from before it until all is as before.
pub(crate) struct Course {
    name: String,
    traffic: Traffic,
    operator: Operator,
    /// What a request may wait for the key service, as it is configured.
    bound: Duration,
    /// What a call to the key service may take, as it is configured.
    timeout: Duration,
    recovery: Duration,
    /// How many VMs had trapped before.
    vm_traps: usize,
    /// How many are told to.
    traps_asked: usize,
    /// What else was measured, for the report.
    more: String,
}

impl Course {
    pub(crate) fn start(edge: &Edge, name: &str, sorts: Vec<Sort>) -> Self {
        Self {
            name: name.to_owned(),
            traffic: Traffic::start(edge, sorts),
            operator: Operator::start(edge, CHANGES),
            bound: Duration::ZERO,
            timeout: timeout(edge),
            recovery: Duration::ZERO,
            vm_traps: edge.vm_traps(),
            traps_asked: 0,
            more: String::new(),
        }
    }

    /// This was measured as well.
    pub(crate) fn tells(&mut self, word: &str, number: u64) {
        self.more += &format!(" {word}={number}");
    }

    /// A request may wait for so long.
    pub(crate) fn bound(self, bound: Duration) -> Self {
        Self { bound, ..self }
    }

    /// So many VMs are told to trap.
    pub(crate) fn asks_for_traps(self, traps_asked: usize) -> Self {
        Self { traps_asked, ..self }
    }

    /// The longest that a request may take: what it may wait, and four times what one took before anything broke. That is always
    /// less than what a call takes that is given up, so that whoever waited for one would be seen.
    pub(crate) fn allowed(&self) -> Duration {
        let usual = 4 * self.traffic.longest(Phase::Before).max(AT_ONCE);
        self.bound + usual.min(self.timeout * 3 / 4)
    }

    /// Traffic and changes before anything breaks, which it does from now on.
    pub(crate) async fn begins_to_break(&self) {
        self.traffic.flows(SOME).await;
        self.operator.makes(2).await;
        self.traffic.enters(Phase::Turning).await;
    }

    /// It is broken from now on.
    pub(crate) async fn is_broken(&self) {
        self.traffic.enters(Phase::During).await;
        self.traffic.flows(SOME).await;
    }

    /// It is broken from now on, for so long at least; and for longer than a request may take, so that whoever waited for its end
    /// would be seen.
    pub(crate) async fn is_broken_for(&self, time: Duration) {
        let begin = Instant::now();
        self.is_broken().await;
        let time = time.max(self.allowed() + AT_ONCE);
        lab::poll::wait_until("it was broken for long enough", time + LIMIT, async || {
            (begin.elapsed() >= time).then_some(())
        })
        .await
        .unwrap();
    }

    /// It is mended by this, and recovered when a key that is made then works.
    pub(crate) async fn is_mended(&mut self, edge: &mut Edge, mends: impl AsyncFnOnce(&mut Edge)) {
        self.is_mended_until(edge, mends, async |_| {}).await;
    }

    /// The same, and not recovered before `recovers` is over as well.
    pub(crate) async fn is_mended_until(
        &mut self,
        edge: &mut Edge,
        mends: impl AsyncFnOnce(&mut Edge),
        recovers: impl AsyncFnOnce(&Edge),
    ) {
        self.traffic.enters(Phase::Mending).await;
        mends(edge).await;
        let mended = Instant::now();
        recovers(edge).await;
        a_new_key_works(edge).await;
        self.recovery = mended.elapsed();
        self.is_over().await;
    }

    /// It breaks in a moment, and then heals by itself, as `heals` sees; perhaps not for the first time.
    pub(crate) async fn breaks_and_heals(
        &mut self,
        edge: &mut Edge,
        breaks: impl AsyncFnOnce(&mut Edge),
        heals: impl AsyncFnOnce(&Edge),
    ) {
        self.traffic.enters(Phase::Turning).await;
        breaks(edge).await;
        let broken = Instant::now();
        self.traffic.enters(Phase::During).await;
        heals(edge).await;
        a_new_key_works(edge).await;
        self.recovery = self.recovery.max(broken.elapsed());
        self.traffic.flows(SOME).await;
    }

    /// Traffic and changes after it.
    pub(crate) async fn is_over(&self) {
        self.traffic.enters(Phase::After).await;
        self.traffic.flows(SOME).await;
        self.operator.makes(2).await;
    }

    /// Counts, reports, and insists that nothing is wrong.
    pub(crate) async fn ends(self, edge: &Edge) -> Flow {
        let allowed = self.allowed();
        let confirmed = self.operator.stop().await;
        let flow = self.traffic.stop(edge).await;
        let lost = confirmed.lost(edge).await;
        let trapped = edge.vm_traps().saturating_sub(self.vm_traps);
        let tally = Tally {
            lost: lost.len(),
            confirmed: confirmed.count(),
            waited: flow.waited(allowed),
            allowed,
            vm_traps: trapped.saturating_sub(self.traps_asked),
            traps_asked: self.traps_asked,
            changes: confirmed.entries.len(),
            changes_refused: confirmed.refused,
            recovery: self.recovery,
        };
        tally.report(&self.name, &flow, &self.more);
        assert!(flow.wrong.is_empty() && lost.is_empty(), "{}: {:?} {lost:?}", self.name, flow.wrong);
        assert_eq!((flow.without_right, flow.valid_refused, flow.not_arrived), (0, 0, 0), "{}", self.name);
        assert_eq!((tally.waited, trapped), (0, self.traps_asked), "{}: {flow:?}", self.name);
        flow
    }
}

/// How long a call to the key service may take, by the filter's configuration.
fn timeout(edge: &Edge) -> Duration {
    let configuration = edge.filter_configuration().to_string();
    Config::parse(configuration.as_bytes()).expect("Envoy has taken it").key_service.timeout
}

async fn a_new_key_works(edge: &Edge) {
    let described = json!({ "team": "acme", "scopes": ["read"] });
    let made = edge.wait_until("a key is made", LIMIT, async || edge.key_service().create_key(&described).await.ok());
    let key = made.await.key;
    edge.wait_until("the new key works", LIMIT, async || {
        let answer = edge.get_over_new_connection(PATH).header("x-api-key", &key).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
}

/// What was counted beside the requests.
struct Tally {
    lost: usize,
    /// How much could have been.
    confirmed: usize,
    waited: usize,
    /// What took longer has waited.
    allowed: Duration,
    /// Beyond those that were asked for.
    vm_traps: usize,
    traps_asked: usize,
    changes: usize,
    changes_refused: u64,
    recovery: Duration,
}

impl Tally {
    #[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
    fn report(&self, name: &str, flow: &Flow, more: &str) {
        let Self { lost, confirmed, waited, allowed, vm_traps, traps_asked, changes, changes_refused, recovery } = self;
        let [before, turning, during, mending, after] = flow.sent;
        let [control, longest @ ..] = flow.longest.map(|longest| longest.as_millis());
        println!(
            "hold: fault/{name} {} without_right={}/{} valid_refused={}/{} lost={lost}/{confirmed} vm_traps={vm_traps} \
             traps_asked={traps_asked} waited={waited} before={before} during={} after={} in_outage={} sent_again={} \
             changes={changes} changes_refused={changes_refused} longest_before_ms={control} longest_ms={} allowed_ms={} recovery_ms={}{more}",
            flow.all(),
            flow.without_right,
            flow.wrong_sent,
            flow.valid_refused,
            flow.valid_sent(),
            turning + during,
            mending + after,
            flow.outage,
            flow.again,
            longest.iter().max().unwrap(),
            allowed.as_millis(),
            recovery.as_millis(),
        );
    }
}

/// A fault that lasts for [`lasting`], and is over with `mends`.
pub(super) async fn survives(
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
pub(super) async fn takes(
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
    course.is_broken().await;
    course.is_mended(edge, async |_| {}).await;
    course.ends(edge).await
}
