//! Usage that nodes report, in the form in which it is added up.

use std::collections::BTreeMap;

use tollkeeper_contract::ledger::{MAX_USAGE, Report, Usage};

use super::{Moment, NodeName};

/// What was counted of a key or a team so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Requests let through.
    pub granted: u64,
    /// Requests refused because the team's bucket was empty.
    pub limited: u64,
    /// When it was used last.
    pub last_used_at: Option<Moment>,
}

/// What one batch adds to a key or a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests let through, at most [`Tally::MAX`].
    pub granted: u64,
    /// Requests refused because the team's bucket was empty, at most [`Tally::MAX`].
    pub limited: u64,
    /// The last use (Unix time, seconds), never far ahead of the service's own clock.
    pub last_used: u64,
}

impl Tally {
    /// Where counting stops: the greatest number that every JSON reader takes as it is.
    pub const MAX: u64 = (1 << 53) - 1;

    fn add(&mut self, usage: &Usage, latest: u64) {
        self.granted = self.granted.saturating_add(usage.granted).min(Self::MAX);
        self.limited = self.limited.saturating_add(usage.limited).min(Self::MAX);
        self.last_used = self.last_used.max(latest);
    }
}

/// A report that can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Who counted.
    pub node: NodeName,
    /// Which steward of that node counted.
    pub epoch: u64,
    /// The batch's number, from 1, at most `i64::MAX`.
    pub seq: u64,
    /// What to add to each key, by its id.
    pub keys: BTreeMap<String, Tally>,
    /// What to add to each team, by its id.
    pub teams: BTreeMap<String, Tally>,
}

/// Why a report cannot be counted: which field, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidReport {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

/// How far a node's clock may be ahead, in seconds, before its times are taken for now.
const CLOCK_TOLERANCE: u64 = 60 * 60;

impl Batch {
    /// Reads a report that arrived at `now`.
    ///
    /// # Errors
    /// When the node has no name, the number is out of range, or there are too many entries.
    pub fn read(report: &Report, now: Moment) -> Result<Self, InvalidReport> {
        let node = NodeName::parse(&report.node).map_err(|_| InvalidReport {
            field: "node",
            message: "a node name is 1 to 256 visible ASCII characters",
        })?;
        if report.seq == 0 || i64::try_from(report.seq).is_err() {
            return Err(InvalidReport { field: "seq", message: "batches are numbered from 1 to 2^63 - 1" });
        }
        if report.usage.len() > MAX_USAGE {
            return Err(InvalidReport { field: "usage", message: "a report has at most 10000 entries" });
        }
        let mut batch =
            Self { node, epoch: report.epoch, seq: report.seq, keys: BTreeMap::new(), teams: BTreeMap::new() };
        for usage in &report.usage {
            let latest = believable(usage.last_used, now);
            // A session that was made with a password has no key, and an enterprise that acts for itself no team.
            if !usage.key.is_empty() {
                batch.keys.entry(usage.key.clone()).or_default().add(usage, latest);
            }
            if !usage.team.is_empty() {
                batch.teams.entry(usage.team.clone()).or_default().add(usage, latest);
            }
        }
        Ok(batch)
    }
}

fn believable(seconds: u64, now: Moment) -> u64 {
    if seconds > now.plus(CLOCK_TOLERANCE).unix() { now.unix() } else { seconds }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Tally};
    use crate::domain::Moment;
    use tollkeeper_contract::ledger::{Report, Usage};

    fn usage(key: &str, granted: u64, last_used: u64) -> Usage {
        Usage { key: key.into(), team: "acme".into(), granted, limited: 1, last_used }
    }

    fn report(usage: Vec<Usage>) -> Report {
        Report { node: "edge-1".into(), epoch: u64::MAX, seq: 1, usage }
    }

    fn now() -> Moment {
        Moment::from_unix(1_000_000).unwrap()
    }

    #[test]
    fn usage_is_added_up_per_key_and_per_team() {
        let batch = Batch::read(&report(vec![usage("a", 2, 10), usage("b", 3, 20), usage("a", 4, 5)]), now()).unwrap();
        assert_eq!(batch.keys["a"], Tally { granted: 6, limited: 2, last_used: 10 });
        assert_eq!(batch.teams["acme"], Tally { granted: 9, limited: 3, last_used: 20 });
    }

    #[test]
    fn usage_without_a_key_or_a_team_is_counted_for_the_other() {
        let keyless = Usage { key: String::new(), ..usage("", 2, 10) };
        let teamless = Usage { team: String::new(), ..usage("a", 3, 20) };
        let batch = Batch::read(&report(vec![keyless, teamless]), now()).unwrap();
        assert_eq!((batch.keys.len(), batch.keys["a"].granted), (1, 3));
        assert_eq!((batch.teams.len(), batch.teams["acme"].granted), (1, 2));
    }

    #[test]
    fn a_time_far_in_the_future_is_taken_for_now() {
        let batch = Batch::read(&report(vec![usage("a", 1, 1_003_600), usage("b", 1, 1_003_601)]), now()).unwrap();
        assert_eq!(batch.keys["a"].last_used, 1_003_600);
        assert_eq!(batch.keys["b"].last_used, 1_000_000);
    }

    #[test]
    fn counts_stop_where_they_could_not_be_shown() {
        let batch = Batch::read(&report(vec![usage("a", u64::MAX, 1), usage("a", u64::MAX, 1)]), now()).unwrap();
        assert_eq!(batch.keys["a"].granted, Tally::MAX);
    }

    #[test]
    fn a_report_without_name_or_number_is_refused() {
        let nameless = Report { node: String::new(), ..report(vec![]) };
        assert_eq!(Batch::read(&nameless, now()).unwrap_err().field, "node");
        for seq in [0, u64::MAX] {
            assert_eq!(Batch::read(&Report { seq, ..report(vec![]) }, now()).unwrap_err().field, "seq");
        }
        let long = report(vec![usage("a", 1, 1); 10_001]);
        assert_eq!(Batch::read(&long, now()).unwrap_err().field, "usage");
    }
}
