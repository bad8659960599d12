//! Why a request is refused: the client's doing (denial) or ours (fault), two types that cannot be confused.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $says:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $says])* $variant,)*
        }

        impl $name {
            /// Every one there is.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable word in `x-auth-reason`, in metrics, logs and answers.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// A sentence for whoever reads the answer.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => concat!($($says),*).trim_ascii(),)* }
            }
        }
    };
}

reasons! {
    /// The request is refused because of what the client sent. The sentence of each is shown to the client.
    Denial {
        /// A header that may stand only once, such as Authorization, was sent twice.
        DuplicateHeader = "duplicate_header",
        /// Two different credentials were sent; send one.
        AmbiguousCredential = "ambiguous_credential",
        /// The path can be read in more than one way; send it normalized and without needless escapes.
        AmbiguousPath = "ambiguous_path",
        /// The method is not in upper case; methods are case-sensitive.
        AmbiguousMethod = "ambiguous_method",
        /// No credential was sent.
        MissingCredential = "missing_credential",
        /// The credential is not one: it was cut, mistyped, or has characters that no credential has.
        MalformedCredential = "malformed_credential",
        /// The Authorization scheme is not accepted here.
        UnsupportedScheme = "unsupported_scheme",
        /// The key is not known.
        UnknownKey = "unknown_key",
        /// The token cannot be read in exactly one way, or has something in it that is not taken here.
        MalformedToken = "malformed_token",
        /// The token is not one of ours: its key, signature, issuer or audience is another.
        UnknownToken = "unknown_token",
        /// The token has expired; log in again.
        TokenExpired = "token_expired",
        /// The token is not valid yet.
        TokenNotYetValid = "token_not_yet_valid",
        /// The session was revoked; log in again.
        SessionRevoked = "session_revoked",
        /// The key was revoked.
        KeyRevoked = "key_revoked",
        /// The key is disabled.
        KeyDisabled = "key_disabled",
        /// The key has expired.
        KeyExpired = "key_expired",
        /// The key is not valid yet.
        KeyNotYetValid = "key_not_yet_valid",
        /// The user whose credential this is was removed.
        UserUnknown = "user_unknown",
        /// The user whose credential this is is disabled.
        UserDisabled = "user_disabled",
        /// The credential is bound to another origin than the one in the header Origin.
        OriginMismatch = "origin_mismatch",
        /// The credential may not act for the team in the header x-delegate-account-id.
        DelegationRefused = "delegation_refused",
        /// The credential belongs to another team than the one in the path.
        TeamMismatch = "team_mismatch",
        /// The team is not served on this host.
        HostMismatch = "host_mismatch",
        /// The credential lacks a scope that this request needs.
        MissingScope = "missing_scope",
        /// The team is disabled.
        TeamDisabled = "team_disabled",
        /// The credential's enterprise is disabled.
        EnterpriseDisabled = "enterprise_disabled",
        /// Nothing is served under this path.
        NoRoute = "no_route",
        /// The team has used up its quota; try again after the time in Retry-After.
        QuotaExhausted = "quota_exhausted",
        /// The request costs more than the team's whole quota, so waiting does not help.
        CostAboveQuota = "cost_above_quota",
    }
}

reasons! {
    /// The request is refused because of us; nothing is said about its credential.
    Fault {
        /// The keys have not arrived yet.
        NotSynced = "not_synced",
        /// The keys are too old to be trusted.
        TableStale = "table_stale",
        /// The keys cannot be read.
        TableUnreadable = "table_unreadable",
        /// Too many requests of the team came at the very same moment.
        BucketContended = "bucket_contended",
        /// Nobody can say at present what is left of the team's quota.
        QuotaUnavailable = "quota_unavailable",
        /// Envoy did not give what the filter needs.
        HostFailure = "host_failure",
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The client's doing.
    Denial(Denial),
    /// Ours.
    Fault(Fault),
}

impl Refusal {
    /// The stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Denial(denial) => denial.word(),
            Self::Fault(fault) => fault.word(),
        }
    }

    /// The sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Denial(denial) => denial.sentence(),
            Self::Fault(fault) => fault.sentence(),
        }
    }

    /// Whether nothing but the quota stands against the request: the credential is good for it.
    #[must_use]
    pub fn is_about_quota(self) -> bool {
        matches!(
            self,
            Self::Denial(Denial::QuotaExhausted | Denial::CostAboveQuota)
                | Self::Fault(Fault::BucketContended | Fault::QuotaUnavailable)
        )
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denial(denial)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<crate::shared::HostFailure> for Refusal {
    fn from(_: crate::shared::HostFailure) -> Self {
        Self::Fault(Fault::HostFailure)
    }
}

impl From<tollkeeper_contract::Broken> for Refusal {
    fn from(_: tollkeeper_contract::Broken) -> Self {
        Self::Fault(Fault::TableUnreadable)
    }
}
