//! What a credential is granted at this moment, read in one statement.

use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, KeyState, Kind, Origin, Scope, Scopes, TeamId, TenantState, UserId,
};

use super::{
    StoreError, row,
    sql::{Connection, Row, sql},
};
use crate::domain::{ALL_OF_THE_USER, ClientSession, Credential, Grant, LoginRefusal, Moment, PasswordHash, word};

/// What a client shows to log in; a key only as its digest.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A key.
    Key {
        /// The digest of its text.
        digest: Digest,
        /// What the client says its id is.
        id: Option<String>,
    },
    /// A password that was found to be right.
    Password {
        /// Whose.
        user: UserId,
        /// The hash that it was compared with: if it is another one by now, the password is wrong.
        hash: PasswordHash,
    },
}

/// What a client wants of a login.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// What it calls the session.
    pub client_session: Option<ClientSession>,
    /// What it wants to do; `None` wants all that is granted.
    pub scopes: Option<Scopes>,
    /// The value of its one `Origin` header.
    pub origin: Option<Vec<u8>>,
}

/// What is granted, or why nothing is.
pub(super) async fn granted(
    sql: &mut Connection,
    proof: &Proof,
    wish: &Wish,
    now: Moment,
) -> Result<Result<Grant, LoginRefusal>, StoreError> {
    let found = match proof {
        Proof::Key { digest, id } => of_key(sql, digest, id.as_deref(), now).await?,
        Proof::Password { user, hash } => of_user(sql, user, hash).await?,
    };
    Ok(found.and_then(|grant| wished(grant, wish)))
}

/// The grant, as far as it is wished for, from where it is.
fn wished(grant: Grant, wish: &Wish) -> Result<Grant, LoginRefusal> {
    let matches = |bound: &String| wish.origin.as_ref().is_some_and(|origin| Origin::matches(bound, origin));
    if !grant.origin.as_ref().is_none_or(matches) {
        return Err(LoginRefusal::OriginMismatch);
    }
    let scopes = match &wish.scopes {
        Some(scopes) if scopes.iter().all(|scope| has(&grant.presently, scope)) => scopes.clone(),
        Some(_) => return Err(LoginRefusal::ScopeBeyondGrant),
        None => grant.scopes.clone(),
    };
    let (narrowed, client_session) = (wish.scopes.clone(), wish.client_session.clone());
    Ok(Grant { presently: narrowed.clone().unwrap_or(grant.presently), narrowed, scopes, client_session, ..grant })
}

async fn of_key(
    sql_: &mut Connection,
    digest: &Digest,
    id: Option<&str>,
    now: Moment,
) -> Result<Result<Grant, LoginRefusal>, StoreError> {
    let query = sql(
        "SELECT k.id, k.kind, k.team, k.enterprise, k.user_id, k.scopes, k.state, k.not_before, k.expires, k.origin,
                COALESCE(k.user_id, k.service_account, k.subject) AS subject,
                t.state AS team_state, e.state AS enterprise_state, u.state AS user_state, u.permissions
         FROM keys k
         LEFT JOIN teams t ON t.id = k.team
         LEFT JOIN enterprises e ON e.id = k.enterprise
         LEFT JOIN users u ON u.id = k.user_id
         WHERE k.digest = $1",
    );
    let Some(row) = query.bind(digest).fetch_optional(sql_).await? else {
        return Ok(Err(LoginRefusal::WrongCredentials));
    };
    let key = row::parsed(&row, "id", KeyId::parse)?;
    if id.is_some_and(|id| id != key.as_str()) {
        return Ok(Err(LoginRefusal::WrongCredentials));
    }
    if let Err(refusal) = works(&row, now)?.and(is_served(&row)?) {
        return Ok(Err(refusal));
    }
    let user = row::maybe_parsed(&row, "user_id", UserId::parse)?;
    let permissions = row::maybe_parsed(&row, "permissions", Scopes::parse)?;
    let scopes = row::parsed(&row, "scopes", Scopes::parse)?;
    Ok(Ok(Grant {
        credential: Credential::Key(key.clone()),
        key: Some(key),
        user,
        team: row::maybe_parsed(&row, "team", TeamId::parse)?,
        enterprise: row::maybe_parsed(&row, "enterprise", EnterpriseId::parse)?,
        kind: row::word(&row, "kind", Kind::from_name)?,
        subject: row.maybe_text("subject")?.unwrap_or_default().to_owned(),
        presently: permissions.map_or(Ok(scopes.clone()), |permissions| permitted(&scopes, &permissions))?,
        scopes,
        narrowed: None,
        origin: row.maybe_text("origin")?.map(str::to_owned),
        ends: row::maybe_moment(&row, "expires")?,
        client_session: None,
    }))
}

async fn of_user(
    sql_: &mut Connection,
    user: &UserId,
    hash: &PasswordHash,
) -> Result<Result<Grant, LoginRefusal>, StoreError> {
    let query = sql("SELECT u.team, u.permissions, u.password_hash, t.state AS team_state, NULL AS enterprise_state,
                u.state AS user_state
         FROM users u JOIN teams t ON t.id = u.team
         WHERE u.id = $1");
    let row = query.bind(user.as_str()).fetch_optional(sql_).await?;
    let Some(row) = row else { return Ok(Err(LoginRefusal::WrongCredentials)) };
    if row.maybe_text("password_hash")? != Some(hash.expose()) {
        return Ok(Err(LoginRefusal::WrongCredentials));
    }
    if let Err(refusal) = is_served(&row)? {
        return Ok(Err(refusal));
    }
    Ok(Ok(Grant {
        credential: Credential::User(user.clone()),
        key: None,
        user: Some(user.clone()),
        team: row::maybe_parsed(&row, "team", TeamId::parse)?,
        enterprise: None,
        kind: Kind::Personal,
        subject: user.to_string(),
        scopes: Scopes::parse(ALL_OF_THE_USER).map_err(|error| row::corrupt("scopes", error))?,
        presently: row::parsed(&row, "permissions", Scopes::parse)?,
        narrowed: None,
        origin: None,
        ends: None,
        client_session: None,
    }))
}

/// Whether a key works now.
fn works(row: &Row, now: Moment) -> Result<Result<(), LoginRefusal>, StoreError> {
    let not_before = row::maybe_moment(row, "not_before")?;
    let expires = row::maybe_moment(row, "expires")?;
    Ok(match row::word(row, "state", word::key_state)? {
        KeyState::Revoked => Err(LoginRefusal::KeyRevoked),
        KeyState::Disabled => Err(LoginRefusal::KeyDisabled),
        KeyState::Active if expires.is_some_and(|expires| expires <= now) => Err(LoginRefusal::KeyExpired),
        KeyState::Active if not_before.is_some_and(|begins| now < begins) => Err(LoginRefusal::KeyNotYetValid),
        KeyState::Active => Ok(()),
    })
}

/// Whether the user, the team or the enterprise that a credential belongs to is served.
fn is_served(row: &Row) -> Result<Result<(), LoginRefusal>, StoreError> {
    for (column, refusal) in [
        ("user_state", LoginRefusal::UserDisabled),
        ("team_state", LoginRefusal::TeamDisabled),
        ("enterprise_state", LoginRefusal::EnterpriseDisabled),
    ] {
        let Some(state) = row.maybe_text(column)? else { continue };
        match word::tenant_state(state).ok_or_else(|| row::corrupt(column, "is no state"))? {
            TenantState::Active => {}
            TenantState::Disabled => return Ok(Err(refusal)),
        }
    }
    Ok(Ok(()))
}

/// What a user's key may do: what it says, and of that no more than its user may.
pub(super) fn permitted(scopes: &Scopes, permissions: &Scopes) -> Result<Scopes, StoreError> {
    let all = has(scopes, ALL_OF_THE_USER);
    let both = permissions.iter().filter(|scope| all || has(scopes, scope)).map(Scope::parse);
    let both = both.collect::<Result<Vec<_>, _>>().and_then(Scopes::new);
    both.map_err(|error| row::corrupt("scopes", error))
}

fn has(scopes: &Scopes, scope: &str) -> bool {
    scopes.iter().any(|one| one == scope)
}
