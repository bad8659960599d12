//! What the client and the upstream read about the caller.

use std::borrow::Cow;

use crate::{
    config::{AuthHeader, AuthHeaders, Config, Promise, RateLimitHeaders},
    limiter::Limit,
    principal::Principal,
};

use super::{Allowance, Header, Shadowed, Verdict};

/// The headers that every answer to the client carries, whoever made it.
#[must_use]
pub fn response_headers<'a>(verdict: &'a Verdict, config: &Config, revision: Option<u64>) -> Vec<Header<'a>> {
    let mut headers = Vec::with_capacity(12);
    let chosen = config.response_headers;
    identity(&mut headers, chosen, AuthHeader::Status, verdict.word());
    match verdict {
        Verdict::Public => {}
        Verdict::Granted(grant) => {
            identity_of(&mut headers, chosen, &grant.principal, revision);
            rate_limit(&mut headers, grant.allowance, config.rate_limit_headers);
        }
        Verdict::Shadowed(Shadowed { refused, .. }) | Verdict::Refused(refused) => {
            identity(&mut headers, chosen, AuthHeader::Reason, verdict.reason());
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
pub fn request_headers<'a>(verdict: &'a Verdict, config: &Config, revision: Option<u64>) -> Vec<Header<'a>> {
    let proven = match verdict {
        Verdict::Granted(grant) => Some(&grant.principal),
        Verdict::Shadowed(shadowed) => shadowed.proven(),
        Verdict::Public | Verdict::Refused(_) => None,
    };
    let Some(principal) = proven else { return Vec::new() };
    let mut headers = Vec::with_capacity(10);
    identity(&mut headers, config.request_headers, AuthHeader::Status, verdict.word());
    identity_of(&mut headers, config.request_headers, principal, revision);
    degraded(&mut headers, config.request_headers, verdict);
    headers
}

fn degraded(headers: &mut Vec<Header<'_>>, chosen: AuthHeaders, verdict: &Verdict) {
    if verdict.is_degraded() {
        identity(headers, chosen, AuthHeader::Degraded, "quota");
    }
}

fn identity<'a>(headers: &mut Vec<Header<'a>>, chosen: AuthHeaders, header: AuthHeader, value: &'a str) {
    if chosen.contains(header) {
        headers.push((header.name(), Cow::Borrowed(value)));
    }
}

fn identity_of<'a>(headers: &mut Vec<Header<'a>>, chosen: AuthHeaders, who: &'a Principal, revision: Option<u64>) {
    let words = [
        (AuthHeader::Method, Some(who.style.as_str())),
        (AuthHeader::Kind, Some(who.kind_word())),
        (AuthHeader::Team, who.account.team()),
        (AuthHeader::Enterprise, who.enterprise()),
        (AuthHeader::DelegatedTeam, who.delegated_team()),
        (AuthHeader::KeyId, who.key_id.as_deref()),
        (AuthHeader::Subject, Some(who.subject.as_str()).filter(|subject| !subject.is_empty())),
        (AuthHeader::Scopes, Some(who.scopes.as_str())),
    ];
    for (header, value) in words {
        if let Some(value) = value {
            identity(headers, chosen, header, value);
        }
    }
    for (header, number) in [(AuthHeader::Expires, who.expires), (AuthHeader::Revision, revision)] {
        if let Some(number) = number.filter(|_| chosen.contains(header)) {
            headers.push((header.name(), number.to_string().into()));
        }
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): `r` requests are left, and in `t`
/// seconds there is one more. Or the same in the headers that were common before (Envoy's own filter has them too).
fn rate_limit(headers: &mut Vec<Header<'_>>, allowance: Allowance, style: RateLimitHeaders) {
    let Allowance { policy, limit: Limit { quota, promise }, remaining, until_next, .. } = allowance;
    let (limit, window) = (u64::from(quota.limit().get()), u64::from(quota.window().get()));
    match style {
        RateLimitHeaders::Off => {}
        RateLimitHeaders::Draft => {
            let mut told = item(policy, ";q=", limit, ";w=", window);
            match promise {
                Promise::Bucket => {}
                Promise::Strict => told.push_str(";promise=\"strict\""),
            }
            headers.push(("ratelimit-policy", told.into()));
            headers.push(("ratelimit", item(policy, ";r=", remaining, ";t=", until_next).into()));
        }
        RateLimitHeaders::Legacy => {
            headers.push(("x-ratelimit-limit", limit.to_string().into()));
            headers.push(("x-ratelimit-remaining", remaining.to_string().into()));
            headers.push(("x-ratelimit-reset", until_next.to_string().into()));
        }
    }
}

/// Put together, not formatted: with every request that costs less.
fn item(policy: &str, first: &str, one: u64, second: &str, other: u64) -> String {
    let mut text = String::with_capacity(64);
    text.push('"');
    text.push_str(policy);
    text.push('"');
    text.push_str(first);
    push_number(&mut text, one);
    text.push_str(second);
    push_number(&mut text, other);
    text
}

fn push_number(text: &mut String, number: u64) {
    let mut power = 1_u64;
    while number.checked_div(power).unwrap_or_default() > 9 {
        // Never greater than the number, so it does not wrap.
        power = power.wrapping_mul(10);
    }
    while let Some(digit) = number.checked_div(power) {
        text.push(char::from(b'0'.wrapping_add((digit % 10) as u8)));
        power = power.checked_div(10).unwrap_or_default();
    }
}

/// Whether the upstream's header of this name must go: it speaks for the filter, or the filter says it itself.
#[must_use]
pub fn is_overruled(name: &[u8], ours: &[Header<'_>]) -> bool {
    // All of ours begin so; with every header of every answer, looking at more would add up.
    if !matches!(name.first(), Some(b'x' | b'X' | b'r')) {
        return false;
    }
    crate::request::is_identity_header(name) || ours.iter().any(|(our, _)| our.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::push_number;

    #[test]
    fn numbers_are_written_as_everybody_writes_them() {
        for number in [0, 1, 9, 10, 11, 99, 100, 1_000_000, u64::MAX / 10, u64::MAX] {
            let mut text = String::new();
            push_number(&mut text, number);
            assert_eq!(text, number.to_string());
        }
    }
}
