//! Usage in the database: each batch is counted once, and changes nothing that nodes see.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    ActError, Store, StoreError,
    change::Change,
    row,
    sql::{Connection, sql},
};
use crate::domain::{Batch, Moment, Tally};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was counted.
    Counted {
        /// Batches of this steward that never arrived, between the one before and this one.
        missing: u64,
        /// Keys in it that are not known, or no longer.
        unknown_keys: u64,
    },
    /// It, or a later one of this steward, was counted before.
    Repeated,
}

impl Store {
    /// Counts a batch, unless it was counted before.
    ///
    /// # Errors
    /// When the database fails; then nothing is counted, and the batch can be sent again.
    pub async fn settle(&self, batch: Batch, now: Moment) -> Result<Settled, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.quiet_change().await?;
            let last = last_seq(change.sql(), &batch).await?;
            if batch.seq <= last {
                return Ok(Settled::Repeated);
            }
            remember(&mut change, &batch, now).await?;
            let known = add_to_keys(change.sql(), &batch.keys).await?;
            add_to_teams(change.sql(), &batch.teams).await?;
            change.commit().await?;
            let named = u64::try_from(batch.keys.len()).unwrap_or(u64::MAX);
            Ok(Settled::Counted { missing: batch.seq - last - 1, unknown_keys: named.saturating_sub(known) })
        })
        .await
    }
}

async fn last_seq(on: &mut Connection, batch: &Batch) -> Result<u64, StoreError> {
    let query = sql("SELECT seq FROM ledger WHERE node = $1 AND epoch = $2");
    let found = query.bind(batch.node.as_str()).bind(batch.epoch.cast_signed()).fetch_optional(on).await?;
    found.map_or(Ok(0), |found| row::unsigned(&found, "seq"))
}

async fn remember(change: &mut Change<'_>, batch: &Batch, now: Moment) -> Result<(), StoreError> {
    let upsert = sql("INSERT INTO ledger (node, epoch, seq, seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (node, epoch) DO UPDATE SET seq = excluded.seq, seen_at = excluded.seen_at");
    let upsert = upsert.bind(batch.node.as_str()).bind(batch.epoch.cast_signed()).bind(row::integer(batch.seq)?);
    upsert.bind(now).execute(change.sql()).await?;
    Ok(())
}

/// One statement for a whole batch: thousands of single ones would hold the write lock, and so a revocation, for long.
macro_rules! add_to {
    ($on:ident, $table:literal) => {
        $on.either(
            concat!(
                "UPDATE ",
                $table,
                " AS counted SET
                     granted = MIN(granted + used.more_granted, $2),
                     limited = MIN(limited + used.more_limited, $2),
                     last_used_at = MAX(COALESCE(last_used_at, 0), used.last)
                 FROM (SELECT value ->> 0 AS id, value ->> 1 AS more_granted, value ->> 2 AS more_limited,
                              value ->> 3 AS last
                       FROM json_each($1)) AS used
                 WHERE counted.id = used.id"
            ),
            concat!(
                "UPDATE ",
                $table,
                " AS counted SET
                     granted = LEAST(granted + used.more_granted, $2),
                     limited = LEAST(limited + used.more_limited, $2),
                     last_used_at = GREATEST(COALESCE(last_used_at, 0), used.last)
                 FROM (SELECT value ->> 0 AS id, (value ->> 1)::bigint AS more_granted,
                              (value ->> 2)::bigint AS more_limited, (value ->> 3)::bigint AS last
                       FROM json_array_elements($1::json) AS value) AS used
                 WHERE counted.id = used.id"
            ),
        )
    };
}

async fn add_to_keys(on: &mut Connection, tallies: &BTreeMap<String, Tally>) -> Result<u64, StoreError> {
    add_to!(on, "keys").bind(as_json(tallies)).bind(row::integer(Tally::MAX)?).execute(on).await
}

async fn add_to_teams(on: &mut Connection, tallies: &BTreeMap<String, Tally>) -> Result<u64, StoreError> {
    add_to!(on, "teams").bind(as_json(tallies)).bind(row::integer(Tally::MAX)?).execute(on).await
}

fn as_json(tallies: &BTreeMap<String, Tally>) -> String {
    let row = |(id, tally): (&String, &Tally)| json!([id, tally.granted, tally.limited, tally.last_used]);
    // No id has a NUL, and PostgreSQL could not even read one.
    let known_form = |(id, _): &(&String, &Tally)| !id.contains('\0');
    serde_json::Value::Array(tallies.iter().filter(known_form).map(row).collect()).to_string()
}
