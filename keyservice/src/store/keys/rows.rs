//! The columns of keys.

use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, Kind, Origin, Scopes, ServiceAccountId, Subject, TeamId, UserId,
    page::{Cursor, Table},
};

use super::super::{
    ActError, Refusal, StoreError,
    change::{Change, Entry},
    row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{Holder, Key, KeyTerms, Moment, Name, Reason, Thing, Told, word};

/// How many keys one statement inserts. SQLite looks the name of each value up among all that the statement binds, so a
/// statement twice as long takes four times as long.
const ROWS_PER_INSERT: usize = 40;

/// A key to be inserted.
pub(super) struct NewRow {
    pub(super) id: KeyId,
    pub(super) digest: Digest,
    pub(super) holder: Holder,
    pub(super) terms: KeyTerms,
}

/// A key, and the place under which nodes know it.
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) digest: Digest,
}

/// Inserts and publishes keys.
pub(super) async fn insert(change: &mut Change<'_>, keys: &[NewRow], now: Moment) -> Result<(), StoreError> {
    for some in keys.chunks(ROWS_PER_INSERT) {
        let mut insert =
            sql("INSERT INTO keys (created_at, id, digest, kind, team, enterprise, service_account, user_id,
                               name, subject, scopes, origin, state, not_before, expires) VALUES ")
            .bind(now);
        for (index, key) in some.iter().enumerate() {
            insert = with_values(insert.then(if index == 0 { "($1" } else { ", ($1" }), key);
        }
        insert.execute(change.sql()).await?;
    }
    let cursors: Vec<_> = keys.iter().map(|key| cursor(key.digest)).collect();
    change.publish_all(&cursors).await
}

fn with_values(insert: Statement, NewRow { id, digest, holder, terms }: &NewRow) -> Statement {
    let insert = insert.then_with(", ", id.as_str()).then_with(", ", digest).then_with(", ", holder.kind().as_str());
    let insert = insert.then_with(", ", holder.team().map(TeamId::as_str));
    let insert = insert.then_with(", ", holder.enterprise().map(EnterpriseId::as_str));
    let insert = insert.then_with(", ", holder.account().map(ServiceAccountId::as_str));
    let insert = insert.then_with(", ", holder.user().map(UserId::as_str));
    let insert = insert.then_with(", ", terms.name.as_ref().map(Name::as_str)).then_with(", ", holder.subject());
    let insert = insert.then_with(", ", terms.scopes.as_str());
    let insert = insert.then_with(", ", terms.origin.as_ref().map(Origin::as_str));
    let insert = insert.then_with(", ", word::of_key_state(terms.state)).then_with(", ", terms.not_before);
    insert.then_with(", ", terms.expires).then(")")
}

/// Writes and publishes what may change about a key.
pub(super) async fn update(change: &mut Change<'_>, key: &Key, digest: Digest) -> Result<(), StoreError> {
    let update = sql("UPDATE keys SET name = $2, subject = $3, scopes = $4, state = $5, not_before = $6, expires = $7,
                origin = $8, revoked_at = $9, revoke_reason = $10, compromised = $11, superseded_by = $12
         WHERE id = $1");
    let update = update.bind(key.id.as_str()).bind(key.name.as_ref().map(Name::as_str)).bind(key.holder.subject());
    let update = update.bind(key.scopes.as_str()).bind(word::of_key_state(key.state));
    let update = update.bind(key.not_before).bind(key.expires).bind(key.origin.as_ref().map(Origin::as_str));
    let update = update.bind(key.revoked_at).bind(key.revoke_reason.as_ref().map(Reason::as_str));
    let update = update.bind(key.compromised).bind(key.superseded_by.as_ref().map(KeyId::as_str));
    update.execute(change.sql()).await?;
    change.publish(cursor(digest)).await
}

/// Deletes and withdraws a key.
pub(super) async fn remove(change: &mut Change<'_>, found: &Found, now: Moment) -> Result<(), StoreError> {
    sql("DELETE FROM keys WHERE id = $1").bind(found.key.id.as_str()).execute(change.sql()).await?;
    change.withdraw(cursor(found.digest), now).await
}

/// Deletes and withdraws all keys of an owner that is deleted, whose id they have in `column`, and notes each.
pub(in super::super) async fn remove_with<T: Told>(
    change: &mut Change<'_>,
    owner: &T,
    column: &'static str,
    now: Moment,
) -> Result<(), StoreError> {
    let gone = sql("DELETE FROM keys WHERE ").then_with(&format!("{column} = "), owner.id());
    let gone = gone.then(" RETURNING id, digest, team, enterprise").fetch_all(change.sql()).await?;
    let mut cursors = Vec::with_capacity(gone.len());
    for key in &gone {
        cursors.push(cursor(row::digest(key, "digest")?));
        let entry = Entry::new("key.delete", Thing::Key.as_str(), key.text("id")?);
        let entry = entry.with("deleted_with", format!("{}:{}", T::THING, owner.id()));
        let (team, enterprise) = (key.maybe_text("team")?, key.maybe_text("enterprise")?);
        let (team, enterprise) = (team.map(str::to_owned), enterprise.map(str::to_owned));
        change.audit(Entry { team, enterprise, ..entry }, now);
    }
    change.withdraw_all(&cursors, now).await
}

pub(super) async fn existing(on: &mut Connection, id: &KeyId) -> Result<Found, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::Key).into())
}

pub(super) async fn find(on: &mut Connection, id: &str) -> Result<Option<Found>, StoreError> {
    select().then_with(" WHERE k.id = ", id).fetch_optional(on).await?.map(|row| found(&row)).transpose()
}

pub(super) fn select() -> Statement {
    sql("SELECT k.id, k.digest, k.kind, k.team, k.enterprise, k.service_account, k.user_id, k.name, k.subject, k.scopes,
                k.origin, k.state, k.not_before, k.expires, k.created_at, k.revoked_at, k.revoke_reason, k.compromised,
                k.superseded_by, k.granted, k.limited, k.last_used_at, p.revision
         FROM keys k JOIN published p ON p.table_code = 2 AND p.digest = k.digest")
}

pub(super) fn found(from: &Row) -> Result<Found, StoreError> {
    let key = Key {
        id: row::parsed(from, "id", KeyId::parse)?,
        holder: holder(from)?,
        name: row::maybe_parsed(from, "name", Name::parse)?,
        scopes: row::parsed(from, "scopes", Scopes::parse)?,
        state: row::word(from, "state", word::key_state)?,
        not_before: row::maybe_moment(from, "not_before")?,
        expires: row::maybe_moment(from, "expires")?,
        origin: row::maybe_parsed(from, "origin", Origin::parse)?,
        created_at: row::moment(from, "created_at")?,
        revoked_at: row::maybe_moment(from, "revoked_at")?,
        revoke_reason: row::maybe_parsed(from, "revoke_reason", Reason::parse)?,
        compromised: row::flag(from, "compromised")?,
        superseded_by: row::maybe_parsed(from, "superseded_by", KeyId::parse)?,
        revision: row::unsigned(from, "revision")?,
        used: row::counted(from)?,
    };
    Ok(Found { key, digest: row::digest(from, "digest")? })
}

fn holder(from: &Row) -> Result<Holder, StoreError> {
    let team = || row::parsed(from, "team", TeamId::parse);
    let account = || row::parsed(from, "service_account", ServiceAccountId::parse);
    Ok(match row::word(from, "kind", Kind::from_name)? {
        Kind::Application => {
            Holder::Application { team: team()?, subject: row::maybe_parsed(from, "subject", Subject::parse)? }
        }
        Kind::ServiceAccount => Holder::ServiceAccount { team: team()?, account: account()? },
        Kind::EnterpriseServiceAccount => Holder::EnterpriseServiceAccount {
            enterprise: row::parsed(from, "enterprise", EnterpriseId::parse)?,
            account: account()?,
        },
        Kind::Personal => Holder::Personal { team: team()?, user: row::parsed(from, "user_id", UserId::parse)? },
    })
}

fn cursor(digest: Digest) -> Cursor {
    Cursor { table: Table::Keys, digest }
}
