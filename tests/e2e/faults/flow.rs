//! What came of requests, held against what was due to them.

use std::{collections::BTreeMap, time::Duration};

use super::sort::{Due, PHASES, Phase, Sort};

/// Time in which a request is answered on a machine that is busy with other tests, if it waits for nobody.
pub(super) const AT_ONCE: Duration = Duration::from_millis(500);

/// What came of all requests.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Sent in each phase.
    pub(crate) sent: [u64; PHASES],
    /// Those of them that had no right to, in their phase.
    pub(crate) wrong_sent: u64,
    /// Requests that arrived at the upstream and had no right to.
    pub(crate) without_right: u64,
    /// Valid requests that were refused, or not answered, without an outage that is stated.
    pub(crate) valid_refused: u64,
    /// Valid requests that were refused as an outage has it.
    pub(crate) outage: u64,
    /// Requests that were refused otherwise than they should be.
    pub(crate) misjudged: u64,
    /// Requests that were admitted, and did not arrive.
    pub(crate) not_arrived: u64,
    /// How long those took that were not answered at once.
    pub(super) slow: Vec<(Phase, Duration)>,
    /// The longest that one took, in each phase.
    pub(crate) longest: [Duration; PHASES],
    /// How many requests were sent again, because the connection that was kept had ended.
    pub(crate) again: u64,
    /// What was not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Flow {
    /// Sent in all phases.
    pub(crate) fn all(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// Requests that had the right to, without those that were refused as an outage has it.
    pub(crate) fn valid_sent(&self) -> u64 {
        self.all() - self.wrong_sent - self.outage
    }

    /// How many requests took longer than that, since it began to break.
    pub(crate) fn waited(&self, allowed: Duration) -> usize {
        self.slow.iter().filter(|(phase, took)| *phase != Phase::Before && *took > allowed).count()
    }

    pub(super) fn add(&mut self, sort: &Sort, phase: Phase, outcomes: &BTreeMap<String, u64>, arrived: u64) {
        let at = phase as usize;
        let due = &sort.due[at];
        if matches!(due, Due::Refusal(_)) && arrived > 0 {
            self.without_right += arrived;
            self.wrong.push(format!("{arrived} of {} arrived {phase:?}", sort.name));
        }
        let admitted = outcomes.get("200").copied().unwrap_or_default();
        self.not_arrived += admitted.saturating_sub(arrived);
        for (outcome, count) in outcomes {
            self.sent[at] += count;
            self.wrong_sent += if matches!(due, Due::Refusal(_)) { *count } else { 0 };
            let as_due = match due {
                Due::Admission(others) | Due::Either(others) => outcome == "200" || others.contains(&outcome.as_str()),
                Due::Refusal(others) => others.contains(&outcome.as_str()),
            };
            match (due, as_due) {
                (Due::Admission(_), true) if outcome != "200" => self.outage += count,
                (_, true) => {}
                (Due::Admission(_) | Due::Either(_), false) => self.valid_refused += count,
                (Due::Refusal(_), false) => self.misjudged += count,
            }
            if !as_due {
                self.wrong.push(format!("{count} of {} were answered {outcome} {phase:?}", sort.name));
            }
        }
    }
}
