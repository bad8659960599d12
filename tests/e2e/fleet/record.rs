//! What clients saw, held against what was promised.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Response;

/// Clocks of three programs are compared, each read in whole milliseconds.
const CLOCKS: Duration = Duration::from_millis(20);

/// One request, as its client saw it. Times are since the demand began; the decision lies between them.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) node: usize,
    pub(crate) sent: Duration,
    pub(crate) answered: Duration,
    /// 0 if no answer came.
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// Whether the quota was decided without the key service.
    pub(crate) degraded: bool,
    /// Whether it was sent again, because the connection that was kept had ended.
    pub(crate) again: bool,
}

impl Seen {
    pub(crate) fn new(node: usize, (sent, answered): (Duration, Duration), answer: Option<&Response>) -> Self {
        let header = |name| {
            let value = answer?.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Self {
            node,
            sent,
            answered,
            status: answer.map_or(0, |answer| answer.status().as_u16()),
            reason: header("x-auth-reason").unwrap_or_default(),
            degraded: header("x-auth-degraded").as_deref() == Some("quota"),
            again: false,
        }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.status == 200
    }
}

/// A quota: so many requests per window.
#[derive(Clone, Copy)]
pub(crate) struct Quota {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
}

impl Quota {
    /// What a bucket that was full gives in `time`, at most.
    pub(crate) fn within(self, time: Duration) -> u64 {
        let refill = u128::from(self.limit) * time.as_millis() / self.window.as_millis();
        u64::from(self.limit) + u64::try_from(refill).unwrap()
    }
}

/// All requests of a demand.
pub(crate) struct Record(Vec<Seen>);

impl Record {
    pub(crate) fn of(seen: Vec<Seen>) -> Self {
        Self(seen)
    }

    pub(crate) fn seen(&self) -> &[Seen] {
        &self.0
    }

    /// Some of the requests.
    pub(crate) fn part(&self, which: impl Fn(&Seen) -> bool) -> Self {
        Self(self.0.iter().filter(|seen| which(seen)).cloned().collect())
    }

    /// When the last answer came.
    pub(crate) fn end(&self) -> Duration {
        self.0.iter().map(|seen| seen.answered).max().unwrap()
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.count(Seen::is_admitted)
    }

    pub(crate) fn count(&self, what: impl Fn(&Seen) -> bool) -> u64 {
        self.0.iter().filter(|seen| what(seen)).count() as u64
    }

    /// How often each outcome came.
    pub(crate) fn summary(&self) -> BTreeMap<String, u64> {
        let mut summary = BTreeMap::new();
        for seen in &self.0 {
            let degraded = if seen.degraded { " degraded" } else { "" };
            *summary.entry(format!("node {} {} {}{degraded}", seen.node, seen.status, seen.reason)).or_default() += 1;
        }
        summary
    }

    /// How many each node admitted in each quarter of a second: by leases, and without the key service.
    fn course(&self) -> String {
        let mut course = BTreeMap::<_, BTreeMap<_, [u64; 2]>>::new();
        for seen in self.0.iter().filter(|seen| seen.is_admitted()) {
            let quarter = seen.answered.as_millis() / 250;
            course.entry(quarter).or_default().entry(seen.node).or_default()[usize::from(seen.degraded)] += 1;
        }
        course.iter().map(|(quarter, nodes)| format!("\n{:>6} ms: {nodes:?}", quarter * 250)).collect()
    }

    /// Every request was admitted or told that the quota is used up.
    pub(crate) fn assert_decided(&self) {
        let decided = |seen: &Seen| seen.is_admitted() || seen.reason == "quota_exhausted";
        assert!(self.0.iter().all(decided), "{:?}", self.summary());
    }

    /// A bucket's promise: in no time between two requests were there more than a full bucket and its refill.
    pub(crate) fn assert_never_over(&self, quota: Quota) {
        assert_eq!(self.over(quota), 0, "{}", self.course());
    }

    /// A strict quota's promise: in no window were there more than the limit.
    pub(crate) fn assert_never_over_in_any_window(&self, quota: Quota) {
        assert_eq!(self.over_in_any_window(quota), 0, "{}", self.course());
    }

    /// By how many a bucket's promise was broken, in the worst time between two requests.
    pub(crate) fn over(&self, quota: Quota) -> u64 {
        self.over_in_any_time(|time| quota.within(time + CLOCKS))
    }

    /// By how many a strict quota's promise was broken, in the worst window.
    pub(crate) fn over_in_any_window(&self, quota: Quota) -> u64 {
        let limit = |time: Duration| if time + CLOCKS < quota.window { u64::from(quota.limit) } else { u64::MAX };
        self.over_in_any_time(limit)
    }

    /// Those that were sent and answered within a time were decided in it.
    fn over_in_any_time(&self, most: impl Fn(Duration) -> u64) -> u64 {
        let mut over = 0;
        let mut admitted: Vec<&Seen> = self.0.iter().filter(|seen| seen.is_admitted()).collect();
        admitted.sort_by_key(|seen| seen.answered);
        for first in &admitted {
            let within = admitted.iter().filter(|seen| seen.sent >= first.sent && seen.answered >= first.sent);
            for (count, seen) in (1..).zip(within) {
                over = over.max(u64::saturating_sub(count, most(seen.answered - first.sent)));
            }
        }
        over
    }
}
