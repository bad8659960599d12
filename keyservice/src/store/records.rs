//! The records that nodes get, table by table: where each comes from, and how it is written.

use std::iter;

use tollkeeper_contract::{
    Algorithm, EnterpriseRecord, HostRecord, Hosts, KeyRecord, Kind, LimitsRecord, Owner, RevokedSessionRecord,
    TeamRecord, TokenKeyRecord, TokenMaterial, UserRecord, page::Table,
};

use super::{
    StoreError, limits, packed, row,
    sql::{Connection, Row, Statement},
};
use crate::domain::word;

/// The rows of records that a clause picks from `published`, in its order: digest, and all that [`record`] needs.
pub(super) async fn rows(on: &mut Connection, table: Table, clause: Statement) -> Result<Vec<Row>, StoreError> {
    let (columns, from) = source(table);
    let columns: Vec<_> = iter::once("p.digest").chain(columns.iter().copied()).collect();
    // Outer joins: a record that is published and not there is an error, not a record that nodes never get.
    let statement = clause.behind(&format!("SELECT {} FROM published p {from}", columns.join(", ")));
    // The last word of a column is its name.
    let names = columns.iter().filter_map(|column| column.rsplit(['.', ' ']).next()).collect();
    packed::fetch_all(statement, on, names).await
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

/// The record in one of [`rows`], as nodes get it.
pub(super) fn record(table: Table, from: &Row) -> Result<Vec<u8>, StoreError> {
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
