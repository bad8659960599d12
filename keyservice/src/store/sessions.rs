//! Sessions in the database: found again, listed, revoked, forgotten.

use std::collections::HashSet;

use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, Scopes, SessionId, TeamId, TenantState, TokenKeyId, UserId,
    page::{Cursor, Table},
    token::Claims,
};

use super::{
    ActError, Refusal, Store, StoreError,
    change::{Change, Entry},
    grants::permitted,
    row,
    sql::{Connection, Row, Statement, sql},
    token_keys,
};
use crate::domain::{
    By, Credential, Grant, KEPT_SECONDS, Moment, PublishedKey, Reason, Session, SessionFilter, SessionState, Thing,
    TokenKey, word,
};

/// The most sessions that are forgotten at a time: others wait as long as that takes.
const MOST_CLEARED: u32 = 20_000;

/// The most sessions that one entry of the audit log names.
const MOST_NAMED: usize = 100;

/// A session whose token can be signed again.
pub(super) struct Signable {
    pub(super) session: Session,
    /// The key that signed its token.
    pub(super) key: TokenKey,
}

/// A session as whoever is asked about its token has to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The session.
    pub session: Session,
    /// What verifies its token.
    pub key: PublishedKey,
    /// Whether its user, its team and its enterprise are served, and tokens of its key are taken.
    pub is_served: bool,
    /// What it may do now.
    pub scopes: Scopes,
}

/// Whose sessions are to be revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionsOf {
    /// All that were made with a key.
    Key(KeyId),
    /// All of a user, made with a password or with any of the user's keys.
    User(UserId),
}

impl Store {
    /// One session.
    ///
    /// # Errors
    /// When there is no such session, or the database fails.
    pub async fn session(&self, id: &SessionId) -> Result<Session, ActError> {
        existing(&mut self.read().await?, id).await
    }

    /// Up to `limit` sessions in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        after: Option<&SessionId>,
        limit: u32,
        now: Moment,
    ) -> Result<Vec<Session>, StoreError> {
        let mut query = select("").then_with(" WHERE s.id > ", after.map_or("", SessionId::as_str));
        query = query.then_with_some(" AND s.key_id = ", filter.key.as_ref().map(KeyId::as_str));
        query = query.then_with_some(" AND s.user_id = ", filter.user.as_ref().map(UserId::as_str));
        query = query.then_with_some(" AND s.team = ", filter.team.as_ref().map(TeamId::as_str));
        query = match filter.state {
            None => query,
            Some(SessionState::Revoked) => query.then(" AND s.revoked_at IS NOT NULL"),
            Some(SessionState::Live) => query.then(" AND s.revoked_at IS NULL").then_with(" AND s.expires > ", now),
            Some(SessionState::Expired) => query.then(" AND s.revoked_at IS NULL").then_with(" AND s.expires <= ", now),
        };
        let rows = query.then_with(" ORDER BY s.id LIMIT ", limit).fetch_all(&mut self.read().await?).await?;
        rows.iter().map(session).collect()
    }

    /// The session of that id as whoever is asked about its token has to see it; `None` if there is none, or the key
    /// that signed its token is forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn presented_session(&self, id: &str, now: Moment) -> Result<Option<Presented>, StoreError> {
        let query = select(
            ", k.algorithm, k.material, k.ends_at, t.state AS team_state, e.state AS enterprise_state, u.state AS user_state,
             u.permissions",
        );
        let query = query.then(
            " JOIN token_keys k ON k.kid = s.kid
              LEFT JOIN teams t ON t.id = s.team
              LEFT JOIN enterprises e ON e.id = s.enterprise
              LEFT JOIN users u ON u.id = s.user_id",
        );
        let row = query.then_with(" WHERE s.id = ", id).fetch_optional(&mut self.read().await?).await?;
        row.map(|row| presented(&row, now)).transpose()
    }

    /// Revokes a session for good. One that is revoked already, or that no filter takes any more, stays as it is.
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
            if session.revoked_at.is_some() || session.expires <= now.minus(KEPT_SECONDS) {
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
pub(super) enum Ending<'a> {
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
    pub(super) count: u64,
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
    pub(super) fn told_in(self, entry: Entry) -> Entry {
        if self.count == 0 {
            return entry;
        }
        entry.with("sessions_revoked", self.count).with("sessions", self.ids)
    }
}

/// Revokes those sessions whose tokens some filter may still take.
pub(super) async fn end(
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
    let update = update.then_with(column, value).then_with(" AND expires > ", now.minus(KEPT_SECONDS));
    let update = update.then(" AND revoked_at IS NULL RETURNING id, digest, team, enterprise");
    let rows = update.fetch_all(change.sql()).await?;
    let cursors = rows.iter().map(|row| row::digest(row, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    change.publish_all(&cursors).await?;
    Ended::read(&rows)
}

/// The session that a login gives again: current, live, and signed by a key that is still taken.
pub(super) async fn current(on: &mut Connection, grant: &Grant, now: Moment) -> Result<Option<Signable>, StoreError> {
    let query = select("").then_with(" WHERE s.credential = ", grant.credential.to_string());
    let name = grant.name_digest();
    let query = query.then_with(" AND s.sid_digest = ", &name).then(" AND s.current = 1 AND s.revoked_at IS NULL");
    let Some(row) = query.then_with(" AND s.expires > ", now).fetch_optional(on).await? else { return Ok(None) };
    let session = session(&row)?;
    let key = token_keys::find(on, &session.kid).await?.filter(|key| key.is_published(now));
    Ok(key.map(|key| Signable { session, key }))
}

/// How many sessions of a credential have not ended by themselves; counts no further than `most`.
///
/// Revoked ones count too: nodes have to remember them until their tokens end, and whoever could revoke and make
/// sessions without end could fill the memory of every node.
pub(super) async fn live_of(
    on: &mut Connection,
    credential: &Credential,
    most: u32,
    now: Moment,
) -> Result<u64, StoreError> {
    let query = sql("SELECT COUNT(*) AS count
         FROM (SELECT 1 FROM sessions WHERE credential = $1 AND expires > $2 LIMIT $3) AS live");
    let row = query.bind(credential.to_string()).bind(now).bind(most).fetch_one(on).await?;
    row::unsigned(&row, "count")
}

/// Makes a session that is the current one of its credential and name.
pub(super) async fn insert(
    on: &mut Connection,
    grant: &Grant,
    claims: Claims,
    kid: &TokenKeyId,
    source: Option<&str>,
) -> Result<Session, StoreError> {
    let insert = sql(
        "INSERT INTO sessions (id, digest, credential, key_id, user_id, team, enterprise, sid, sid_digest, current, kid,
                               claims, created_at, expires, source)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $11, $12, $13, $14)",
    );
    let signed = claims.to_json();
    let insert = insert.bind(claims.session.as_str()).bind(&Digest::of(claims.session.as_bytes()));
    let insert = insert.bind(grant.credential.to_string()).bind(grant.key.as_ref().map(KeyId::as_str));
    let insert = insert.bind(grant.user.as_ref().map(UserId::as_str)).bind(claims.team.as_deref());
    let insert = insert.bind(claims.enterprise.as_deref()).bind(claims.client_session.as_deref().map(str::as_bytes));
    let insert = insert.bind(&grant.name_digest()).bind(kid.as_str());
    let insert = insert.bind(signed.as_str()).bind(row::integer(claims.issued)?).bind(row::integer(claims.expires)?);
    insert.bind(source).execute(on).await?;
    find(on, &claims.session).await?.ok_or_else(|| row::corrupt("id", "the session that was just made is gone"))
}

/// Forgets sessions that no filter takes any more, up to [`MOST_CLEARED`] at a time, and says how many those were.
pub(super) async fn clear(change: &mut Change<'_>, now: Moment) -> Result<u64, StoreError> {
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

async fn existing(on: &mut Connection, id: &SessionId) -> Result<Session, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::Session).into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<Session>, StoreError> {
    let query = select("").then_with(" WHERE s.id = ", id);
    query.fetch_optional(on).await?.map(|row| session(&row)).transpose()
}

/// All columns of a session, and `more`.
fn select(more: &str) -> Statement {
    let query = sql(
        "SELECT s.id, s.key_id, s.user_id, s.kid, s.claims, s.created_at, s.expires, s.revoked_at, s.revoke_reason,
                s.source",
    );
    query.then(more).then(" FROM sessions s")
}

fn session(from: &Row) -> Result<Session, StoreError> {
    let signed = from.text("claims")?.to_owned();
    let claims = Claims::parse(signed.as_bytes()).map_err(|_| row::corrupt("claims", "they cannot be read"))?;
    Ok(Session {
        id: row::parsed(from, "id", SessionId::parse)?,
        key: row::maybe_parsed(from, "key_id", KeyId::parse)?,
        user: row::maybe_parsed(from, "user_id", UserId::parse)?,
        kid: row::parsed(from, "kid", TokenKeyId::parse)?,
        claims,
        signed,
        created_at: row::moment(from, "created_at")?,
        expires: row::moment(from, "expires")?,
        revoked_at: row::maybe_moment(from, "revoked_at")?,
        revoke_reason: row::maybe_parsed(from, "revoke_reason", Reason::parse)?,
        source: from.maybe_text("source")?.map(str::to_owned),
    })
}

fn presented(from: &Row, now: Moment) -> Result<Presented, StoreError> {
    let session = session(from)?;
    let serves = |column| -> Result<Option<bool>, StoreError> {
        let Some(state) = from.maybe_text(column)? else { return Ok(None) };
        let state = word::tenant_state(state).ok_or_else(|| row::corrupt(column, "is no state"))?;
        Ok(Some(state == TenantState::Active))
    };
    // A team, an enterprise or a user that is gone serves nobody.
    let is_there = |named: bool, state: Option<bool>| if named { state == Some(true) } else { true };
    let is_served = is_there(session.claims.team.is_some(), serves("team_state")?)
        && is_there(session.claims.enterprise.is_some(), serves("enterprise_state")?)
        && is_there(session.user.is_some(), serves("user_state")?)
        && row::maybe_moment(from, "ends_at")?.is_none_or(|ends| now < ends);
    let scopes = Scopes::parse(&session.claims.scope).map_err(|error| row::corrupt("claims", error))?;
    let permissions = row::maybe_parsed(from, "permissions", Scopes::parse)?;
    let scopes = permissions.map_or(Ok(scopes.clone()), |permissions| permitted(&scopes, &permissions))?;
    Ok(Presented { key: token_keys::published(from)?, session, is_served, scopes })
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
