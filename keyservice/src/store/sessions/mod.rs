//! Sessions in the database: made, found again, listed.
//!
//! * `ending`: revoked, and forgotten

mod ending;

use tollkeeper_contract::{Digest, KeyId, Scopes, SessionId, TeamId, TenantState, TokenKeyId, UserId, token::Claims};

use super::{
    ActError, Refusal, Store, StoreError,
    grants::permitted,
    row,
    sql::{Connection, Row, Statement, sql},
    token_keys,
};
use crate::domain::{
    Credential, Grant, Moment, PublishedKey, Reason, Session, SessionFilter, SessionState, Thing, TokenKey, word,
};

pub use ending::SessionsOf;
pub(super) use ending::{Ended, Ending, clear, end};

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
