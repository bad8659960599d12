//! The fleet, as the admin API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::document::rules,
    domain::{Moment, NodeName, NodeSeen},
};

/// How a change stands in the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetView {
    /// Whether every live node serves the change; where none is live, whether none is lost.
    pub reached: bool,
    /// The revision that was waited for: the change's own, or a later one.
    pub revision: u64,
    /// How long that took, or how long was waited in vain, in milliseconds.
    pub waited_ms: u64,
    /// How many nodes are live.
    pub nodes: usize,
    /// Live nodes that do not serve it yet.
    pub behind: Vec<BehindView>,
    /// Nodes that did not serve it when they called last, no longer call, and may still serve what they had. Those that
    /// have ended can be forgotten (`DELETE /v1/fleet/{node}`).
    pub lost: Vec<String>,
}

/// A node that is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BehindView {
    /// Its name.
    pub node: String,
    /// The revision that it serves.
    pub revision: u64,
}

/// All nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetList {
    /// The number of the last change.
    pub revision: u64,
    /// The nodes that called within seven days or may still serve, in the order of their names.
    pub nodes: Vec<NodeView>,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// How it calls itself.
    pub name: String,
    /// The revision that it serves.
    pub revision: u64,
    /// How many revisions it is behind.
    pub lag: u64,
    /// When it called last (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub last_seen: String,
    /// The version of its filter, or null.
    #[schema(required)]
    pub version: Option<String>,
    /// Whether it is expected to call again.
    pub live: bool,
    /// Until when it may serve what it has, if it does not call again (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub serves_until: String,
}

impl NodeView {
    /// The node at `now`, when `revision` is the last change.
    #[must_use]
    pub fn at(now: Moment, revision: u64, node: NodeSeen) -> Self {
        Self {
            lag: revision.saturating_sub(node.revision),
            last_seen: node.seen_at.to_string(),
            live: node.is_live(now),
            serves_until: node.serves_until().to_string(),
            revision: node.revision,
            version: node.version.as_ref().map(NodeName::to_string),
            name: node.name.to_string(),
        }
    }
}
