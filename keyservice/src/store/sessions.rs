//! Sessions in the database: found again, listed, revoked, forgotten.

use tollkeeper_contract::{
    Algorithm, Digest, EnterpriseId, KeyId, Scopes, SessionId, TeamId, TenantState, TokenKeyId, UserId,
    page::{Cursor, Table},
    token::Claims,
};

use super::{
    ActError, Refusal, Store, StoreError,
    change::{Change, Entry},
    grants::permitted,
    row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{
    By, Credential, Fingerprint, Grant, KEPT_SECONDS, Moment, Reason, Session, SessionFilter, SessionState, Thing, word,
};

/// The most sessions that are forgotten at a time: others wait as long as that takes.
const MOST_CLEARED: u32 = 20_000;

/// A session whose token can be signed again.
pub(super) struct Signable {
    pub(super) session: Session,
    /// How its key signs.
    pub(super) algorithm: Algorithm,
}

/// A session as whoever is asked about its token has to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The session.
    pub session: Session,
    /// How its key signs.
    pub algorithm: Algorithm,
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

    /// The session of that id as whoever is asked about its token has to see it; `None` if there is none, or its token
    /// is not signed by a key that is made from this secret.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn presented_session(
        &self,
        id: &str,
        ours: Fingerprint,
        now: Moment,
    ) -> Result<Option<Presented>, StoreError> {
        let query = select(
            ", k.algorithm, k.ends_at, t.state AS team_state, e.state AS enterprise_state, u.state AS user_state,
             u.permissions",
        );
        let query = query.then(
            " JOIN token_keys k ON k.kid = s.kid
              LEFT JOIN teams t ON t.id = s.team
              LEFT JOIN enterprises e ON e.id = s.enterprise
              LEFT JOIN users u ON u.id = s.user_id",
        );
        let query = query.then_with(" WHERE s.id = ", id).then_with(" AND k.fingerprint = ", ours.0.as_slice());
        let row = query.fetch_optional(&mut self.read().await?).await?;
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
            revoke_where(&mut change, " WHERE id = ", id.as_str(), reason.as_ref().map(Reason::as_str), now).await?;
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
    /// When the database fails; then none is revoked.
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
            let why = reason.as_ref().map(Reason::as_str);
            let (count, entry) = match &of {
                SessionsOf::Key(key) => {
                    let count = revoke_all_of_key(&mut change, key, why, now).await?;
                    (count, Entry::new("sessions.revoke", "key", key.as_str()))
                }
                SessionsOf::User(user) => {
                    let count = revoke_all_of_user(&mut change, user, why, now).await?;
                    (count, Entry::new("sessions.revoke", "user", user.as_str()))
                }
            };
            if count == 0 {
                return Ok(0);
            }
            change.audit(told(entry, reason.as_ref()).with("revoked", count), now);
            change.commit().await?;
            Ok(count)
        })
        .await
    }
}

/// Revokes all sessions that were made with a key, and says how many those were.
pub(super) async fn revoke_all_of_key(
    change: &mut Change<'_>,
    key: &KeyId,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    revoke_where(change, " WHERE key_id = ", key.as_str(), reason, now).await
}

/// Revokes all sessions of a user, and says how many those were.
pub(super) async fn revoke_all_of_user(
    change: &mut Change<'_>,
    user: &UserId,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    revoke_where(change, " WHERE user_id = ", user.as_str(), reason, now).await
}

/// Revokes all sessions that a user's password made, and says how many those were.
pub(super) async fn revoke_all_by_password(
    change: &mut Change<'_>,
    user: &UserId,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    let credential = Credential::User(user.clone()).to_string();
    revoke_where(change, " WHERE credential = ", &credential, reason, now).await
}

/// Revokes all sessions that act for a team, and says how many those were.
pub(super) async fn revoke_all_of_team(
    change: &mut Change<'_>,
    team: &TeamId,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    revoke_where(change, " WHERE team = ", team.as_str(), reason, now).await
}

/// Revokes all sessions that act for an enterprise, and says how many those were.
pub(super) async fn revoke_all_of_enterprise(
    change: &mut Change<'_>,
    enterprise: &EnterpriseId,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    revoke_where(change, " WHERE enterprise = ", enterprise.as_str(), reason, now).await
}

/// Revokes those sessions of whatever `column` picks whose tokens some filter may still take.
async fn revoke_where(
    change: &mut Change<'_>,
    column: &'static str,
    value: &str,
    reason: Option<&str>,
    now: Moment,
) -> Result<u64, StoreError> {
    let update = sql("UPDATE sessions SET current = 0, revoked_at = $1, revoke_reason = $2").bind(now).bind(reason);
    let update = update.then_with(column, value).then_with(" AND expires > ", now.minus(KEPT_SECONDS));
    let rows = update.then(" AND revoked_at IS NULL RETURNING digest").fetch_all(change.sql()).await?;
    let cursors = rows.iter().map(|row| row::digest(row, "digest").map(cursor)).collect::<Result<Vec<_>, _>>()?;
    change.publish_all(&cursors).await?;
    Ok(u64::try_from(cursors.len()).unwrap_or(u64::MAX))
}

/// The session that a login gives again: current, live, and signed by a key that is still taken and made from this
/// secret.
pub(super) async fn current(
    on: &mut Connection,
    grant: &Grant,
    ours: Fingerprint,
    now: Moment,
) -> Result<Option<Signable>, StoreError> {
    let query = select(", k.algorithm").then(" JOIN token_keys k ON k.kid = s.kid");
    let query = query.then_with(" WHERE s.credential = ", grant.credential.to_string());
    let name = grant.name_digest();
    let query = query.then_with(" AND s.sid_digest = ", &name).then(" AND s.current = 1 AND s.revoked_at IS NULL");
    let query = query.then_with(" AND s.expires > ", now).then_with(" AND k.fingerprint = ", ours.0.as_slice());
    let query = query.then_with(" AND (k.ends_at IS NULL OR k.ends_at > ", now).then(")");
    let Some(row) = query.fetch_optional(on).await? else { return Ok(None) };
    Ok(Some(Signable { algorithm: row::word(&row, "algorithm", Algorithm::from_name)?, session: session(&row)? }))
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
    kid: TokenKeyId,
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
    Ok(Presented { algorithm: row::word(from, "algorithm", Algorithm::from_name)?, session, is_served, scopes })
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
