//! Grant, denial or fault to what the client, the upstream and the operator get to see: the only file with status codes.

use serde_json::json;

use crate::{
    bucket::Bucket,
    config::{AuthHeader, AuthHeaders, Config, RateLimitHeaders, Realm, Style, Styles},
    principal::Principal,
    refusal::{Denial, Fault, Refusal},
    request::Wire,
};

use tollkeeper_contract::Quota;

/// What is decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The route needs no credential.
    Public,
    /// The credential may do this.
    Granted(Grant),
    /// It goes no further.
    Refused(Refused),
}

/// The permit to go on: there is no way to the upstream of a protected route without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who the credential proved to be.
    pub principal: Principal,
    /// What is left of the team's quota.
    pub allowance: Allowance,
    /// Request headers that the upstream must not see.
    pub withheld: Vec<&'static str>,
}

/// A refusal with what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Who the credential proved to be, if it got that far: for the operator, not for the client.
    pub principal: Option<Box<Principal>>,
    /// What is left of the team's quota, if that is why.
    pub allowance: Option<Allowance>,
    /// The styles that the route takes, for the challenges of a 401.
    pub styles: Option<Styles>,
}

impl<R: Into<Refusal>> From<R> for Refused {
    fn from(refusal: R) -> Self {
        Self { refusal: refusal.into(), principal: None, allowance: None, styles: None }
    }
}

/// A team's quota and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The team's quota.
    pub quota: Quota,
    /// Whole tokens left.
    pub remaining: u64,
    /// Seconds until there is one more, rounded up; 0 when there are as many as can be.
    pub until_next: u64,
}

impl Allowance {
    /// What is left in `bucket`.
    #[must_use]
    pub fn of(quota: Quota, bucket: &Bucket) -> Self {
        Self { quota, remaining: bucket.remaining(), until_next: bucket.until_next().div_ceil(1000) }
    }
}

/// The answer of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// What a gRPC client gets for it (google.rpc.Code).
    pub grpc_status: u8,
    /// The reason word.
    pub reason: &'static str,
    /// Headers of this answer alone; those of [`response_headers`] come on top.
    pub headers: Vec<(&'static str, String)>,
    /// `application/problem+json` (RFC 9457); for a gRPC client its message.
    pub body: String,
}

/// A request header or response header to be set.
pub type Header = (&'static str, String);

impl Verdict {
    /// The word in `x-auth-status`, in metrics and logs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Granted(_) => "granted",
            Self::Refused(Refused { refusal: Refusal::Denial(_), .. }) => "denied",
            Self::Refused(Refused { refusal: Refusal::Fault(_), .. }) => "fault",
        }
    }

    /// The reason word; `ok` if there is nothing to give a reason for.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Public | Self::Granted(_) => "ok",
            Self::Refused(refused) => refused.refusal.word(),
        }
    }

    /// Who the credential proved to be.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Public => None,
            Self::Granted(grant) => Some(&grant.principal),
            Self::Refused(refused) => refused.principal.as_deref(),
        }
    }
}

fn statuses(refusal: Refusal) -> (u16, u8, &'static str) {
    match refusal {
        Refusal::Denial(denial) => match denial {
            Denial::DuplicateHeader | Denial::AmbiguousCredential | Denial::AmbiguousPath => (400, 3, "Bad Request"),
            Denial::MissingCredential
            | Denial::MalformedCredential
            | Denial::UnsupportedScheme
            | Denial::UnknownKey
            | Denial::UnknownToken
            | Denial::KeyRevoked
            | Denial::KeyDisabled
            | Denial::KeyExpired
            | Denial::KeyNotYetValid => (401, 16, "Unauthorized"),
            Denial::TeamMismatch | Denial::MissingScope | Denial::TeamDisabled | Denial::NoRoute => {
                (403, 7, "Forbidden")
            }
            Denial::QuotaExhausted => (429, 8, "Too Many Requests"),
        },
        Refusal::Fault(
            Fault::NotSynced | Fault::TableStale | Fault::TableUnreadable | Fault::BucketContended | Fault::HostFailure,
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
    let (detail, reason) = (refusal.sentence(), refusal.word());
    json!({ "type": "about:blank", "title": title, "status": status, "detail": detail, "reason": reason }).to_string()
}

fn retry_after(refused: &Refused) -> Option<u64> {
    match refused.refusal {
        Refusal::Fault(_) => Some(1),
        Refusal::Denial(_) => refused.allowance.map(|allowance| allowance.until_next.max(1)),
    }
}

/// One challenge per style (RFC 9110 section 11.6.1); Bearer with its error, if a credential was sent (RFC 6750
/// section 3.1).
fn challenges(styles: Styles, refusal: Refusal, realm: &Realm) -> impl Iterator<Item = Header> {
    let realm = realm.as_str();
    let challenge = move |style| match style {
        // A scheme of its own for keys without one: a client can tell that it should send no scheme word.
        Style::Raw => format!("ApiKey realm=\"{realm}\", header=\"authorization\""),
        Style::XApiKey => format!("ApiKey realm=\"{realm}\", header=\"x-api-key\""),
        Style::Token => format!("Token realm=\"{realm}\""),
        Style::Bearer if refusal == Refusal::Denial(Denial::MissingCredential) => format!("Bearer realm=\"{realm}\""),
        Style::Bearer => {
            let sentence = refusal.sentence();
            format!("Bearer realm=\"{realm}\", error=\"invalid_token\", error_description=\"{sentence}\"")
        }
    };
    styles.iter().map(move |style| ("www-authenticate", challenge(style)))
}

/// The headers that every answer to the client carries, whoever made it.
#[must_use]
pub fn response_headers(verdict: &Verdict, config: &Config, revision: Option<u64>) -> Vec<Header> {
    let mut headers = Vec::with_capacity(12);
    let chosen = config.response_headers;
    match verdict {
        Verdict::Public => identity(&mut headers, chosen, AuthHeader::Status, || "public".to_owned()),
        Verdict::Granted(grant) => {
            identity_of(&mut headers, chosen, &grant.principal, revision);
            rate_limit(&mut headers, grant.allowance, config.rate_limit_headers);
        }
        Verdict::Refused(refused) => {
            identity(&mut headers, chosen, AuthHeader::Status, || verdict.word().to_owned());
            identity(&mut headers, chosen, AuthHeader::Reason, || verdict.reason().to_owned());
            if let Some(allowance) = refused.allowance {
                rate_limit(&mut headers, allowance, config.rate_limit_headers);
            }
        }
    }
    headers
}

/// The headers that tell the upstream whom it serves.
#[must_use]
pub fn request_headers(grant: &Grant, config: &Config, revision: Option<u64>) -> Vec<Header> {
    let mut headers = Vec::with_capacity(10);
    identity_of(&mut headers, config.request_headers, &grant.principal, revision);
    headers
}

fn identity(headers: &mut Vec<Header>, chosen: AuthHeaders, header: AuthHeader, value: impl FnOnce() -> String) {
    if chosen.contains(header) {
        headers.push((header.name(), value()));
    }
}

fn identity_of(headers: &mut Vec<Header>, chosen: AuthHeaders, who: &Principal, revision: Option<u64>) {
    identity(headers, chosen, AuthHeader::Status, || "granted".to_owned());
    identity(headers, chosen, AuthHeader::Method, || who.style.as_str().to_owned());
    identity(headers, chosen, AuthHeader::Kind, || who.kind.as_str().to_owned());
    identity(headers, chosen, AuthHeader::Team, || who.team.clone());
    identity(headers, chosen, AuthHeader::KeyId, || who.key_id.clone());
    identity(headers, chosen, AuthHeader::Scopes, || who.scopes.clone());
    if !who.subject.is_empty() {
        identity(headers, chosen, AuthHeader::Subject, || who.subject.clone());
    }
    if let Some(expires) = who.expires {
        identity(headers, chosen, AuthHeader::Expires, || expires.to_string());
    }
    if let Some(revision) = revision {
        identity(headers, chosen, AuthHeader::Revision, || revision.to_string());
    }
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): `r` requests are left, and in `t`
/// seconds there is one more.
fn rate_limit(headers: &mut Vec<Header>, allowance: Allowance, style: RateLimitHeaders) {
    let Allowance { quota, remaining, until_next } = allowance;
    match style {
        RateLimitHeaders::Off => {}
        RateLimitHeaders::Draft => {
            headers.push(("ratelimit-policy", format!("\"team\";q={};w={}", quota.limit(), quota.window())));
            headers.push(("ratelimit", format!("\"team\";r={remaining};t={until_next}")));
        }
    }
}

/// Whether the upstream's header of this name must go: it speaks for the filter, or the filter says it itself.
#[must_use]
pub fn is_overruled(name: &[u8], ours: &[Header]) -> bool {
    crate::request::is_identity_header(name) || ours.iter().any(|(our, _)| our.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::{Allowance, Grant, Refused, Verdict, reply, request_headers, response_headers, statuses};
    use crate::{
        config::{Config, Styles},
        principal::Principal,
        refusal::{Denial, Fault, Refusal},
        request::Wire,
    };
    use tollkeeper_contract::{KeyRecord, KeyState, Kind, Quota};

    fn config(more: &str) -> Config {
        Config::parse(format!(r#"{{"key_service":{{"cluster":"keyservice"}}{more}}}"#).as_bytes()).unwrap()
    }

    fn principal() -> Principal {
        let record = KeyRecord {
            kind: Kind::Application,
            state: KeyState::Active,
            not_before: None,
            expires: Some(1_800_000_000),
            id: "k1",
            team: "acme",
            subject: "",
            scopes: "read write",
        };
        Principal::new(crate::config::Style::Token, &record)
    }

    fn granted() -> Verdict {
        let allowance = Allowance { quota: Quota::new(300, 300).unwrap(), remaining: 299, until_next: 1 };
        Verdict::Granted(Grant { principal: principal(), allowance, withheld: vec![] })
    }

    #[test]
    fn a_denial_is_4xx_and_a_fault_is_503() {
        for denial in Denial::ALL {
            assert!((400..500).contains(&statuses(Refusal::Denial(*denial)).0), "{denial:?}");
        }
        for fault in Fault::ALL {
            assert_eq!(statuses(Refusal::Fault(*fault)).0, 503, "{fault:?}");
        }
    }

    #[test]
    fn every_reason_has_a_word_of_its_own_and_a_sentence() {
        let denials = Denial::ALL.iter().map(|denial| Refusal::Denial(*denial));
        let refusals: Vec<_> = denials.chain(Fault::ALL.iter().map(|fault| Refusal::Fault(*fault))).collect();
        let words: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.word()).collect();
        assert_eq!(words.len(), refusals.len());
        for refusal in refusals {
            // The sentence stands in a quoted string of a challenge.
            assert!(
                refusal.sentence().ends_with('.') && !refusal.sentence().contains(['"', '\\', '\n']),
                "{refusal:?}"
            );
        }
    }

    #[test]
    fn the_reference_documents_every_reason_with_its_status() {
        let reference = include_str!("../docs/REFERENCE.md");
        let denials = Denial::ALL.iter().map(|denial| Refusal::Denial(*denial));
        for refusal in denials.chain(Fault::ALL.iter().map(|fault| Refusal::Fault(*fault))) {
            let (status, grpc_status, _) = statuses(refusal);
            let row = format!("| `{}` | {status} | {grpc_status} |", refusal.word());
            assert!(reference.contains(&row), "docs/REFERENCE.md lacks {row}");
        }
    }

    #[test]
    fn a_client_without_a_credential_gets_a_challenge_per_style() {
        let refused = Refused { styles: Some(Styles::all()), ..Denial::MissingCredential.into() };
        let reply = reply(&refused, &config("").realm, Wire::Http);
        let challenges: Vec<_> = reply.headers.iter().filter(|(name, _)| *name == "www-authenticate").collect();
        assert_eq!((reply.status, challenges.len()), (401, 4));
        assert!(challenges.iter().any(|(_, value)| value == "Bearer realm=\"tollkeeper\""));
    }

    #[test]
    fn a_refusal_says_what_is_wrong_in_problem_json() {
        let reply = reply(&Denial::KeyExpired.into(), &config("").realm, Wire::Http);
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((body["status"].as_u64(), body["reason"].as_str()), (Some(401), Some("key_expired")));
        assert_eq!(body["detail"], "The key has expired.");
    }

    #[test]
    fn a_grpc_client_gets_the_sentence_as_its_message() {
        let reply = reply(&Denial::KeyExpired.into(), &config("").realm, Wire::Grpc);
        assert_eq!((reply.grpc_status, reply.body.as_str()), (16, "The key has expired."));
    }

    #[test]
    fn whoever_is_limited_or_meets_a_fault_is_told_when_to_come_back() {
        let allowance = Some(Allowance { quota: Quota::new(1, 60).unwrap(), remaining: 0, until_next: 42 });
        let limited = Refused { allowance, ..Denial::QuotaExhausted.into() };
        assert!(reply(&limited, &config("").realm, Wire::Http).headers.contains(&("retry-after", "42".to_owned())));
        let fault = Fault::NotSynced.into();
        assert!(reply(&fault, &config("").realm, Wire::Http).headers.contains(&("retry-after", "1".to_owned())));
    }

    #[test]
    fn the_caller_reads_what_was_understood() {
        let headers = response_headers(&granted(), &config(""), Some(9));
        let value = |name| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
        assert_eq!(value("x-auth-status"), Some("granted"));
        assert_eq!(value("x-auth-team"), Some("acme"));
        assert_eq!(value("x-auth-expires"), Some("1800000000"));
        assert_eq!(value("x-auth-revision"), Some("9"));
        assert_eq!(value("x-auth-subject"), None);
        assert_eq!(value("ratelimit-policy"), Some("\"team\";q=300;w=300"));
        assert_eq!(value("ratelimit"), Some("\"team\";r=299;t=1"));
    }

    #[test]
    fn headers_can_be_switched_off() {
        let off = config(r#","response_headers":"off","request_headers":["x-auth-team"],"rate_limit_headers":"off""#);
        assert_eq!(response_headers(&granted(), &off, Some(9)), []);
        let Verdict::Granted(grant) = granted() else { panic!() };
        assert_eq!(request_headers(&grant, &off, Some(9)), [("x-auth-team", "acme".to_owned())]);
    }

    #[test]
    fn a_refused_client_learns_nothing_about_the_key() {
        let refused = Refused { principal: Some(Box::new(principal())), ..Denial::TeamMismatch.into() };
        let headers = response_headers(&Verdict::Refused(refused), &config(""), Some(9));
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["x-auth-status", "x-auth-reason"]);
    }
}
