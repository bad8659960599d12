//! What was used since the last settlement, per key and team; only known ones can get an entry.

use std::collections::{BTreeMap, btree_map::Entry};

use tollkeeper_contract::ledger::Usage;

use crate::time::Now;

/// Usage that has not been handed on.
#[derive(Debug, Default)]
pub struct Tally {
    /// By key and team.
    usage: BTreeMap<String, Usage>,
}

/// What a request did to the team's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It was let through.
    Granted,
    /// The bucket was empty.
    Limited,
}

impl Tally {
    /// Counts one request of `key`, charged to `team`; either is empty where there is none.
    pub fn count(&mut self, key: &str, team: &str, what: Use, now: Now) {
        let (granted, limited) = match what {
            Use::Granted => (1, 0),
            Use::Limited => (0, 1),
        };
        if let Some(known) = self.usage.get_mut(&place(key, team)) {
            known.granted = known.granted.saturating_add(granted);
            known.limited = known.limited.saturating_add(limited);
            known.last_used = known.last_used.max(now.unix);
            return;
        }
        self.add(Usage { key: key.to_owned(), team: team.to_owned(), granted, limited, last_used: now.unix });
    }

    /// Adds what somebody else counted.
    pub fn add(&mut self, usage: Usage) {
        match self.usage.entry(place(&usage.key, &usage.team)) {
            Entry::Occupied(mut known) => known.get_mut().add(&usage),
            Entry::Vacant(free) => {
                free.insert(usage);
            }
        }
    }

    /// Adds everything that somebody else counted.
    pub fn add_all(&mut self, other: Self) {
        other.usage.into_values().for_each(|usage| self.add(usage));
    }

    /// Takes out up to `most` entries.
    pub fn take(&mut self, most: usize) -> Vec<Usage> {
        std::iter::from_fn(|| self.usage.pop_first()).take(most).map(|(_, usage)| usage).collect()
    }

    /// Whether there is nothing to hand on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.usage.is_empty()
    }
}

/// Neither a key's id nor a team's has a zero byte.
fn place(key: &str, team: &str) -> String {
    [key, "\0", team].concat()
}

#[cfg(test)]
mod tests {
    use super::{Tally, Use};
    use crate::time::{Monotonic, Now};

    #[test]
    fn requests_of_one_key_for_one_team_are_one_entry() {
        let at = |unix| Now { unix, monotonic: Monotonic(0) };
        let mut tally = Tally::default();
        tally.count("k", "acme", Use::Granted, at(7));
        tally.count("k", "acme", Use::Limited, at(5));
        tally.count("k", "globex", Use::Granted, at(1));
        let usage = tally.take(1);
        assert_eq!((usage[0].granted, usage[0].limited, usage[0].last_used), (1, 1, 7));
        assert_eq!(tally.take(9).len(), 1);
        assert!(tally.is_empty());
    }
}
