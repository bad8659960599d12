//! How sessions end: revoked one by one or with what they belong to, and forgotten when no filter takes them any more.

use std::collections::HashSet;

use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, SessionId, TeamId, UserId,
    page::{Cursor, Table},
};

use super::{
    super::{
        ActError, Refusal, Store, StoreError,
        change::{Change, Entry},
        row,
        sql::{Connection, Row, sql},
    },
    existing,
};
use crate::domain::{By, Credential, KEPT_SECONDS, Moment, Reason, Session, Thing};

/// The most sessions that are forgotten at a time: others wait as long as that takes.
const MOST_CLEARED: u32 = 20_000;

/// The most sessions that one entry of the audit log names.
const MOST_NAMED: usize = 100;

/// Whose sessions are to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionsOf {
    /// All that were made with a key.
    Key(KeyId),
    /// All of a user, made with a password or with any of the user's keys.
    User(UserId),
}

impl Store {
    /// Revokes a session for good. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// When there is no such session, or the database fails.
    pub async fn revoke_session(
        &self,
        id: SessionId,
        reason: Option<Reason>,
        by: By,
        now: Moment,
    ) -> Result<Session, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let session = existing(change.sql(), &id).await?;
            if session.revoked_at.is_some() {
                return Ok(session);
            }
            end(&mut change, Ending::One(&id), reason.as_ref().map(Reason::as_str), now).await?;
            let mut entry = Entry::new("session.revoke", "session", id.as_str());
            entry.team.clone_from(&session.claims.team);
            entry.enterprise.clone_from(&session.claims.enterprise);
            change.audit(told(entry, reason.as_ref()), now);
            let revoked = existing(change.sql(), &id).await?;
            change.commit().await?;
            Ok(revoked)
        })
        .await
    }

    /// Revokes all sessions of a key or of a user, and says how many those were.
    ///
    /// # Errors
    /// When there is no such key or user and no session of it either, or the database fails; then none is revoked.
    pub async fn revoke_sessions(
        &self,
        of: SessionsOf,
        reason: Option<Reason>,
        by: By,
        now: Moment,
    ) -> Result<u64, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let (ending, thing, id) = match &of {
                SessionsOf::Key(key) => (Ending::OfKey(key), Thing::Key, key.as_str()),
                SessionsOf::User(user) => (Ending::OfUser(user), Thing::User, user.as_str()),
            };
            let ended = end(&mut change, ending, reason.as_ref().map(Reason::as_str), now).await?;
            let count = ended.count;
            if count == 0 {
                must_be_known(change.sql(), &of).await?;
                return Ok(0);
            }
            let entry = Entry::new("sessions.revoke", thing.as_str(), id);
            let entry = Entry { team: ended.team.clone(), enterprise: ended.enterprise.clone(), ..entry };
            change.audit(ended.told_in(told(entry, reason.as_ref())), now);
            change.commit().await?;
            Ok(count)
        })
        .await
    }
}

/// Which sessions end.
#[derive(Clone, Copy)]
pub(in super::super) enum Ending<'a> {
    One(&'a SessionId),
    /// All that were made with a key.
    OfKey(&'a KeyId),
    /// All of a user.
    OfUser(&'a UserId),
    /// All that a user's password made.
    ByPasswordOf(&'a UserId),
    /// All that act for a team.
    OfTeam(&'a TeamId),
    /// All that act for an enterprise.
    OfEnterprise(&'a EnterpriseId),
}

/// Sessions that were ended.
#[derive(Default)]
pub struct Ended {
    pub(in super::super) count: u64,
    /// The first [`MOST_NAMED`] ids.
    ids: Vec<String>,
    /// The team and the enterprise that all of them act for.
    team: Option<String>,
    enterprise: Option<String>,
}

impl Ended {
    fn read(rows: &[Row]) -> Result<Self, StoreError> {
        let mut ids = rows.iter().map(|row| Ok(row.text("id")?.to_owned())).collect::<Result<Vec<_>, StoreError>>()?;
        ids.sort_unstable();
        ids.truncate(MOST_NAMED);
        let common = |column| -> Result<Option<String>, StoreError> {
            let all = rows.iter().map(|row| row.maybe_text(column)).collect::<Result<HashSet<_>, _>>()?;
            let only = all.iter().next().filter(|_| all.len() == 1).copied().flatten();
            Ok(only.map(str::to_owned))
        };
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        Ok(Self { count, ids, team: common("team")?, enterprise: common("enterprise")? })
    }

    /// The entry of the change that ended them, with how many those were, and which.
    pub(in super::super) fn told_in(self, entry: Entry) -> Entry {
        if self.count == 0 {
            return entry;
        }
        entry.with("sessions_revoked", self.count).with("sessions", self.ids)
    }
}

/// Revokes those sessions. Also those that have expired by the clock, as long as they are known: it may be ahead.
pub(in super::super) async fn end(
    change: &mut Change<'_>,
    ending: Ending<'_>,
    reason: Option<&str>,
    now: Moment,
) -> Result<Ended, StoreError> {
    let (column, value) = match ending {
        Ending::One(id) => (" WHERE id = ", id.to_string()),
        Ending::OfKey(key) => (" WHERE key_id = ", key.to_string()),
        Ending::OfUser(user) => (" WHERE user_id = ", user.to_string()),
        Ending::ByPasswordOf(user) => (" WHERE credential = ", Credential::User(user.clone()).to_string()),
        Ending::OfTeam(team) => (" WHERE team = ", team.to_string()),
        Ending::OfEnterprise(enterprise) => (" WHERE enterprise = ", enterprise.to_string()),
    };
    let update = sql("UPDATE sessions SET current = 0, revoked_at = $1, revoke_reason = $2").bind(now).bind(reason);
    let update = update.then_with(column, value);
    let update = update.then(" AND revoked_at IS NULL RETURNING id, digest, team, enterprise");
    let rows = update.fetch_all(change.sql()).await?;
    let cursors = rows.iter().map(|row| row::digest(row, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    change.publish_all(&cursors).await?;
    Ended::read(&rows)
}

/// Forgets sessions that no filter takes any more, up to [`MOST_CLEARED`] at a time, and says how many those were.
pub(in super::super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
    let over = sql("DELETE FROM sessions
         WHERE id IN (SELECT id FROM sessions WHERE expires <= $1 ORDER BY expires LIMIT $2)
         RETURNING digest, revoked_at");
    let rows = over.bind(now.minus(KEPT_SECONDS)).bind(MOST_CLEARED).fetch_all(change.sql()).await?;
    let mut published = Vec::new();
    for row in &rows {
        if row.maybe_integer("revoked_at")?.is_some() {
            published.push(cursor(row::digest(row, "digest")?));
        }
    }
    change.withdraw_all(&published, now).await?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}

/// Refuses the name of a key or a user that neither exists nor has left a session behind.
async fn must_be_known(on: &mut Connection, of: &SessionsOf) -> Result<(), ActError> {
    let (thing, id, query) = match of {
        SessionsOf::Key(key) => (
            Thing::Key,
            key.as_str(),
            "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM keys WHERE id = $1)
                                OR EXISTS (SELECT 1 FROM sessions WHERE key_id = $1)",
        ),
        SessionsOf::User(user) => (
            Thing::User,
            user.as_str(),
            "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM users WHERE id = $1)
                                OR EXISTS (SELECT 1 FROM sessions WHERE user_id = $1)",
        ),
    };
    let known = sql(query).bind(id).fetch_optional(on).await?;
    known.map(|_| ()).ok_or(Refusal::NoSuch(thing).into())
}

fn told(entry: Entry, reason: Option<&Reason>) -> Entry {
    match reason {
        Some(reason) => entry.with("reason", reason.as_str()),
        None => entry,
    }
}

fn cursor(digest: Digest) -> Cursor {
    Cursor { table: Table::RevokedSessions, digest }
}
