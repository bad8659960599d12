//! The records that nodes get, table by table: where each comes from, how it is written, and where it is kept.
//!
//! A row of `published` keeps the bytes of its record, so that a page is read along one index: what they are made of lies
//! all over other tables. Bytes count only while they are of the row's own revision. All else that may be there, from before
//! records were kept or from a service of an older version beside this one, is made when it is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use tollkeeper_contract::{
    Algorithm, Digest, EnterpriseRecord, HostRecord, Hosts, KeyRecord, Kind, LimitsRecord, Owner, RevokedSessionRecord,
    TeamRecord, TokenKeyRecord, TokenMaterial, UserRecord,
    page::{Cursor, Rest, Table},
};

use super::{
    StoreError,
    change::table_code,
    limits, row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::word;

/// The record that a row of `published` keeps, if it still counts.
pub(super) const KEPT: &str = "CASE WHEN p.record_revision = p.revision THEN p.record END AS record";

/// The rows that lack their record; in the words of the index of such rows, which has them by table and revision.
const LACKING: &str = " WHERE p.removed_at IS NULL AND p.record_revision <> p.revision";

/// The same, along whichever other index the rest of the statement suggests: `+ 0` keeps that one out of it.
pub(super) const LACKING_AMONG: &str = " WHERE p.removed_at IS NULL AND p.record_revision + 0 <> p.revision";

/// Rows that get their records at once.
const ROWS_AT_ONCE: usize = 1024;

/// How many rows one statement updates; see `keys::rows` for why not all.
const ROWS_PER_UPDATE: usize = 40;

/// Whether any row lacks its record.
pub(super) async fn are_lacking(on: &mut Connection) -> Result<bool, StoreError> {
    let any = sql("SELECT 1 AS one FROM published WHERE removed_at IS NULL AND record_revision <> revision LIMIT 1");
    Ok(any.fetch_optional(on).await?.is_some())
}

/// Writes some of the records that the rows of a table lack from revision `first` on; says whether there may be more.
pub(super) async fn keep_some(on: &mut Connection, table: Table, first: u64) -> Result<Rest, StoreError> {
    let clause = sql(LACKING).then_with(" AND p.table_code = ", table_code(table));
    let clause = clause.then_with(" AND p.revision >= ", row::integer(first)?);
    let clause = clause.then_with(" ORDER BY p.revision LIMIT ", ROWS_AT_ONCE as i64);
    let made = lacking(on, table, clause).await?;
    for some in made.chunks(ROWS_PER_UPDATE) {
        keeping(table, some).execute(on).await?;
    }
    Ok(if made.len() < ROWS_AT_ONCE { Rest::Done } else { Rest::More })
}

/// The rows are there, so none is inserted; but unlike an update from a list, this cannot be planned any other way than along
/// the primary key.
fn keeping(table: Table, made: &[(Digest, Vec<u8>)]) -> Statement {
    let insert = sql("INSERT INTO published (table_code, revision, digest, record) VALUES ").bind(table_code(table));
    let insert = made.iter().enumerate().fold(insert, |insert, (index, (digest, record))| {
        let insert = insert.then_with(if index == 0 { "($1, 0, " } else { ", ($1, 0, " }, digest);
        insert.then_with(", ", record.as_slice()).then(")")
    });
    insert.then(
        " ON CONFLICT (table_code, digest)
          DO UPDATE SET record = excluded.record, record_revision = published.revision",
    )
}

/// The records that rows of those tables lack, as far as a clause picks them.
pub(super) async fn made(
    on: &mut Connection,
    tables: BTreeSet<Table>,
    clause: impl Fn(Table) -> Statement,
) -> Result<BTreeMap<Cursor, Vec<u8>>, StoreError> {
    let mut all = BTreeMap::new();
    for table in tables {
        let made = lacking(on, table, clause(table)).await?;
        all.extend(made.into_iter().map(|(digest, record)| (Cursor { table, digest }, record)));
    }
    Ok(all)
}

async fn lacking(on: &mut Connection, table: Table, clause: Statement) -> Result<Vec<(Digest, Vec<u8>)>, StoreError> {
    let (columns, from) = source(table);
    let columns: Vec<_> = iter::once("p.digest").chain(columns.iter().copied()).collect();
    // Outer joins: a record that is published and not there is an error, not a record that nodes never get.
    let select = format!("SELECT {} FROM published p {from}", columns.join(", "));
    let rows = clause.behind(&select).fetch_all(on).await?;
    rows.iter().map(|found| Ok((row::digest(found, "digest")?, record(table, found)?))).collect()
}

/// What a record is made of, and where that is.
fn source(table: Table) -> (&'static [&'static str], &'static str) {
    match table {
        Table::Teams => (
            &[
                "r.id",
                "r.state",
                "r.quota_limit",
                "r.quota_window",
                "r.enterprise",
                "(SELECT COUNT(*) FROM hosts h WHERE h.team = r.id) AS hosts",
            ],
            "LEFT JOIN teams r ON r.digest = p.digest",
        ),
        Table::Keys => (
            &[
                "r.id",
                "r.kind",
                "r.team",
                "r.enterprise",
                "r.subject",
                "r.scopes",
                "r.origin",
                "r.state",
                "r.not_before",
                "r.expires",
            ],
            "LEFT JOIN keys r ON r.digest = p.digest",
        ),
        Table::Users => (&["r.id", "r.state", "r.permissions"], "LEFT JOIN users r ON r.digest = p.digest"),
        Table::RevokedSessions => (&["r.id", "r.expires"], "LEFT JOIN sessions r ON r.digest = p.digest"),
        Table::Hosts => (&["r.host", "r.team"], "LEFT JOIN hosts r ON r.digest = p.digest"),
        Table::Enterprises => {
            (&["r.id", "r.state", "r.quota_limit", "r.quota_window"], "LEFT JOIN enterprises r ON r.digest = p.digest")
        }
        Table::TokenKeys => (&["r.kid", "r.algorithm", "r.material"], "LEFT JOIN token_keys r ON r.digest = p.digest"),
        // There is one of it, and nothing to tell it from.
        Table::Limits => (&["r.limit_factor"], "CROSS JOIN service r"),
    }
}

/// The record that such a row makes, as nodes get it.
fn record(table: Table, from: &Row) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    match table {
        Table::Teams => team(from)?.encode(&mut bytes),
        Table::Keys => key(from)?.encode(&mut bytes),
        Table::Users => user(from)?.encode(&mut bytes),
        Table::RevokedSessions => session(from)?.encode(&mut bytes),
        Table::Hosts => HostRecord { host: from.text("host")?, team: from.text("team")? }.encode(&mut bytes),
        Table::Enterprises => enterprise(from)?.encode(&mut bytes),
        Table::TokenKeys => {
            TokenKeyRecord { kid: from.text("kid")?, material: material(from)? }.encode(&mut bytes);
        }
        Table::Limits => LimitsRecord { factor: limits::factor(from)? }.encode(&mut bytes),
    }
    Ok(bytes)
}

fn team(from: &Row) -> Result<TeamRecord<'_>, StoreError> {
    Ok(TeamRecord {
        id: from.text("id")?,
        state: row::word(from, "state", word::tenant_state)?,
        quota: row::quota(from)?,
        enterprise: from.maybe_text("enterprise")?,
        hosts: if from.integer("hosts")? == 0 { Hosts::Shared } else { Hosts::Own },
    })
}

fn key(from: &Row) -> Result<KeyRecord<'_>, StoreError> {
    let owner = match (from.maybe_text("team")?, from.maybe_text("enterprise")?) {
        (Some(team), None) => Owner::Team(team),
        (None, Some(enterprise)) => Owner::Enterprise(enterprise),
        _ => return Err(row::corrupt("keys.team", "a key has one owner")),
    };
    Ok(KeyRecord {
        kind: row::word(from, "kind", Kind::from_name)?,
        state: row::word(from, "state", word::key_state)?,
        not_before: row::maybe_moment(from, "not_before")?.map(|moment| moment.unix()),
        expires: row::maybe_moment(from, "expires")?.map(|moment| moment.unix()),
        id: from.text("id")?,
        owner,
        subject: from.maybe_text("subject")?.unwrap_or_default(),
        scopes: from.text("scopes")?,
        origin: from.maybe_text("origin")?,
    })
}

fn user(from: &Row) -> Result<UserRecord<'_>, StoreError> {
    Ok(UserRecord {
        id: from.text("id")?,
        state: row::word(from, "state", word::tenant_state)?,
        permissions: from.text("permissions")?,
    })
}

fn session(from: &Row) -> Result<RevokedSessionRecord<'_>, StoreError> {
    Ok(RevokedSessionRecord { id: from.text("id")?, expires: row::unsigned(from, "expires")? })
}

fn enterprise(from: &Row) -> Result<EnterpriseRecord<'_>, StoreError> {
    Ok(EnterpriseRecord {
        id: from.text("id")?,
        state: row::word(from, "state", word::tenant_state)?,
        quota: row::quota(from)?,
    })
}

fn material(from: &Row) -> Result<TokenMaterial<'_>, StoreError> {
    let bytes = from.bytes("material")?;
    let length = |_| row::corrupt("token_keys.material", "wrong length");
    Ok(match row::word(from, "algorithm", Algorithm::from_name)? {
        Algorithm::Hs256 => TokenMaterial::Hs256(bytes.try_into().map_err(length)?),
        Algorithm::EdDsa => TokenMaterial::EdDsa(bytes.try_into().map_err(length)?),
        Algorithm::Es256 => TokenMaterial::Es256(bytes.try_into().map_err(length)?),
    })
}
