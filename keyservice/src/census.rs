//! How many nodes there are: nodes are told, because each may spend its share of a limit when nobody answers.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use crate::{domain::NodeName, nodes::Acquaintance};

/// How old may be what the database says of live nodes.
const AGE: Duration = Duration::from_secs(1);

/// How long reading them may hold up an answer: a node gives up on one after a second.
const LIMIT: Duration = Duration::from_millis(250);

/// The number of nodes.
#[derive(Debug, Default)]
pub struct Census {
    /// Those that the database knew to be live, and when.
    known: Mutex<Option<(Instant, HashSet<NodeName>)>>,
    /// What was told last; 0 before.
    told: AtomicU32,
}

impl Census {
    /// How many nodes are live: those that the database knows, read at most once a second, and those `calling` beside them,
    /// counted as often, and when one asks that is new.
    pub async fn take(
        &self,
        asker: Acquaintance,
        read: impl Future<Output = Option<HashSet<NodeName>>>,
        calling: impl FnOnce(&HashSet<NodeName>) -> usize,
    ) -> u32 {
        // Also a queue: however many ask at the same time, one reads.
        let mut known = self.known.lock().await;
        let is_fresh = known.as_ref().is_some_and(|(at, _)| at.elapsed() < AGE);
        if is_fresh && asker == Acquaintance::Known {
            return self.told.load(Ordering::Relaxed);
        }
        if !is_fresh {
            // Nodes do not wait for a database that is slow. Then it is as it was before.
            let nodes = timeout(LIMIT, read).await.ok().flatten();
            let nodes = nodes.or_else(|| known.take().map(|(_, nodes)| nodes));
            *known = nodes.map(|nodes| (Instant::now(), nodes));
        }
        let nobody = HashSet::new();
        let known = known.as_ref().map_or(&nobody, |(_, known)| known);
        let nodes = known.len().saturating_add(calling(known));
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        self.told.store(nodes, Ordering::Relaxed);
        nodes
    }

    /// Whether there was one node when they were counted last.
    pub fn was_one(&self) -> bool {
        self.told.load(Ordering::Relaxed) == 1
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, future::pending};

    use super::Census;
    use crate::{domain::NodeName, nodes::Acquaintance};

    fn names(names: &[&str]) -> Option<HashSet<NodeName>> {
        Some(names.iter().map(|name| NodeName::parse(name).unwrap()).collect())
    }

    async fn unread() -> Option<HashSet<NodeName>> {
        panic!("it was read a moment ago")
    }

    #[tokio::test]
    async fn who_asks_for_the_first_time_is_counted_although_the_database_was_read_just_now() {
        let census = Census::default();
        assert_eq!(census.take(Acquaintance::New, async { names(&["a"]) }, |_| 0).await, 1);
        assert!(census.was_one());
        assert_eq!(census.take(Acquaintance::New, unread(), |known| 2 * known.len()).await, 3);
        assert_eq!(census.take(Acquaintance::Known, unread(), |_| panic!("nobody has come")).await, 3);
        assert!(!census.was_one());
    }

    #[tokio::test]
    async fn a_database_that_says_nothing_holds_up_no_answer_and_is_asked_again() {
        let census = Census::default();
        assert_eq!(census.take(Acquaintance::New, pending(), |_| 2).await, 2);
        assert_eq!(census.take(Acquaintance::Known, async { None }, |_| 2).await, 2);
        assert_eq!(census.take(Acquaintance::Known, async { names(&["a", "b", "c"]) }, |_| 0).await, 3);
    }
}
