//! The fleet: which nodes there are, how far each has come, and whether a change has reached them all.

use super::{Moment, NodeName};

/// How long after the end of its poll a node still counts as live, in seconds: it may be between two polls.
pub const GRACE_SECONDS: u64 = 15;

/// How long a node that does not say it may go on serving what it has, in seconds: the filter's `max_age_seconds`,
/// unless it is configured otherwise.
pub const USUAL_MAX_AGE: u64 = 24 * 60 * 60;

/// What is known of a node from its last poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    /// How it calls itself.
    pub name: NodeName,
    /// The revision that it serves.
    pub revision: u64,
    /// The version of its filter.
    pub version: Option<NodeName>,
    /// When it polled.
    pub seen_at: Moment,
    /// How long that poll may last, in seconds.
    pub wait_seconds: u64,
    /// How long it goes on serving what it has when it can no longer call, in seconds.
    pub max_age: u64,
}

impl NodeSeen {
    /// Whether it is expected to call again.
    #[must_use]
    pub fn is_live(&self, now: Moment) -> bool {
        now <= self.last_answered()
    }

    /// Until when it may serve what it has, if it does not call again.
    #[must_use]
    pub fn serves_until(&self) -> Moment {
        self.last_answered().plus(self.max_age)
    }

    /// When its poll was answered at the latest, and the answer had arrived.
    fn last_answered(&self) -> Moment {
        self.seen_at.plus(self.wait_seconds).plus(GRACE_SECONDS)
    }

    /// Whether this is later news than the other, of the same node.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        (self.seen_at, self.revision) > (other.seen_at, other.revision)
    }
}

/// How a fleet stands towards a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// How many nodes are live.
    pub live: usize,
    /// Live nodes that have not come so far, with the revision that each serves.
    pub behind: Vec<(NodeName, u64)>,
    /// Nodes that had not come so far when they called last, do not call any more, and may still serve.
    pub lost: Vec<NodeName>,
}

impl Standing {
    /// How these nodes stand towards `revision` at `now`.
    #[must_use]
    pub fn of(nodes: &[NodeSeen], revision: u64, now: Moment) -> Self {
        let mut standing = Self::default();
        for node in nodes {
            let is_behind = node.revision < revision;
            if node.is_live(now) {
                standing.live += 1;
                standing.behind.extend(is_behind.then(|| (node.name.clone(), node.revision)));
            } else if is_behind && now <= node.serves_until() {
                standing.lost.push(node.name.clone());
            }
        }
        standing
    }

    /// Whether every live node has come so far. Where none is live, nobody says so as long as one may serve.
    #[must_use]
    pub fn has_reached(&self) -> bool {
        self.behind.is_empty() && (self.live > 0 || self.lost.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeSeen, Standing};
    use crate::domain::{Moment, NodeName};

    fn node(name: &str, revision: u64, seen_at: u64) -> NodeSeen {
        let name = NodeName::parse(name).unwrap();
        NodeSeen { name, revision, version: None, seen_at: at(seen_at), wait_seconds: 30, max_age: 3600 }
    }

    fn at(second: u64) -> Moment {
        Moment::from_unix(second).unwrap()
    }

    #[test]
    fn a_node_is_live_until_a_while_after_the_end_of_its_poll() {
        assert!(node("a", 1, 1000).is_live(at(1045)));
        assert!(!node("a", 1, 1000).is_live(at(1046)));
    }

    #[test]
    fn a_revision_is_reached_when_every_live_node_serves_it() {
        let now = at(200_000);
        let nodes = [node("a", 7, 200_000), node("b", 8, 199_990), node("gone", 6, 199_000), node("dead", 6, 100_000)];
        let standing = Standing::of(&nodes, 7, now);
        assert!(standing.has_reached());
        assert_eq!((standing.live, standing.lost), (2, vec![NodeName::parse("gone").unwrap()]));
        assert_eq!(Standing::of(&nodes, 8, now).behind, [(NodeName::parse("a").unwrap(), 7)]);
    }

    #[test]
    fn a_fleet_without_nodes_has_reached_everything() {
        assert!(Standing::of(&[], 9, at(1)).has_reached());
    }

    #[test]
    fn where_only_lost_nodes_are_left_nothing_is_reached_until_they_serve_no_more() {
        let (gone, end) = ([node("gone", 6, 1000)], 1000 + 30 + 15 + 3600);
        assert!(!Standing::of(&gone, 7, at(2000)).has_reached());
        assert!(Standing::of(&gone, 6, at(2000)).has_reached(), "it had it when it called last");
        assert!(!Standing::of(&gone, 7, at(end)).has_reached());
        assert!(Standing::of(&gone, 7, at(end + 1)).has_reached());
    }
}
