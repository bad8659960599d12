//! How many nodes there are: nodes are told, because each may spend its share of a limit when nobody answers.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::timeout};

use crate::domain::NodeName;

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
    /// How many nodes are live: those that the database knows, read at most once a second, and those `calling` beside them.
    pub async fn take(
        &self,
        read: impl Future<Output = Option<HashSet<NodeName>>>,
        calling: impl FnOnce(&HashSet<NodeName>) -> usize,
    ) -> u32 {
        // Also a queue: however many ask at the same time, one reads.
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() >= AGE) {
            // Nodes do not wait for a database that is slow. Then it is as it was before.
            let nodes = timeout(LIMIT, read).await.ok().flatten();
            let nodes = nodes.or_else(|| known.take().map(|(_, nodes)| nodes)).unwrap_or_default();
            *known = Some((Instant::now(), nodes));
        }
        let nodes = known.as_ref().map_or(0, |(_, known)| known.len().saturating_add(calling(known)));
        let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        self.told.store(nodes, Ordering::Relaxed);
        nodes
    }

    /// Whether there was one node when they were counted last.
    pub fn was_one(&self) -> bool {
        self.told.load(Ordering::Relaxed) == 1
    }
}
