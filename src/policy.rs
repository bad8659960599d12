//! Whether this credential may do this, now, and for whom it acts.
//!
//! Three questions, in this order: does the key work at all ([`is_live`]), may it do this ([`check`]), and is whoever
//! it acts for served here ([`Terms`], asked when the bucket is).

mod terms;
#[cfg(test)]
mod tests;

use tollkeeper_contract::{KeyRecord, KeyState, Origin, TeamId};

use crate::{
    principal::{Account, Principal},
    refusal::Denial,
    request::Field,
};

pub use terms::{Tenant, Terms};

/// Whether a key works at this moment (Unix time, seconds).
///
/// # Errors
/// What is wrong with the key.
pub fn is_live(key: &KeyRecord<'_>, now: u64) -> Result<(), Denial> {
    match key.state {
        KeyState::Active => {}
        KeyState::Disabled => return Err(Denial::KeyDisabled),
        KeyState::Revoked => return Err(Denial::KeyRevoked),
    }
    if key.not_before.is_some_and(|first| now < first) {
        return Err(Denial::KeyNotYetValid);
    }
    if key.expires.is_some_and(|end| now >= end) {
        return Err(Denial::KeyExpired);
    }
    Ok(())
}

/// What a request needs of a credential.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a, Scopes> {
    /// The team in the path, if the route names one.
    pub team: Option<&'a [u8]>,
    /// The team to act for, by the header `x-delegate-account-id`.
    pub delegate: Field<'a>,
    /// `Origin`.
    pub origin: Field<'a>,
    /// The scopes that the route needs for this method, all of them.
    pub scopes: Scopes,
}

/// Whether the credential may do what is demanded, and for whom it acts then.
///
/// That a team belongs to the enterprise that acts for it is left to [`Terms`].
///
/// # Errors
/// The first thing that is wrong.
pub fn check<'a>(
    principal: &Principal,
    demand: Demand<'_, impl IntoIterator<Item = &'a str>>,
) -> Result<Account, Denial> {
    if !comes_from(principal, demand.origin) {
        return Err(Denial::OriginMismatch);
    }
    let account = match &principal.owner {
        Account::Team(team) => own_team(team, demand.team, demand.delegate)?,
        Account::Enterprise(enterprise) => account_of_enterprise(enterprise, demand.team, demand.delegate)?,
    };
    if demand.scopes.into_iter().any(|needed| !has_scope(principal, needed)) {
        return Err(Denial::MissingScope);
    }
    Ok(account)
}

/// A bound credential works only with exactly one `Origin`, which must be its own; another does not care.
fn comes_from(principal: &Principal, presented: Field<'_>) -> bool {
    match (principal.origin.as_deref(), presented) {
        (None, _) => true,
        (Some(registered), Field::Once(presented)) => Origin::matches(registered, presented),
        (Some(_), Field::Absent | Field::Repeated) => false,
    }
}

fn own_team(team: &str, in_path: Option<&[u8]>, delegate: Field<'_>) -> Result<Account, Denial> {
    if delegate != Field::Absent {
        return Err(Denial::DelegationRefused);
    }
    if in_path.is_some_and(|named| named != team.as_bytes()) {
        return Err(Denial::TeamMismatch);
    }
    Ok(Account::Team(team.to_owned()))
}

/// The team in the header; without one the team in the path; without either the enterprise itself.
fn account_of_enterprise(enterprise: &str, in_path: Option<&[u8]>, delegate: Field<'_>) -> Result<Account, Denial> {
    let named = match (delegate, in_path) {
        (Field::Repeated, _) => return Err(Denial::DelegationRefused),
        (Field::Once(header), Some(path)) if header != path => return Err(Denial::DelegationRefused),
        (Field::Once(header), _) => team_id(header).ok_or(Denial::DelegationRefused)?,
        (Field::Absent, Some(path)) => team_id(path).ok_or(Denial::TeamMismatch)?,
        (Field::Absent, None) => return Ok(Account::Enterprise(enterprise.to_owned())),
    };
    Ok(Account::Team(named.to_string()))
}

/// What cannot be a team's id must not become the name of a cell.
fn team_id(bytes: &[u8]) -> Option<TeamId> {
    TeamId::parse(std::str::from_utf8(bytes).ok()?).ok()
}

fn has_scope(principal: &Principal, needed: &str) -> bool {
    principal.scopes.split(' ').any(|scope| scope == needed)
}
