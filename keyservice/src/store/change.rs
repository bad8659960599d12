//! A change: the only way to write what nodes see.
//!
//! **Invariant: commit order is revision order.** The next revision is read and taken inside a write transaction that
//! holds the database's one write lock from its first statement (`BEGIN IMMEDIATE`) to its commit. So no transaction
//! with a greater revision can commit, or even begin, before one with a smaller revision is visible, and a reader who
//! sees revision n sees every change up to n. A sequence taken outside that lock would break this.
//!
//! A revision that is not committed is not used up: the counter is rolled back with everything else.

use std::sync::atomic::Ordering;

use sqlx::{Sqlite, SqliteConnection, Transaction};
use tollkeeper_contract::page::{Cursor, Table};

use super::{Store, StoreError, row};
use crate::domain::Moment;

/// The most rows that one change may touch.
///
/// A page of changes holds whole revisions only, so the greatest one must fit into a page with room to spare.
pub const MAX_ROWS_PER_CHANGE: usize = 256;

/// A write transaction.
pub(super) struct Change<'a> {
    store: &'a Store,
    tx: Transaction<'static, Sqlite>,
    revision: Option<u64>,
}

impl Store {
    /// Begins to write; others who want to write wait until the change is committed or dropped.
    pub(super) async fn change(&self) -> Result<Change<'_>, StoreError> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(Change { store: self, tx, revision: None })
    }
}

impl Change<'_> {
    /// The connection, for statements of this change.
    pub(super) fn sql(&mut self) -> &mut SqliteConnection {
        &mut self.tx
    }

    /// Stamps a record that was made or altered: nodes get it with this change's revision.
    pub(super) async fn publish(&mut self, cursor: Cursor) -> Result<(), StoreError> {
        self.stamp(cursor, None).await
    }

    /// Leaves a tombstone for a record that was deleted: nodes are told that it is gone.
    pub(super) async fn withdraw(&mut self, cursor: Cursor, now: Moment) -> Result<(), StoreError> {
        self.stamp(cursor, Some(row::integer(now.unix())?)).await
    }

    async fn stamp(&mut self, cursor: Cursor, removed_at: Option<i64>) -> Result<(), StoreError> {
        let revision = row::integer(self.revision().await?)?;
        let stamp = sqlx::query(
            "INSERT INTO published (table_code, digest, revision, removed_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (table_code, digest)
             DO UPDATE SET revision = excluded.revision, removed_at = excluded.removed_at",
        );
        let stamp = stamp.bind(table_code(cursor.table)).bind(cursor.digest.as_bytes().as_slice());
        stamp.bind(revision).bind(removed_at).execute(&mut *self.tx).await?;
        Ok(())
    }

    /// This change's revision, taken when it is first needed: a change that changes nothing uses up none.
    async fn revision(&mut self) -> Result<u64, StoreError> {
        if let Some(revision) = self.revision {
            return Ok(revision);
        }
        let next = sqlx::query("UPDATE service SET revision = revision + 1 RETURNING revision");
        let revision = row::unsigned(&next.fetch_one(&mut *self.tx).await?, "revision")?;
        self.revision = Some(revision);
        Ok(revision)
    }

    /// Makes the change visible and wakes those who wait for one.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await?;
        self.store.write_failed.store(false, Ordering::Relaxed);
        if let Some(revision) = self.revision {
            // Two changes may come here in another order than they were committed in.
            self.store.revision.send_if_modified(|current| {
                let grown = revision > *current;
                *current = revision.max(*current);
                grown
            });
        }
        Ok(())
    }
}

/// How a table is called in `published`; the order is that of snapshots.
pub(super) fn table_code(table: Table) -> i64 {
    table.code().into()
}
