//! What the client and the upstream read about the caller.

use crate::{
    config::{AuthHeader, AuthHeaders, Config, Promise, RateLimitHeaders},
    limiter::Limit,
    principal::Principal,
};

use super::{Allowance, Header, Shadowed, Verdict};

/// The headers that every answer to the client carries, whoever made it.
#[must_use]
pub fn response_headers(verdict: &Verdict, config: &Config, revision: Option<u64>) -> Vec<Header> {
    let mut headers = Vec::with_capacity(12);
    let chosen = config.response_headers;
    match verdict {
        Verdict::Public => identity(&mut headers, chosen, AuthHeader::Status, || "public".to_owned()),
        Verdict::Granted(grant) => {
            identity(&mut headers, chosen, AuthHeader::Status, || verdict.word().to_owned());
            identity_of(&mut headers, chosen, &grant.principal, revision);
            rate_limit(&mut headers, grant.allowance, config.rate_limit_headers);
        }
        Verdict::Shadowed(Shadowed { refused, .. }) | Verdict::Refused(refused) => {
            identity(&mut headers, chosen, AuthHeader::Status, || verdict.word().to_owned());
            identity(&mut headers, chosen, AuthHeader::Reason, || verdict.reason().to_owned());
            if let Some(allowance) = refused.allowance {
                rate_limit(&mut headers, allowance, config.rate_limit_headers);
            }
        }
    }
    degraded(&mut headers, chosen, verdict);
    headers
}

/// The headers that tell the upstream whom it serves; none if that is not proven.
#[must_use]
pub fn request_headers(verdict: &Verdict, config: &Config, revision: Option<u64>) -> Vec<Header> {
    let proven = match verdict {
        Verdict::Granted(grant) => Some(&grant.principal),
        Verdict::Shadowed(shadowed) => shadowed.proven(),
        Verdict::Public | Verdict::Refused(_) => None,
    };
    let Some(principal) = proven else { return Vec::new() };
    let mut headers = Vec::with_capacity(10);
    identity(&mut headers, config.request_headers, AuthHeader::Status, || verdict.word().to_owned());
    identity_of(&mut headers, config.request_headers, principal, revision);
    degraded(&mut headers, config.request_headers, verdict);
    headers
}

fn degraded(headers: &mut Vec<Header>, chosen: AuthHeaders, verdict: &Verdict) {
    if verdict.is_degraded() {
        identity(headers, chosen, AuthHeader::Degraded, || "quota".to_owned());
    }
}

fn identity(headers: &mut Vec<Header>, chosen: AuthHeaders, header: AuthHeader, value: impl FnOnce() -> String) {
    if chosen.contains(header) {
        headers.push((header.name(), value()));
    }
}

fn identity_of(headers: &mut Vec<Header>, chosen: AuthHeaders, who: &Principal, revision: Option<u64>) {
    identity(headers, chosen, AuthHeader::Method, || who.style.as_str().to_owned());
    identity(headers, chosen, AuthHeader::Kind, || who.kind_word().to_owned());
    let maybe = [
        (AuthHeader::Team, who.account.team()),
        (AuthHeader::Enterprise, who.enterprise()),
        (AuthHeader::DelegatedTeam, who.delegated_team()),
        (AuthHeader::KeyId, who.key_id.as_deref()),
        (AuthHeader::Subject, Some(who.subject.as_str()).filter(|subject| !subject.is_empty())),
    ];
    for (header, value) in maybe {
        if let Some(value) = value {
            identity(headers, chosen, header, || value.to_owned());
        }
    }
    identity(headers, chosen, AuthHeader::Scopes, || who.scopes.clone());
    if let Some(expires) = who.expires {
        identity(headers, chosen, AuthHeader::Expires, || expires.to_string());
    }
    if let Some(revision) = revision {
        identity(headers, chosen, AuthHeader::Revision, || revision.to_string());
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): `r` requests are left, and in `t`
/// seconds there is one more. Or the same in the headers that were common before (Envoy's own filter has them too).
fn rate_limit(headers: &mut Vec<Header>, allowance: Allowance, style: RateLimitHeaders) {
    let Allowance { policy, limit: Limit { quota, promise }, remaining, until_next, .. } = allowance;
    match style {
        RateLimitHeaders::Off => {}
        RateLimitHeaders::Draft => {
            let promise = match promise {
                Promise::Bucket => "",
                Promise::Strict => ";promise=\"strict\"",
            };
            // Put together, not formatted: with every request that costs less.
            let (limit, window) = (quota.limit().get().to_string(), quota.window().get().to_string());
            headers.push(("ratelimit-policy", ["\"", policy, "\";q=", &limit, ";w=", &window, promise].concat()));
            let (remaining, until_next) = (remaining.to_string(), until_next.to_string());
            headers.push(("ratelimit", ["\"", policy, "\";r=", &remaining, ";t=", &until_next].concat()));
        }
        RateLimitHeaders::Legacy => {
            headers.push(("x-ratelimit-limit", quota.limit().to_string()));
            headers.push(("x-ratelimit-remaining", remaining.to_string()));
            headers.push(("x-ratelimit-reset", until_next.to_string()));
        }
    }
}

/// Whether the upstream's header of this name must go: it speaks for the filter, or the filter says it itself.
#[must_use]
pub fn is_overruled(name: &[u8], ours: &[Header]) -> bool {
    // All of ours begin so; with every header of every answer, looking at more would add up.
    if !matches!(name.first(), Some(b'x' | b'X' | b'r')) {
        return false;
    }
    crate::request::is_identity_header(name) || ours.iter().any(|(our, _)| our.as_bytes() == name)
}
