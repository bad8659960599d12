//! Nodes in the database, so that every service knows of those that call another one.

use super::{
    ActError, Store, StoreError,
    change::{Change, Entry},
    row,
    sql::{Row, Statement, sql},
};
use crate::domain::{By, GRACE_SECONDS, Moment, NodeName, NodeSeen, Thing};

/// How long a node that no longer calls is remembered, in seconds.
const REMEMBERED: u64 = 7 * 24 * 60 * 60;

/// Nodes written with one statement, six values each.
const NODES_PER_STATEMENT: usize = 100;

impl Store {
    /// Notes what nodes said last, each once; what the database has from later on stays.
    ///
    /// # Errors
    /// When the database fails; then nothing is noted.
    pub async fn note_nodes(&self, nodes: &[NodeSeen]) -> Result<(), StoreError> {
        let mut change = self.quiet_change().await?;
        // Many with one statement: while this lasts, nobody else can change anything.
        for nodes in nodes.chunks(NODES_PER_STATEMENT) {
            upsert(nodes)?.execute(change.sql()).await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Every node that is remembered, in the order of their names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nodes(&self) -> Result<Vec<NodeSeen>, StoreError> {
        let all = sql("SELECT name, revision, version, seen_at, wait_seconds, max_age FROM nodes ORDER BY name");
        all.fetch_all(&mut self.read().await?).await?.iter().map(node).collect()
    }

    /// Forgets a node, as somebody asked for who knows that it has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_node(&self, node: NodeSeen, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            sql("DELETE FROM nodes WHERE name = $1").bind(node.name.as_str()).execute(change.sql()).await?;
            let entry = Entry::new("node.forget", Thing::Node.as_str(), node.name.as_str());
            let entry = entry.with("revision", node.revision).with("last_seen", node.seen_at.to_string());
            change.audit(entry, now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

fn upsert(nodes: &[NodeSeen]) -> Result<Statement, StoreError> {
    let mut upsert = sql("INSERT INTO nodes (name, revision, version, seen_at, wait_seconds, max_age) VALUES ");
    for (index, node) in nodes.iter().enumerate() {
        // Revisions are the node's word: one that no database has come to is kept as the greatest.
        let revision = i64::try_from(node.revision).unwrap_or(i64::MAX);
        upsert = upsert.then_with(if index == 0 { "(" } else { ", (" }, node.name.as_str()).then_with(", ", revision);
        upsert = upsert.then_with(", ", node.version.as_ref().map(NodeName::as_str)).then_with(", ", node.seen_at);
        upsert = upsert.then_with(", ", row::integer(node.wait_seconds)?);
        upsert = upsert.then_with(", ", row::integer(node.max_age)?).then(")");
    }
    Ok(upsert.then(
        " ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, version = excluded.version,
              seen_at = excluded.seen_at, wait_seconds = excluded.wait_seconds, max_age = excluded.max_age
          WHERE nodes.seen_at <= excluded.seen_at",
    ))
}

/// Forgets nodes that have not called for long, and serve nothing any more.
pub(super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
    let old = sql("DELETE FROM nodes WHERE seen_at < $1 AND seen_at + wait_seconds + max_age < $2");
    old.bind(now.minus(REMEMBERED)).bind(now.minus(GRACE_SECONDS)).execute(change.sql()).await
}

fn node(from: &Row) -> Result<NodeSeen, StoreError> {
    Ok(NodeSeen {
        name: row::parsed(from, "name", NodeName::parse)?,
        revision: row::unsigned(from, "revision")?,
        version: row::maybe_parsed(from, "version", NodeName::parse)?,
        seen_at: row::moment(from, "seen_at")?,
        wait_seconds: row::unsigned(from, "wait_seconds")?,
        max_age: row::unsigned(from, "max_age")?,
    })
}
