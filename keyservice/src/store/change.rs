//! A change: the only way to write what nodes see.
//!
//! **Invariant: commit order is revision order.** The next revision is read and taken inside a write transaction that
//! is alone from its first statement to its commit: on SQLite it holds the database's one write lock
//! (`BEGIN IMMEDIATE`), on PostgreSQL the lock of the `service` row. So no transaction with a greater revision can
//! commit, or even take it, before one with a smaller revision is visible, and a reader who sees revision n sees every
//! change up to n. A sequence taken outside that lock would break this.
//!
//! A revision that is not committed is not used up: the counter is rolled back with everything else.

use std::{borrow::Cow, collections::BTreeSet, sync::atomic::Ordering};

use serde_json::{Map, Value};
use tollkeeper_contract::page::{Cursor, Rest, Table};

use super::{
    Store, StoreError, records, row,
    sql::{Connection, Statement, sql},
};
use crate::domain::{By, Moment};

/// The most rows with one revision.
///
/// A page of changes holds whole revisions only, so the greatest one must fit into a page with room to spare. A change
/// of more rows takes several revisions, which become visible together.
pub const MAX_ROWS_PER_REVISION: usize = 256;

/// How many entries of the audit log one statement writes; see `keys::rows` for why not all.
const ENTRIES_PER_INSERT: usize = 40;

/// A write transaction.
pub struct Change<'a> {
    store: &'a Store,
    by: By,
    sql: Connection,
    /// Where records were made or altered.
    published: BTreeSet<Table>,
    first_revision: Option<u64>,
    revision: Option<u64>,
    /// How many rows the revision has already.
    rows: usize,
    audited: Vec<(Entry, Moment)>,
}

/// What the audit log says of a change, besides who and when.
pub(super) struct Entry {
    /// What was done, for example `key.revoke`.
    pub(super) action: Cow<'static, str>,
    /// To what, for example `key:c7tq4m2xkz5r6y3a`.
    pub(super) resource: String,
    /// The team that it belongs to.
    pub(super) team: Option<String>,
    /// The enterprise that it belongs to.
    pub(super) enterprise: Option<String>,
    /// What else there is to say; never a secret.
    pub(super) detail: Map<String, Value>,
}

impl Entry {
    /// `action` was done to the `sort` of thing that is called `id`.
    pub(super) fn new(action: impl Into<Cow<'static, str>>, sort: &str, id: &str) -> Self {
        let action = action.into();
        Self { action, resource: format!("{sort}:{id}"), team: None, enterprise: None, detail: Map::new() }
    }

    /// More to say; never a secret.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}

impl Store {
    /// Begins to write for `by`; others who want to write wait until the change is committed or dropped.
    pub(super) async fn change(&self, by: &By) -> Result<Change<'_>, StoreError> {
        let sql = self.writer.begin_writing().await?;
        let (published, by) = (BTreeSet::new(), by.clone());
        Ok(Change {
            store: self,
            by,
            sql,
            published,
            first_revision: None,
            revision: None,
            rows: 0,
            audited: Vec::new(),
        })
    }

    /// Begins to write what nobody asked for as such: usage, sessions, what is forgotten.
    pub(super) async fn quiet_change(&self) -> Result<Change<'_>, StoreError> {
        self.change(&By::SERVICE).await
    }
}

impl Change<'_> {
    /// The connection, for statements of this change.
    pub(super) fn sql(&mut self) -> &mut Connection {
        &mut self.sql
    }

    /// Stamps a record that was made or altered: nodes get it with this change's revision.
    pub(super) async fn publish(&mut self, cursor: Cursor) -> Result<(), StoreError> {
        self.stamp(&[cursor], None).await
    }

    /// Stamps any number of records that were made or altered.
    pub(super) async fn publish_all(&mut self, cursors: &[Cursor]) -> Result<(), StoreError> {
        self.stamp(cursors, None).await
    }

    /// Leaves a tombstone for a record that was deleted: nodes are told that it is gone.
    pub(super) async fn withdraw(&mut self, cursor: Cursor, now: Moment) -> Result<(), StoreError> {
        self.stamp(&[cursor], Some(now)).await
    }

    /// Leaves tombstones for any number of records that were deleted.
    pub(super) async fn withdraw_all(&mut self, cursors: &[Cursor], now: Moment) -> Result<(), StoreError> {
        self.stamp(cursors, Some(now)).await
    }

    /// Notes in the audit log what this change does; it is written with the change, or not at all.
    pub(super) fn audit(&mut self, entry: Entry, now: Moment) {
        self.audited.push((entry, now));
    }

    async fn stamp(&mut self, cursors: &[Cursor], removed_at: Option<Moment>) -> Result<(), StoreError> {
        if removed_at.is_none() {
            self.published.extend(cursors.iter().map(|cursor| cursor.table));
        }
        let mut left = cursors;
        while !left.is_empty() {
            let (revision, room) = self.revision_with_room().await?;
            let (now, later) = left.split_at(room.min(left.len()));
            stamping(now, revision, removed_at)?.execute(&mut self.sql).await?;
            self.rows += now.len();
            left = later;
        }
        Ok(())
    }

    /// This change's revision and how many rows it may still have. It is taken when it is first needed: a change that
    /// changes nothing uses up none.
    async fn revision_with_room(&mut self) -> Result<(u64, usize), StoreError> {
        if let Some(revision) = self.revision.filter(|_| self.rows < MAX_ROWS_PER_REVISION) {
            return Ok((revision, MAX_ROWS_PER_REVISION - self.rows));
        }
        let next = sql("UPDATE service SET revision = revision + 1 RETURNING revision");
        let revision = row::unsigned(&next.fetch_one(&mut self.sql).await?, "revision")?;
        (self.revision, self.rows) = (Some(revision), 0);
        self.first_revision.get_or_insert(revision);
        Ok((revision, MAX_ROWS_PER_REVISION))
    }

    /// Makes the change visible and wakes those who wait for one. Gives its last revision, if it took any.
    pub(super) async fn commit(mut self) -> Result<Option<u64>, StoreError> {
        self.keep_records().await?;
        self.write_audit().await?;
        if let (Some(revision), Connection::Postgres(_)) = (self.revision, &self.sql) {
            // Other instances hear of it as soon as, and only if, this transaction is committed.
            let notify = sql("SELECT pg_notify($1, $2)").bind(super::CHANNEL).bind(revision.to_string());
            notify.execute(&mut self.sql).await?;
        }
        self.sql.commit().await?;
        self.store.write_failed.store(false, Ordering::Relaxed);
        if let Some(revision) = self.revision {
            self.store.reached(revision);
        }
        Ok(self.revision)
    }

    /// Keeps what nodes get of all that was published. Only now, because a change may alter a record after it was stamped.
    async fn keep_records(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.first_revision else { return Ok(()) };
        for table in std::mem::take(&mut self.published) {
            while let Rest::More = records::keep_some(&mut self.sql, table, first).await? {}
        }
        Ok(())
    }

    async fn write_audit(&mut self) -> Result<(), StoreError> {
        let revision = self.revision.map(row::integer).transpose()?;
        let audited = std::mem::take(&mut self.audited);
        let mut entries = audited.into_iter().peekable();
        while entries.peek().is_some() {
            let some: Vec<_> = entries.by_ref().take(ENTRIES_PER_INSERT).collect();
            let count = i64::try_from(some.len()).unwrap_or(i64::MAX);
            let next = sql("UPDATE service SET audited = audited + $1 RETURNING audited").bind(count);
            let last = next.fetch_one(&mut self.sql).await?.integer("audited")?;
            let first = last.saturating_sub(count).saturating_add(1);
            auditing(&self.by, revision, (first..).zip(some)).execute(&mut self.sql).await?;
        }
        Ok(())
    }
}

fn auditing(by: &By, revision: Option<i64>, entries: impl Iterator<Item = (i64, (Entry, Moment))>) -> Statement {
    let insert = sql(
        "INSERT INTO audit (actor, source, token, revision, seq, at, action, resource, team, enterprise, detail) VALUES ",
    );
    let insert = insert.bind(by.actor.to_string()).bind(by.source.map(|source| source.to_string()));
    let insert = insert.bind(by.badge.as_ref().map(ToString::to_string)).bind(revision);
    entries.enumerate().fold(insert, |insert, (index, (seq, (entry, now)))| {
        let insert = insert.then_with(if index == 0 { "($1, $2, $3, $4, " } else { ", ($1, $2, $3, $4, " }, seq);
        let insert =
            insert.then_with(", ", now).then_with(", ", entry.action.into_owned()).then_with(", ", entry.resource);
        let insert = insert.then_with(", ", entry.team).then_with(", ", entry.enterprise);
        insert.then_with(", ", Value::Object(entry.detail).to_string()).then(")")
    })
}

fn stamping(cursors: &[Cursor], revision: u64, removed_at: Option<Moment>) -> Result<Statement, StoreError> {
    let revision = row::integer(revision)?;
    let mut insert = sql("INSERT INTO published (revision, removed_at, table_code, digest) VALUES ");
    insert = insert.bind(revision).bind(removed_at);
    for (index, cursor) in cursors.iter().enumerate() {
        let separator = if index == 0 { "($1, $2, " } else { ", ($1, $2, " };
        insert = insert.then_with(separator, table_code(cursor.table)).then_with(", ", &cursor.digest).then(")");
    }
    Ok(insert.then(
        " ON CONFLICT (table_code, digest)
          DO UPDATE SET revision = excluded.revision, removed_at = excluded.removed_at, record = NULL",
    ))
}

/// How a table is called in `published`; the order is that of snapshots.
pub(super) fn table_code(table: Table) -> i64 {
    table.code().into()
}
