//! Keys in the database: all about them but their text.

use tollkeeper_contract::{
    Digest, KeyId, Kind, Scopes, Subject, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::{Change, Entry},
    row,
    sql::{Connection, Row, Statement, sql},
    teams,
};
use crate::domain::{
    By, Issued, Key, KeyChange, KeyFilter, KeyState, Moment, Name, NewKey, Reason, is_ever_valid, word,
};

impl Store {
    /// Makes a key, once per `once`; gives `issued` back if it is the one that was made.
    ///
    /// # Errors
    /// When there is no such team, the key would never be valid, `once` stands for another request, or the database
    /// fails.
    pub async fn create_key(
        &self,
        key: NewKey,
        issued: Issued,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<(Made<Key>, Issued), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let made = store.insert_key(&key, &issued, once, &by, now).await?;
            Ok((made, issued))
        })
        .await
    }

    async fn insert_key(
        &self,
        key: &NewKey,
        issued: &Issued,
        once: Option<Once>,
        by: &By,
        now: Moment,
    ) -> Result<Made<Key>, ActError> {
        let mut change = self.change(by).await?;
        if let Some(id) = change.made_before(once.as_ref()).await? {
            let before = find(change.sql(), &id).await?;
            return before.map(|found| Made::Before(found.key)).ok_or(Refusal::MadeAndDeleted.into());
        }
        teams::existing(change.sql(), &key.team).await?;
        if !is_ever_valid(key.not_before, key.expires) {
            return Err(Refusal::NeverValid.into());
        }
        insert(&mut change, key, issued, now).await?;
        change.publish(cursor(issued.digest())).await?;
        change.remember(once.as_ref(), issued.id.as_str(), now).await?;
        change.audit(entry("key.create", &issued.id, &key.team), now);
        let made = existing(change.sql(), &issued.id).await?.key;
        change.commit().await?;
        Ok(Made::Now(made))
    }

    /// One key.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn key(&self, id: &KeyId) -> Result<Key, ActError> {
        Ok(existing(&mut self.read().await?, id).await?.key)
    }

    /// Up to `limit` keys in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys(&self, filter: &KeyFilter, after: Option<&KeyId>, limit: u32) -> Result<Vec<Key>, StoreError> {
        let query = select().then_with(" WHERE k.id > ", after.map_or("", KeyId::as_str));
        let query = query.then_with_some(" AND k.team = ", filter.team.as_ref().map(TeamId::as_str));
        let query = query.then_with_some(" AND k.state = ", filter.state.map(word::of_key_state));
        let rows = query.then_with(" ORDER BY k.id LIMIT ", limit).fetch_all(&mut self.read().await?).await?;
        rows.iter().map(|row| found(row).map(|found| found.key)).collect()
    }

    /// Changes a key. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such key, it is revoked, it would never be valid, or the database fails.
    pub async fn change_key(&self, id: KeyId, wanted: KeyChange, by: By, now: Moment) -> Result<Key, ActError> {
        let alter = move |key: &Key| match key.state {
            KeyState::Revoked => Err(Refusal::KeyIsRevoked),
            KeyState::Active | KeyState::Disabled => Ok(wanted.applied_to(key)),
        };
        self.alter_key(id, alter, "key.change", by, now).await
    }

    /// Revokes a key for good. A key that is revoked already stays as it is.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn revoke_key(&self, id: KeyId, reason: Option<Reason>, by: By, now: Moment) -> Result<Key, ActError> {
        let alter = move |key: &Key| {
            let revoked = Key { state: KeyState::Revoked, revoked_at: Some(now), revoke_reason: reason, ..key.clone() };
            Ok(if key.state == KeyState::Revoked { key.clone() } else { revoked })
        };
        self.alter_key(id, alter, "key.revoke", by, now).await
    }

    async fn alter_key(
        &self,
        id: KeyId,
        alter: impl FnOnce(&Key) -> Result<Key, Refusal> + Send + 'static,
        action: &'static str,
        by: By,
        now: Moment,
    ) -> Result<Key, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let Found { key: before, digest } = existing(change.sql(), &id).await?;
            let after = alter(&before)?;
            if after == before {
                return Ok(before);
            }
            if !is_ever_valid(after.not_before, after.expires) {
                return Err(Refusal::NeverValid.into());
            }
            update(&mut change, &after).await?;
            change.publish(cursor(digest)).await?;
            change.audit(entry(action, &id, &before.team), now);
            let altered = existing(change.sql(), &id).await?.key;
            change.commit().await?;
            Ok(altered)
        })
        .await
    }

    /// Deletes a key: nodes know it no longer.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn delete_key(&self, id: KeyId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let found = existing(change.sql(), &id).await?;
            sql("DELETE FROM keys WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
            change.withdraw(cursor(found.digest), now).await?;
            change.audit(entry("key.delete", &id, &found.key.team), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

/// How many keys of a team are not revoked.
pub(super) async fn count_not_revoked(on: &mut Connection, team: &TeamId) -> Result<u64, StoreError> {
    let count = sql("SELECT COUNT(*) AS count FROM keys WHERE team = $1 AND state <> 'revoked'");
    row::unsigned(&count.bind(team.as_str()).fetch_one(on).await?, "count")
}

/// Deletes all keys of a team.
pub(super) async fn remove_of_team(change: &mut Change<'_>, team: &TeamId, now: Moment) -> Result<(), StoreError> {
    let rows = sql("SELECT digest FROM keys WHERE team = $1 ORDER BY id").bind(team.as_str());
    let rows = rows.fetch_all(change.sql()).await?;
    let gone = rows.iter().map(|key| row::digest(key, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    sql("DELETE FROM keys WHERE team = $1").bind(team.as_str()).execute(change.sql()).await?;
    change.withdraw_all(&gone, now).await
}

async fn insert(change: &mut Change<'_>, key: &NewKey, issued: &Issued, now: Moment) -> Result<(), StoreError> {
    let insert =
        sql("INSERT INTO keys (id, digest, kind, team, name, subject, scopes, state, not_before, expires, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    let insert = insert.bind(issued.id.as_str()).bind(&issued.digest()).bind(key.kind.as_str());
    let insert = insert.bind(key.team.as_str()).bind(key.name.as_ref().map(Name::as_str));
    let insert = insert.bind(key.subject.as_ref().map(Subject::as_str)).bind(key.scopes.as_str());
    let insert = insert.bind(word::of_key_state(key.state)).bind(key.not_before).bind(key.expires);
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

async fn update(change: &mut Change<'_>, key: &Key) -> Result<(), StoreError> {
    let update = sql("UPDATE keys SET name = $2, subject = $3, scopes = $4, state = $5, not_before = $6, expires = $7,
                revoked_at = $8, revoke_reason = $9
         WHERE id = $1");
    let update = update.bind(key.id.as_str()).bind(key.name.as_ref().map(Name::as_str));
    let update = update.bind(key.subject.as_ref().map(Subject::as_str)).bind(key.scopes.as_str());
    let update = update.bind(word::of_key_state(key.state)).bind(key.not_before).bind(key.expires);
    let update = update.bind(key.revoked_at).bind(key.revoke_reason.as_ref().map(Reason::as_str));
    update.execute(change.sql()).await?;
    Ok(())
}

/// A key, and the place under which nodes know it.
struct Found {
    key: Key,
    digest: Digest,
}

async fn existing(on: &mut Connection, id: &KeyId) -> Result<Found, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuchKey.into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<Found>, StoreError> {
    select().then_with(" WHERE k.id = ", id).fetch_optional(on).await?.map(|row| found(&row)).transpose()
}

fn select() -> Statement {
    sql("SELECT k.id, k.digest, k.kind, k.team, k.name, k.subject, k.scopes, k.state, k.not_before, k.expires,
                k.created_at, k.revoked_at, k.revoke_reason, k.granted, k.limited, k.last_used_at, p.revision
         FROM keys k JOIN published p ON p.table_code = 2 AND p.digest = k.digest")
}

fn found(from: &Row) -> Result<Found, StoreError> {
    let key = Key {
        id: row::parsed(from, "id", KeyId::parse)?,
        kind: row::word(from, "kind", Kind::from_name)?,
        team: row::parsed(from, "team", TeamId::parse)?,
        name: row::maybe_parsed(from, "name", Name::parse)?,
        subject: row::maybe_parsed(from, "subject", Subject::parse)?,
        scopes: row::parsed(from, "scopes", Scopes::parse)?,
        state: row::word(from, "state", word::key_state)?,
        not_before: row::maybe_moment(from, "not_before")?,
        expires: row::maybe_moment(from, "expires")?,
        created_at: row::moment(from, "created_at")?,
        revoked_at: row::maybe_moment(from, "revoked_at")?,
        revoke_reason: row::maybe_parsed(from, "revoke_reason", Reason::parse)?,
        revision: row::unsigned(from, "revision")?,
        used: row::counted(from)?,
    };
    Ok(Found { key, digest: row::digest(from, "digest")? })
}

fn entry(action: &'static str, id: &KeyId, team: &TeamId) -> Entry {
    Entry::new(action, "key", id.as_str()).of_team(team)
}

fn cursor(digest: Digest) -> Cursor {
    Cursor { table: Table::Keys, digest }
}
