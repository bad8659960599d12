//! Which nodes called lately, kept in memory.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::domain::{Moment, NodeName};

/// How long a node counts as live after its last call, in seconds: twice the longest long poll.
const LIVE_SECONDS: u64 = 600;

/// The most nodes that are remembered.
const MOST: usize = 10_000;

/// The nodes that called lately.
#[derive(Debug, Default)]
pub struct Nodes(Mutex<HashMap<NodeName, Seen>>);

#[derive(Debug, Clone)]
struct Seen {
    at: Moment,
    version: Option<NodeName>,
}

impl Nodes {
    /// A node called at `now`.
    pub fn saw(&self, name: Option<&NodeName>, version: Option<&NodeName>, now: Moment) {
        let Some(name) = name else { return };
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if nodes.len() >= MOST && !nodes.contains_key(name) {
            nodes.retain(|_, seen| is_live(seen, now));
        }
        if nodes.len() < MOST || nodes.contains_key(name) {
            nodes.insert(name.clone(), Seen { at: now, version: version.cloned() });
        }
    }

    /// How many nodes are live, by the version of their filter.
    #[must_use]
    pub fn live(&self, now: Moment) -> Vec<(String, u64)> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = HashMap::<&str, u64>::new();
        for seen in nodes.values().filter(|seen| is_live(seen, now)) {
            *counts.entry(seen.version.as_ref().map_or("unknown", NodeName::as_str)).or_default() += 1;
        }
        counts.into_iter().map(|(version, count)| (version.to_owned(), count)).collect()
    }
}

fn is_live(seen: &Seen, now: Moment) -> bool {
    now.minus(LIVE_SECONDS) <= seen.at
}

#[cfg(test)]
mod tests {
    use super::{MOST, Nodes};
    use crate::domain::{Moment, NodeName};

    fn at(second: u64) -> Moment {
        Moment::from_unix(second).unwrap()
    }

    #[test]
    fn a_node_is_live_for_ten_minutes_after_its_last_call() {
        let nodes = Nodes::default();
        let version = NodeName::parse("0.1.0").unwrap();
        nodes.saw(Some(&NodeName::parse("edge-1").unwrap()), Some(&version), at(1000));
        nodes.saw(None, None, at(1000));
        assert_eq!(nodes.live(at(1600)), [("0.1.0".to_owned(), 1)]);
        assert_eq!(nodes.live(at(1601)), []);
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory() {
        let nodes = Nodes::default();
        for number in 0..MOST + 10 {
            nodes.saw(Some(&NodeName::parse(&format!("n{number}")).unwrap()), None, at(1));
        }
        assert_eq!(nodes.live(at(1)), [("unknown".to_owned(), u64::try_from(MOST).unwrap())]);
    }
}
