//! Which nodes called this service lately, kept in memory; what they serve is written to the database a little later.

use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::domain::{Moment, NodeName, NodeSeen};

/// How long a node counts as live in the metrics after its last call, in seconds: twice the longest long poll.
const LIVE_SECONDS: u64 = 600;

/// The most nodes that are remembered.
const MOST: usize = 10_000;

/// The nodes that called lately.
#[derive(Debug)]
pub struct Nodes {
    seen: Mutex<Seen>,
    /// Grows with every poll: what waits for the fleet looks again.
    polls: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Seen {
    callers: HashMap<NodeName, Caller>,
    serving: HashMap<NodeName, NodeSeen>,
    /// Those whose last poll the database has not heard of.
    news: HashSet<NodeName>,
}

#[derive(Debug)]
struct Caller {
    at: Moment,
    version: Option<NodeName>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { seen: Mutex::default(), polls: watch::Sender::new(0) }
    }
}

impl Nodes {
    /// A node called at `now`, for whatever.
    pub fn saw(&self, name: Option<&NodeName>, version: Option<&NodeName>, now: Moment) {
        let Some(name) = name else { return };
        let mut seen = self.lock();
        if seen.has_room_for(name, now) {
            seen.callers.insert(name.clone(), Caller { at: now, version: version.cloned() });
        }
    }

    /// A node polls, and so says what it serves.
    pub fn polls(&self, node: NodeSeen) {
        let mut seen = self.lock();
        if !seen.has_room_for(&node.name, node.seen_at) {
            return;
        }
        seen.callers.insert(node.name.clone(), Caller { at: node.seen_at, version: node.version.clone() });
        seen.news.insert(node.name.clone());
        seen.serving.insert(node.name.clone(), node);
        drop(seen);
        self.polls.send_modify(|polls| *polls += 1);
    }

    /// Changes whenever a node polls.
    #[must_use]
    pub fn watch_polls(&self) -> watch::Receiver<u64> {
        self.polls.subscribe()
    }

    /// What the database has not heard of, in the order of names; from now on it counts as told.
    #[must_use]
    pub fn take_news(&self) -> Vec<NodeSeen> {
        let mut seen = self.lock();
        let news = mem::take(&mut seen.news);
        let mut nodes: Vec<_> = news.iter().filter_map(|name| seen.serving.get(name)).cloned().collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes
    }

    /// The database did not hear of these after all.
    pub fn put_back(&self, nodes: Vec<NodeSeen>) {
        self.lock().news.extend(nodes.into_iter().map(|node| node.name));
    }

    /// What is known of every node: here, or from `told`, whichever is newer; in the order of names.
    #[must_use]
    pub fn and(&self, told: Vec<NodeSeen>) -> Vec<NodeSeen> {
        let mut all = self.lock().serving.clone();
        for node in told {
            if all.get(&node.name).is_none_or(|here| node.is_newer_than(here)) {
                all.insert(node.name.clone(), node);
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// How many nodes are live, by the version of their filter.
    #[must_use]
    pub fn live(&self, now: Moment) -> Vec<(String, u64)> {
        let seen = self.lock();
        let mut counts = HashMap::<&str, u64>::new();
        for caller in seen.callers.values().filter(|caller| is_live(caller, now)) {
            *counts.entry(caller.version.as_ref().map_or("unknown", NodeName::as_str)).or_default() += 1;
        }
        counts.into_iter().map(|(version, count)| (version.to_owned(), count)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether this node is known or can be; forgets those that no longer call when there is no room.
    fn has_room_for(&mut self, name: &NodeName, now: Moment) -> bool {
        if self.callers.len() >= MOST && !self.callers.contains_key(name) {
            self.callers.retain(|_, caller| is_live(caller, now));
            self.serving.retain(|name, _| self.callers.contains_key(name));
        }
        self.callers.len() < MOST || self.callers.contains_key(name)
    }
}

fn is_live(caller: &Caller, now: Moment) -> bool {
    now.minus(LIVE_SECONDS) <= caller.at
}

#[cfg(test)]
mod tests {
    use super::{MOST, Nodes};
    use crate::domain::{Moment, NodeName, NodeSeen};

    fn at(second: u64) -> Moment {
        Moment::from_unix(second).unwrap()
    }

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn node(text: &str, revision: u64, second: u64) -> NodeSeen {
        NodeSeen { name: name(text), revision, version: None, seen_at: at(second), wait_seconds: 30 }
    }

    #[test]
    fn a_node_is_live_for_ten_minutes_after_its_last_call() {
        let nodes = Nodes::default();
        nodes.saw(Some(&name("edge-1")), Some(&name("0.1.0")), at(1000));
        nodes.saw(None, None, at(1000));
        assert_eq!(nodes.live(at(1600)), [("0.1.0".to_owned(), 1)]);
        assert_eq!(nodes.live(at(1601)), []);
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory() {
        let nodes = Nodes::default();
        for number in 0..MOST + 10 {
            nodes.polls(node(&format!("n{number}"), 1, 1));
        }
        assert_eq!(nodes.live(at(1)), [("unknown".to_owned(), u64::try_from(MOST).unwrap())]);
        assert_eq!(nodes.take_news().len(), MOST);
    }

    #[test]
    fn what_a_node_said_last_is_told_once_unless_it_was_not_heard() {
        let nodes = Nodes::default();
        nodes.polls(node("b", 1, 1));
        nodes.polls(node("a", 1, 1));
        nodes.polls(node("b", 2, 1));
        let news = nodes.take_news();
        assert_eq!(news, [node("a", 1, 1), node("b", 2, 1)]);
        assert_eq!(nodes.take_news(), []);
        nodes.put_back(news);
        nodes.polls(node("b", 3, 2));
        assert_eq!(nodes.take_news(), [node("a", 1, 1), node("b", 3, 2)]);
    }

    #[test]
    fn the_newer_word_on_a_node_counts_wherever_it_was_heard() {
        let nodes = Nodes::default();
        nodes.polls(node("here", 5, 10));
        nodes.polls(node("moved", 5, 10));
        let told = vec![node("here", 4, 9), node("moved", 6, 10), node("there", 7, 8)];
        assert_eq!(nodes.and(told), [node("here", 5, 10), node("moved", 6, 10), node("there", 7, 8)]);
    }
}
