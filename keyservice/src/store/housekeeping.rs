//! What the database forgets, and when: everything that is kept only for a while is bounded.

use super::{
    Store, StoreError,
    change::Change,
    nodes, row, sessions,
    sql::{Connection, sql},
    token_keys,
};
use crate::domain::{Calendar, LEAP, Moment};

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
    /// The audit log, in seconds.
    pub audit_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            tombstone_seconds: 7 * DAY,
            tombstones: 100_000,
            idempotency_seconds: DAY,
            ledger_seconds: 30 * DAY,
            audit_seconds: 400 * DAY,
        }
    }
}

/// What came of looking through what is old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Housekeeping {
    /// It was forgotten.
    Cleared(Cleared),
    /// The clock leaped since this time, the last that was believed: nothing was forgotten.
    Doubtful(Moment),
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
    /// Sessions whose tokens nobody takes any more.
    pub sessions: u64,
    /// Token keys whose last token ended.
    pub token_keys: u64,
    /// Entries of the audit log.
    pub audit_entries: u64,
    /// Nodes.
    pub nodes: u64,
}

impl Store {
    /// Forgets what is older than `retention`, if the clock is to be believed.
    ///
    /// # Errors
    /// When the database fails; then nothing is forgotten.
    pub async fn clear(&self, retention: Retention, now: Moment) -> Result<Housekeeping, StoreError> {
        let mut change = self.quiet_change().await?;
        let calendar = calendar(change.sql()).await?;
        let (told, is_believed) = calendar.told(now);
        note(change.sql(), told).await?;
        if !is_believed {
            change.commit().await?;
            return Ok(Housekeeping::Doubtful(calendar.believed));
        }
        let tombstones = clear_tombstones(&mut change, retention, now).await?;
        let old = sql("DELETE FROM idempotency WHERE created_at < $1").bind(now.minus(retention.idempotency_seconds));
        let idempotency_keys = old.execute(change.sql()).await?;
        let old = sql("DELETE FROM ledger WHERE seen_at < $1").bind(now.minus(retention.ledger_seconds));
        let stewards = old.execute(change.sql()).await?;
        let sessions = sessions::clear(&mut change, now).await?;
        let token_keys = token_keys::clear(&mut change, now).await?;
        let audit_entries = clear_audit(change.sql(), now.minus(retention.audit_seconds), now).await?;
        let nodes = nodes::clear(&mut change, now).await?;
        change.commit().await?;
        let cleared = Cleared { tombstones, idempotency_keys, stewards, sessions, token_keys, audit_entries, nodes };
        Ok(Housekeeping::Cleared(cleared))
    }
}

/// Forgets the entries before the first that is not from before `since`: what was written while a clock was wrong stands
/// between others, and is as old as they are. Others may be from a clock that was ahead of this one, as far as it is believed.
async fn clear_audit(on: &mut Connection, since: Moment, now: Moment) -> Result<u64, StoreError> {
    let old = "DELETE FROM audit WHERE seq < (SELECT MIN(seq) FROM audit WHERE at >= $1 AND at <= $2)";
    sql(old).bind(since).bind(now.plus(LEAP)).execute(on).await
}

async fn calendar(on: &mut Connection) -> Result<Calendar, StoreError> {
    let found = sql("SELECT believed, doubted_from, doubted_until FROM calendar").fetch_one(on).await?;
    let doubted = row::maybe_moment(&found, "doubted_from")?.zip(row::maybe_moment(&found, "doubted_until")?);
    Ok(Calendar { believed: row::moment(&found, "believed")?, doubted })
}

async fn note(on: &mut Connection, calendar: Calendar) -> Result<(), StoreError> {
    let (from, until) = calendar.doubted.unzip();
    let update = sql("UPDATE calendar SET believed = $1, doubted_from = $2, doubted_until = $3");
    update.bind(calendar.believed).bind(from).bind(until).execute(on).await?;
    Ok(())
}

/// Purges tombstones from the oldest revision on, and raises the floor of the history to the last one purged: a node
/// that has not come so far may have missed it.
async fn clear_tombstones(change: &mut Change<'_>, retention: Retention, now: Moment) -> Result<u64, StoreError> {
    let by_age = last_purged_by_age(change.sql(), now.minus(retention.tombstone_seconds)).await?;
    let by_count = last_purged_by_count(change.sql(), retention.tombstones).await?;
    let Some(floor) = by_age.max(by_count) else { return Ok(0) };
    let purge = sql("DELETE FROM published WHERE removed_at IS NOT NULL AND revision <= $1").bind(floor);
    let purged = purge.execute(change.sql()).await?;
    let raise = sql("UPDATE service SET history_from = $1 WHERE history_from < $1").bind(floor);
    raise.execute(change.sql()).await?;
    Ok(purged)
}

/// The last revision with a tombstone from before `before`.
async fn last_purged_by_age(on: &mut Connection, before: Moment) -> Result<Option<i64>, StoreError> {
    let last = "SELECT MAX(revision) AS last FROM published WHERE removed_at IS NOT NULL AND removed_at < $1";
    sql(last).bind(before).fetch_one(on).await?.maybe_integer("last")
}

/// The last revision with a tombstone beyond the `most` newest ones.
async fn last_purged_by_count(on: &mut Connection, most: u64) -> Result<Option<i64>, StoreError> {
    let last = "SELECT revision FROM published WHERE removed_at IS NOT NULL ORDER BY revision DESC LIMIT 1 OFFSET $1";
    let last = sql(last).bind(row::integer(most)?).fetch_optional(on).await?;
    last.map(|row| row.integer("revision")).transpose()
}
