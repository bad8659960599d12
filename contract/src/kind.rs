//! What sort of key a key is.

use std::fmt;

/// What sort of key a key is; it stands in the key's text, in its record and in `x-auth-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A team's key for a program of its own; a team may have any number of them.
    Application,
    /// The one key of a team's service account.
    ServiceAccount,
    /// The one key of an enterprise's service account: it belongs to no team and may act for any of the enterprise's.
    EnterpriseServiceAccount,
    /// A user's key: it can never do more than its user can at present.
    Personal,
}

impl Kind {
    /// Every one there is.
    pub const ALL: [Self; 4] =
        [Self::Application, Self::ServiceAccount, Self::EnterpriseServiceAccount, Self::Personal];

    /// The word in headers, logs, tokens and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ServiceAccount => "service_account",
            Self::EnterpriseServiceAccount => "enterprise_service_account",
            Self::Personal => "personal",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The short word inside a key's text.
    #[must_use]
    pub fn in_key_text(self) -> &'static str {
        match self {
            Self::Application => "app",
            Self::ServiceAccount => "svc",
            Self::EnterpriseServiceAccount => "ent",
            Self::Personal => "usr",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Application => 1,
            Self::ServiceAccount => 2,
            Self::EnterpriseServiceAccount => 3,
            Self::Personal => 4,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
