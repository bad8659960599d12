//! Fields that several bodies have.

use tollkeeper_contract::{
    InvalidName, InvalidOrigin, InvalidQuota, KeyState, Origin, Quota, Scope, Scopes, TenantState,
};

use super::{
    body::{Object, field},
    problem::Problem,
    wire::{OriginBody, QuotaBody},
};
use crate::domain::{ALL_OF_THE_USER, Patch, word};

/// A field that must be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::field(name, "is missing"))
}

/// The state of an enterprise, a team or a user.
pub(super) fn tenant_state(text: &str) -> Result<TenantState, &'static str> {
    word::tenant_state(text).ok_or("must be active or disabled")
}

/// A state that a key can be given.
pub(super) fn settable_state(text: &str) -> Result<KeyState, &'static str> {
    match word::key_state(text) {
        Some(state @ (KeyState::Active | KeyState::Disabled)) => Ok(state),
        Some(KeyState::Revoked) => Err("a key is revoked with POST /v1/keys/{id}/revoke, which is final"),
        None => Err("must be active or disabled"),
    }
}

/// A set of scopes.
pub(super) fn scopes(list: &[String]) -> Result<Scopes, InvalidName> {
    Scopes::new(list.iter().map(|scope| Scope::parse(scope)).collect::<Result<Vec<_>, _>>()?)
}

/// What a user may do: each right by its name.
pub(super) fn permissions(list: &[String]) -> Result<Scopes, String> {
    let permissions = scopes(list).map_err(|rule| rule.to_string())?;
    if permissions.iter().any(|permission| permission == ALL_OF_THE_USER) {
        return Err(format!("must be named one by one; {ALL_OF_THE_USER} is for keys, and stands for these"));
    }
    Ok(permissions)
}

/// A quota.
pub(super) fn quota(Object(body): Object<QuotaBody>) -> Result<Quota, Problem> {
    let number = |name: &str, value: Option<u64>, rule| {
        // Every number that is too great breaks the same rule as 0.
        u32::try_from(required(name, value)?).map_err(|_| Problem::field(name, rule))
    };
    let limit = number("quota.limit", body.limit, InvalidQuota::Limit)?;
    let window = number("quota.window_seconds", body.window_seconds, InvalidQuota::Window)?;
    Quota::new(limit, window).map_err(|rule| match rule {
        InvalidQuota::Limit => Problem::field("quota.limit", rule),
        InvalidQuota::Window => Problem::field("quota.window_seconds", rule),
    })
}

/// A quota that may be cleared.
pub(super) fn quota_patch(patch: Patch<Object<QuotaBody>>) -> Result<Patch<Quota>, Problem> {
    Ok(match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(body) => Patch::Set(quota(body)?),
    })
}

/// An origin, from a domain or a webhook URL.
pub(super) fn origin(Object(body): Object<OriginBody>) -> Result<Origin, Problem> {
    let read = |name: &str, parsed: Result<Origin, InvalidOrigin>| field(name, parsed);
    match (body.domain, body.webhook_url) {
        (Some(domain), None) => read("origin.domain", Origin::from_domain(&domain)),
        (None, Some(url)) => read("origin.webhook_url", Origin::from_webhook_url(&url)),
        (None, None) | (Some(_), Some(_)) => {
            Err(Problem::field("origin", "must have either domain or webhook_url, and not both"))
        }
    }
}

/// An origin that may be cleared.
pub(super) fn origin_patch(patch: Patch<Object<OriginBody>>) -> Result<Patch<Origin>, Problem> {
    Ok(match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(body) => Patch::Set(origin(body)?),
    })
}
