//! What the database forgets, and when: everything that is kept only for a while is bounded.

use sqlx::SqliteConnection;

use super::{Store, StoreError, change::Change, row};
use crate::domain::Moment;

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Tombstones, in seconds: a node that was away longer takes a snapshot.
    pub tombstone_seconds: u64,
    /// The most tombstones.
    pub tombstones: u64,
    /// Idempotency keys, in seconds.
    pub idempotency_seconds: u64,
    /// The last batch of a steward that reports no longer, in seconds.
    pub ledger_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self { tombstone_seconds: 7 * DAY, tombstones: 100_000, idempotency_seconds: DAY, ledger_seconds: 30 * DAY }
    }
}

/// How much was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// Tombstones.
    pub tombstones: u64,
    /// Idempotency keys.
    pub idempotency_keys: u64,
    /// Stewards.
    pub stewards: u64,
}

impl Store {
    /// Forgets what is older than `retention`.
    ///
    /// # Errors
    /// When the database fails; then nothing is forgotten.
    pub async fn clear(&self, retention: Retention, now: Moment) -> Result<Cleared, StoreError> {
        let mut change = self.change().await?;
        let tombstones = clear_tombstones(&mut change, retention, now).await?;
        let before = row::integer(now.minus(retention.idempotency_seconds).unix())?;
        let idempotency_keys =
            sqlx::query("DELETE FROM idempotency WHERE created_at < $1").bind(before).execute(change.sql()).await?;
        let before = row::integer(now.minus(retention.ledger_seconds).unix())?;
        let stewards = sqlx::query("DELETE FROM ledger WHERE seen_at < $1").bind(before).execute(change.sql()).await?;
        change.commit().await?;
        Ok(Cleared {
            tombstones,
            idempotency_keys: idempotency_keys.rows_affected(),
            stewards: stewards.rows_affected(),
        })
    }
}

/// Purges tombstones from the oldest revision on, and raises the floor of the history to the last one purged: a node
/// that has not come so far may have missed it.
async fn clear_tombstones(change: &mut Change<'_>, retention: Retention, now: Moment) -> Result<u64, StoreError> {
    let by_age = last_purged_by_age(change.sql(), now.minus(retention.tombstone_seconds)).await?;
    let by_count = last_purged_by_count(change.sql(), retention.tombstones).await?;
    let Some(floor) = by_age.max(by_count) else { return Ok(0) };
    let purge = sqlx::query("DELETE FROM published WHERE removed_at IS NOT NULL AND revision <= $1").bind(floor);
    let purged = purge.execute(change.sql()).await?.rows_affected();
    let raise = sqlx::query("UPDATE service SET history_from = $1 WHERE history_from < $1").bind(floor);
    raise.execute(change.sql()).await?;
    Ok(purged)
}

/// The last revision with a tombstone from before `before`.
async fn last_purged_by_age(sql: &mut SqliteConnection, before: Moment) -> Result<Option<i64>, StoreError> {
    let query = "SELECT MAX(revision) FROM published WHERE removed_at IS NOT NULL AND removed_at < $1";
    Ok(sqlx::query_scalar(query).bind(row::integer(before.unix())?).fetch_one(sql).await?)
}

/// The last revision with a tombstone beyond the `most` newest ones.
async fn last_purged_by_count(sql: &mut SqliteConnection, most: u64) -> Result<Option<i64>, StoreError> {
    let query = "SELECT revision FROM published WHERE removed_at IS NOT NULL ORDER BY revision DESC LIMIT 1 OFFSET $1";
    Ok(sqlx::query_scalar(query).bind(row::integer(most)?).fetch_optional(sql).await?)
}
