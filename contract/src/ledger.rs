//! What a node reports to the key service: how often each key was used, and when last.

use serde::{Deserialize, Serialize};

/// One batch of usage from one node.
///
/// `(node, epoch, seq)` names the batch: a repeated one counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The node's name.
    pub node: String,
    /// Which steward of that node is counting; a new one starts again at `seq` 1.
    pub epoch: u64,
    /// The batch's number, from 1, without gaps.
    pub seq: u64,
    /// Usage per key and team, each pair at most once.
    pub usage: Vec<Usage>,
}

/// How often one key was used since the batch before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The key's id; empty for a session that was made with a password.
    pub key: String,
    /// The team whose bucket was charged; empty where an enterprise acted for itself.
    pub team: String,
    /// Requests let through.
    pub granted: u64,
    /// Requests refused because the team's bucket was empty.
    pub limited: u64,
    /// When the key was used last (Unix time, seconds).
    pub last_used: u64,
}

impl Usage {
    /// Adds what another worker or a later batch counted for the same key.
    pub fn add(&mut self, other: &Self) {
        self.granted = self.granted.saturating_add(other.granted);
        self.limited = self.limited.saturating_add(other.limited);
        self.last_used = self.last_used.max(other.last_used);
    }
}

/// The most entries in one [`Report`].
pub const MAX_USAGE: usize = 10_000;
