//! The answer to a refused request: the only file with status codes.

use crate::{
    config::{Realm, Style, Styles},
    refusal::{Denial, Fault, Refusal},
    request::Wire,
};

use super::Refused;

/// The answer of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What a gRPC client gets for it (google.rpc.Code).
    pub grpc_status: u8,
    /// The reason word.
    pub reason: &'static str,
    /// Headers of this answer alone; those of [`response_headers`](super::response_headers) come on top.
    pub headers: Vec<(&'static str, String)>,
    /// `application/problem+json` (RFC 9457); for a gRPC client its message.
    pub body: String,
}

pub(super) fn statuses(refusal: Refusal) -> (u16, u8, &'static str) {
    match refusal {
        Refusal::Denial(denial) => match denial {
            Denial::DuplicateHeader | Denial::AmbiguousCredential | Denial::AmbiguousPath | Denial::AmbiguousMethod => {
                (400, 3, "Bad Request")
            }
            Denial::MissingCredential
            | Denial::MalformedCredential
            | Denial::UnsupportedScheme
            | Denial::UnknownKey
            | Denial::MalformedToken
            | Denial::UnknownToken
            | Denial::TokenExpired
            | Denial::TokenNotYetValid
            | Denial::SessionRevoked
            | Denial::UserUnknown
            | Denial::UserDisabled
            | Denial::KeyRevoked
            | Denial::KeyDisabled
            | Denial::KeyExpired
            | Denial::KeyNotYetValid => (401, 16, "Unauthorized"),
            Denial::OriginMismatch
            | Denial::DelegationRefused
            | Denial::TeamMismatch
            | Denial::HostMismatch
            | Denial::MissingScope
            | Denial::TeamDisabled
            | Denial::EnterpriseDisabled
            | Denial::NoRoute => (403, 7, "Forbidden"),
            Denial::QuotaExhausted | Denial::CostAboveQuota => (429, 8, "Too Many Requests"),
        },
        Refusal::Fault(
            Fault::NotSynced
            | Fault::TableStale
            | Fault::TableUnreadable
            | Fault::BucketContended
            | Fault::QuotaUnavailable
            | Fault::HostFailure,
        ) => (503, 14, "Service Unavailable"),
    }
}

/// The answer that a refused client gets.
#[must_use]
pub fn reply(refused: &Refused, realm: &Realm, wire: Wire) -> Reply {
    let (status, grpc_status, title) = statuses(refused.refusal);
    let reason = refused.refusal.word();
    let mut headers = vec![("cache-control", "no-store".to_owned())];
    if status == 401 {
        headers.extend(refused.styles.into_iter().flat_map(|styles| challenges(styles, refused.refusal, realm)));
    }
    if refused.refusal == Denial::MissingScope.into()
        && refused.principal.as_ref().is_some_and(|principal| principal.style == Style::Bearer)
    {
        headers.push(("www-authenticate", insufficient_scope(realm)));
    }
    if let Some(seconds) = retry_after(refused) {
        headers.push(("retry-after", seconds.to_string()));
    }
    let body = match wire {
        Wire::Grpc => refused.refusal.sentence().to_owned(),
        Wire::Http => {
            headers.push(("content-type", "application/problem+json".to_owned()));
            problem(refused.refusal, status, title)
        }
    };
    Reply { status, grpc_status, reason, headers, body }
}

/// RFC 9457 section 4.2.1: with "about:blank" the title is that of the status, and the rest is in the members.
fn problem(refusal: Refusal, status: u16, title: &str) -> String {
    let (detail, reason, status) = (refusal.sentence(), refusal.word(), status.to_string());
    // None of these texts has anything that JSON would escape.
    let parts = [
        r#"{"detail":""#,
        detail,
        r#"","reason":""#,
        reason,
        r#"","status":"#,
        &status,
        r#","title":""#,
        title,
        r#"","type":"about:blank"}"#,
    ];
    parts.concat()
}

fn retry_after(refused: &Refused) -> Option<u64> {
    match refused.refusal {
        Refusal::Fault(_) => Some(1),
        // Waiting would not help.
        Refusal::Denial(Denial::CostAboveQuota) => None,
        Refusal::Denial(_) => refused.allowance.map(|allowance| allowance.until_next.max(1)),
    }
}

/// One challenge per style (RFC 9110 section 11.6.1); Bearer with its error, if a credential was sent (RFC 6750
/// section 3.1).
fn challenges(styles: Styles, refusal: Refusal, realm: &Realm) -> impl Iterator<Item = (&'static str, String)> {
    let realm = realm.as_str();
    let challenge = move |style| match style {
        // A scheme of its own for keys without one: a client can tell that it should send no scheme word.
        Style::Raw => ["ApiKey realm=\"", realm, "\", header=\"authorization\""].concat(),
        Style::XApiKey => ["ApiKey realm=\"", realm, "\", header=\"x-api-key\""].concat(),
        Style::Token => ["Token realm=\"", realm, "\""].concat(),
        Style::Bearer if is_without_bearer(refusal) => ["Bearer realm=\"", realm, "\""].concat(),
        Style::Bearer => {
            let sentence = refusal.sentence();
            ["Bearer realm=\"", realm, "\", error=\"invalid_token\", error_description=\"", sentence, "\""].concat()
        }
    };
    styles.iter().map(move |style| ("www-authenticate", challenge(style)))
}

/// Nothing was sent that a Bearer error could be about (RFC 6750 section 3.1).
fn is_without_bearer(refusal: Refusal) -> bool {
    refusal == Denial::MissingCredential.into() || refusal == Denial::UnsupportedScheme.into()
}

/// What a bearer whose rights do not suffice is told (RFC 6750 section 3.1).
fn insufficient_scope(realm: &Realm) -> String {
    let (realm, sentence) = (realm.as_str(), Denial::MissingScope.sentence());
    ["Bearer realm=\"", realm, "\", error=\"insufficient_scope\", error_description=\"", sentence, "\""].concat()
}
