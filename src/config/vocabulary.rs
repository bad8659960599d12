//! The words that the filter's rooms know from the configuration: styles, headers, switches.

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    setting::{Setting, wrong_kind},
    words::{Set, words},
};

words! {
    /// How a request may present a credential.
    pub Style, "a style" {
        /// `Authorization: <key>`, without a scheme.
        Raw = "raw",
        /// `Authorization: Token <key>`.
        Token = "token",
        /// `Authorization: Bearer <key>` (RFC 6750).
        Bearer = "bearer",
        /// `x-api-key: <key>`.
        XApiKey = "x-api-key",
    }
}

words! {
    /// A header that says what the filter understood about the caller.
    pub AuthHeader, "one of the x-auth headers" {
        /// Whether the request was let through.
        Status = "x-auth-status",
        /// The style of the credential.
        Method = "x-auth-method",
        /// The kind of the key.
        Kind = "x-auth-kind",
        /// The team that the request is for.
        Team = "x-auth-team",
        /// The enterprise whose credential it is.
        Enterprise = "x-auth-enterprise",
        /// The team for which an enterprise's credential acts.
        DelegatedTeam = "x-auth-delegated-team",
        /// Whom the key was made for.
        Subject = "x-auth-subject",
        /// The public id of the key.
        KeyId = "x-auth-key-id",
        /// The scopes of the key.
        Scopes = "x-auth-scopes",
        /// When the key expires.
        Expires = "x-auth-expires",
        /// The revision of the key table that decided.
        Revision = "x-auth-revision",
        /// Why the request was refused.
        Reason = "x-auth-reason",
        /// That the quota was not decided as promised, because nobody lends: `quota`.
        Degraded = "x-auth-degraded",
    }
}

impl AuthHeader {
    /// The header's name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.as_str()
    }
}

words! {
    /// How answers say what is left of the quota.
    pub RateLimitHeaders, "a kind of rate limit headers" {
        /// `RateLimit-Policy` and `RateLimit`, as the current draft of the IETF HTTPAPI working group has them.
        Draft = "draft",
        /// `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, as older clients know them.
        Legacy = "legacy",
        /// Not at all.
        Off = "off",
    }
}

words! {
    /// Whether other filters and access logs are told what was decided.
    pub FilterState, "a kind of filter state" {
        /// Everything that there is to tell.
        All = "all",
        /// The verdict alone: enough for a filter that refuses what was not judged.
        Verdict = "verdict",
        /// Nothing.
        Off = "off",
    }
}

words! {
    /// What a quota promises.
    pub Promise, "a promise" {
        /// As many as the limit at once, and from then on as many per window as come back bit by bit.
        Bucket = "bucket",
        /// Never more than the limit in any window of that length.
        Strict = "strict",
    }
}

words! {
    /// Over what a quota holds.
    pub(super) QuotaScope, "a scope of quotas" {
        /// Over each Envoy process by itself.
        Process = "process",
        /// Over all Envoys that share a key service.
        Fleet = "fleet",
    }
}

words! {
    /// What happens to requests that no lease covers while nobody lends.
    pub Fallback, "a fallback" {
        /// Each Envoy may spend its share of the limit.
        Share = "share",
        /// They are refused.
        Refuse = "refuse",
    }
}

words! {
    /// Of what answers say that it is left, where a quota holds over the fleet.
    pub Remaining, "a way to count what is left" {
        /// Of all that the fleet may spend, as last known.
        Fleet = "fleet",
        /// Of this node's lease: never more than is left, whatever other nodes do.
        Lease = "lease",
    }
}

words! {
    /// Which refusals are only told: the request goes on to the upstream all the same.
    pub Shadow, "a kind of shadow mode" {
        /// None.
        Off = "off",
        /// Those about the quota.
        Quota = "quota",
        /// All: also without a good credential.
        Everything = "everything",
    }
}

words! {
    /// What happens to a request that no route matches.
    pub(super) Unmatched, "a way to treat unmatched requests" {
        /// It needs a key, of whatever team.
        Authenticate = "authenticate",
        /// It is refused.
        Refuse = "refuse",
    }
}

/// The styles in which a route takes a credential: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Styles(Set<Style>);

impl Styles {
    /// Every style.
    #[must_use]
    pub fn all() -> Self {
        Self(Set::all())
    }

    /// This style alone.
    #[must_use]
    pub fn only(style: Style) -> Self {
        Self([style].into_iter().collect())
    }

    /// Whether the style is one of them.
    #[must_use]
    pub fn contains(self, style: Style) -> bool {
        self.0.contains(style)
    }

    /// The styles, in the order of [`Style::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Style> {
        self.0.iter()
    }
}

impl Setting for Styles {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        Set::read(json, place, mistakes).map(Self)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        Set::<Style>::schema()
    }
}

/// The `x-auth-*` headers that are set; may be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthHeaders(Set<AuthHeader>);

impl AuthHeaders {
    /// Every header.
    #[must_use]
    pub fn all() -> Self {
        Self(Set::all())
    }

    /// No header.
    #[must_use]
    pub fn off() -> Self {
        Self(Set::empty())
    }

    /// Whether the header is set.
    #[must_use]
    pub fn contains(self, header: AuthHeader) -> bool {
        self.0.contains(header)
    }

    /// Whether no header is set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The headers, in the order of [`AuthHeader::ALL`].
    pub fn iter(self) -> impl Iterator<Item = AuthHeader> {
        self.0.iter()
    }
}

/// Written as `"all"`, `"off"` or a list of names.
impl Setting for AuthHeaders {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        if *json == Json::from("all") {
            return Ok(Self::all());
        }
        if *json == Json::from("off") {
            return Ok(Self::off());
        }
        let Json::List(items) = json else {
            let expected = "\"all\", \"off\" (in quotes, if this is YAML) or a list of header names";
            return Err(wrong_kind(json, expected, place, mistakes));
        };
        if items.is_empty() {
            return Err(mistakes.note(place, "is empty; use \"off\" for no headers"));
        }
        Set::read(json, place, mistakes).map(Self)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [{ "enum": ["all", "off"] }, Set::<AuthHeader>::schema()] })
    }
}

/// What becomes of a good credential before the upstream sees the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// It is removed.
    Remove,
    /// It is forwarded as it came.
    Forward,
}

/// Written as a boolean, `forward_credential`.
impl Setting for Forwarding {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let Json::Bool(forward) = json else {
            return Err(wrong_kind(json, "true or false", place, mistakes));
        };
        Ok(if *forward { Self::Forward } else { Self::Remove })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "boolean" })
    }
}
