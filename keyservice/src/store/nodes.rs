//! Nodes in the database, so that every service knows of those that call another one.

use super::{
    Store, StoreError,
    change::Change,
    row,
    sql::{Row, Statement, sql},
};
use crate::domain::{Moment, NodeName, NodeSeen};

/// How long a node that no longer calls is remembered, in seconds.
const REMEMBERED: u64 = 7 * 24 * 60 * 60;

/// Nodes written with one statement, five values each.
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
        let all = sql("SELECT name, revision, version, seen_at, wait_seconds FROM nodes ORDER BY name");
        all.fetch_all(&mut self.read().await?).await?.iter().map(node).collect()
    }
}

fn upsert(nodes: &[NodeSeen]) -> Result<Statement, StoreError> {
    let mut upsert = sql("INSERT INTO nodes (name, revision, version, seen_at, wait_seconds) VALUES ");
    for (index, node) in nodes.iter().enumerate() {
        // Revisions are the node's word: one that no database has come to is kept as the greatest.
        let revision = i64::try_from(node.revision).unwrap_or(i64::MAX);
        upsert = upsert.then_with(if index == 0 { "(" } else { ", (" }, node.name.as_str()).then_with(", ", revision);
        upsert = upsert.then_with(", ", node.version.as_ref().map(NodeName::as_str)).then_with(", ", node.seen_at);
        upsert = upsert.then_with(", ", row::integer(node.wait_seconds)?).then(")");
    }
    Ok(upsert.then(
        " ON CONFLICT (name) DO UPDATE SET revision = excluded.revision, version = excluded.version,
              seen_at = excluded.seen_at, wait_seconds = excluded.wait_seconds
          WHERE nodes.seen_at <= excluded.seen_at",
    ))
}

/// Forgets nodes that have not called for long.
pub(super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
    sql("DELETE FROM nodes WHERE seen_at < $1").bind(now.minus(REMEMBERED)).execute(change.sql()).await
}

fn node(from: &Row) -> Result<NodeSeen, StoreError> {
    Ok(NodeSeen {
        name: row::parsed(from, "name", NodeName::parse)?,
        revision: row::unsigned(from, "revision")?,
        version: row::maybe_parsed(from, "version", NodeName::parse)?,
        seen_at: row::moment(from, "seen_at")?,
        wait_seconds: row::unsigned(from, "wait_seconds")?,
    })
}
