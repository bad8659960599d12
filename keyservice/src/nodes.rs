//! Which nodes called this service lately, kept in memory; what they serve is written to the database a little later.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use crate::domain::{GRACE_SECONDS, Moment, NodeName, NodeSeen};

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
    /// A node polled for the first time.
    newcomer: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    callers: HashMap<NodeName, Caller>,
    serving: HashMap<NodeName, NodeSeen>,
    /// Those whose last poll the database has not heard of.
    news: HashSet<NodeName>,
}

/// Whether a node has called lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// It has, and is counted.
    Known,
    /// It has not.
    New,
}

#[derive(Debug)]
struct Caller {
    at: Moment,
    version: Option<NodeName>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { seen: Mutex::default(), polls: watch::Sender::new(0), newcomer: Notify::new() }
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

    /// A node asks for leases at `now`; says whether it has called before, and lately.
    pub fn hear(&self, name: &NodeName, now: Moment) -> Acquaintance {
        let mut seen = self.lock();
        if let Some(caller) = seen.callers.get_mut(name) {
            let before = std::mem::replace(&mut caller.at, now);
            let is_recent = now.minus(GRACE_SECONDS) <= before;
            return if is_recent { Acquaintance::Known } else { Acquaintance::New };
        }
        if seen.has_room_for(name, now) {
            seen.callers.insert(name.clone(), Caller { at: now, version: None });
        }
        Acquaintance::New
    }

    /// How many nodes beside the `known` ones have called lately.
    #[must_use]
    pub fn calling_beside(&self, known: &HashSet<NodeName>, now: Moment) -> usize {
        let since = now.minus(GRACE_SECONDS);
        let seen = self.lock();
        seen.callers.iter().filter(|(name, caller)| since <= caller.at && !known.contains(*name)).count()
    }

    /// A node polls, and so says what it serves.
    pub fn polls(&self, node: NodeSeen) {
        let mut seen = self.lock();
        if !seen.has_room_for(&node.name, node.seen_at) {
            return;
        }
        seen.callers.insert(node.name.clone(), Caller { at: node.seen_at, version: node.version.clone() });
        seen.news.insert(node.name.clone());
        let before = seen.serving.insert(node.name.clone(), node);
        drop(seen);
        self.polls.send_modify(|polls| *polls += 1);
        if before.is_none() {
            self.newcomer.notify_one();
        }
    }

    /// Waits until a node has polled that never did before.
    pub async fn newcomer(&self) {
        self.newcomer.notified().await;
    }

    /// Changes whenever a node polls.
    #[must_use]
    pub fn watch_polls(&self) -> watch::Receiver<u64> {
        self.polls.subscribe()
    }

    /// What the database has not heard of, in the order of names.
    #[must_use]
    pub fn news(&self) -> Vec<NodeSeen> {
        let mut news: Vec<_> = self.lock().news().cloned().collect();
        news.sort_by(|one, other| one.name.cmp(&other.name));
        news
    }

    /// The database has heard of these.
    pub fn told(&self, nodes: &[NodeSeen]) {
        let mut seen = self.lock();
        for node in nodes {
            if seen.serving.get(&node.name) == Some(node) {
                seen.news.remove(&node.name);
            }
        }
    }

    /// What is known of every node, in the order of names: what the database has, and what it had not heard of.
    ///
    /// The news are taken before the database is read: a node is news until the database has it, so whatever is not
    /// among the news is found there. What else is remembered here does not count, because there a node may have been
    /// forgotten meanwhile.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn and<E>(&self, stored: impl Future<Output = Result<Vec<NodeSeen>, E>>) -> Result<Vec<NodeSeen>, E> {
        let news = self.news();
        Ok(merged(news, stored.await?))
    }

    /// Forgets what the database has not heard of a node.
    pub fn forget(&self, name: &NodeName) {
        let mut seen = self.lock();
        seen.news.remove(name);
        seen.serving.remove(name);
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

/// The newer word on each node, in the order of names.
fn merged(news: Vec<NodeSeen>, stored: Vec<NodeSeen>) -> Vec<NodeSeen> {
    let mut all: BTreeMap<_, _> = stored.into_iter().map(|node| (node.name.clone(), node)).collect();
    for node in news {
        if all.get(&node.name).is_none_or(|stored| node.is_newer_than(stored)) {
            all.insert(node.name.clone(), node);
        }
    }
    all.into_values().collect()
}

impl Seen {
    fn news(&self) -> impl Iterator<Item = &NodeSeen> {
        self.news.iter().filter_map(|name| self.serving.get(name))
    }

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
    use std::collections::HashSet;

    use futures_util::FutureExt as _;

    use super::{Acquaintance, MOST, Nodes, merged};
    use crate::domain::{GRACE_SECONDS, Moment, NodeName, NodeSeen};

    fn at(second: u64) -> Moment {
        Moment::from_unix(second).unwrap()
    }

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn node(text: &str, revision: u64, second: u64) -> NodeSeen {
        NodeSeen { name: name(text), revision, version: None, seen_at: at(second), wait_seconds: 30, max_age: 60 }
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
    fn a_node_that_asks_for_leases_is_counted_at_once_and_no_node_twice() {
        let nodes = Nodes::default();
        assert_eq!(nodes.hear(&name("new"), at(1000)), Acquaintance::New);
        nodes.polls(node("known", 1, 1000));
        let known = HashSet::from([name("known"), name("elsewhere")]);
        assert_eq!(nodes.calling_beside(&known, at(1000)), 1);
        assert_eq!(nodes.calling_beside(&known, at(1000 + GRACE_SECONDS)), 1);
        assert_eq!(nodes.calling_beside(&known, at(1001 + GRACE_SECONDS)), 0);
        assert_eq!(nodes.hear(&name("new"), at(1040)), Acquaintance::New);
        assert_eq!(nodes.hear(&name("new"), at(1040 + GRACE_SECONDS)), Acquaintance::Known);
        assert_eq!(nodes.calling_beside(&known, at(1041 + GRACE_SECONDS)), 1);
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory() {
        let nodes = Nodes::default();
        for number in 0..MOST + 10 {
            nodes.polls(node(&format!("n{number}"), 1, 1));
        }
        assert_eq!(nodes.live(at(1)), [("unknown".to_owned(), u64::try_from(MOST).unwrap())]);
        assert_eq!(nodes.news().len(), MOST);
    }

    #[test]
    fn what_a_node_said_last_is_news_until_the_database_has_heard_it() {
        let nodes = Nodes::default();
        nodes.polls(node("b", 1, 1));
        nodes.polls(node("a", 1, 1));
        nodes.polls(node("b", 2, 1));
        let news = nodes.news();
        assert_eq!(news, [node("a", 1, 1), node("b", 2, 1)]);
        nodes.polls(node("b", 3, 2));
        nodes.told(&news);
        assert_eq!(nodes.news(), [node("b", 3, 2)]);
        nodes.told(&[node("b", 3, 2)]);
        assert_eq!(nodes.news(), []);
    }

    #[tokio::test]
    async fn a_node_that_polls_for_the_first_time_is_a_newcomer_once() {
        let nodes = Nodes::default();
        assert_eq!(nodes.newcomer().now_or_never(), None);
        nodes.polls(node("a", 1, 1));
        assert_eq!(nodes.newcomer().now_or_never(), Some(()));
        nodes.polls(node("a", 2, 2));
        assert_eq!(nodes.newcomer().now_or_never(), None);
    }

    #[test]
    fn the_newer_word_on_a_node_counts_wherever_it_was_heard() {
        let nodes = Nodes::default();
        nodes.polls(node("here", 5, 10));
        nodes.polls(node("moved", 5, 10));
        let stored = vec![node("here", 4, 9), node("moved", 6, 10), node("there", 7, 8)];
        assert_eq!(merged(nodes.news(), stored), [node("here", 5, 10), node("moved", 6, 10), node("there", 7, 8)]);
    }

    #[tokio::test]
    async fn a_node_is_never_missing_while_it_is_written_down() {
        let nodes = Nodes::default();
        nodes.polls(node("a", 5, 10));
        // The database is read, and then hears of it.
        let stored = async {
            nodes.told(&[node("a", 5, 10)]);
            Ok::<_, ()>(Vec::new())
        };
        assert_eq!(nodes.and(stored).await, Ok(vec![node("a", 5, 10)]));
    }

    #[test]
    fn what_the_database_has_heard_and_forgotten_is_forgotten_here() {
        let nodes = Nodes::default();
        nodes.polls(node("gone", 5, 10));
        nodes.polls(node("unheard", 5, 10));
        nodes.told(&[node("gone", 5, 10)]);
        assert_eq!(merged(nodes.news(), Vec::new()), [node("unheard", 5, 10)]);
        nodes.forget(&name("unheard"));
        assert_eq!(nodes.news(), []);
    }
}
