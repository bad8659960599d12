//! The sorts of things that have an id.

use std::fmt;

/// A sort of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Thing {
    /// An enterprise.
    Enterprise,
    /// A team.
    Team,
    /// A user.
    User,
    /// A service account.
    ServiceAccount,
    /// A key.
    Key,
    /// A session.
    Session,
    /// A node.
    Node,
}

impl Thing {
    /// The word in bodies, in the audit log and in reasons.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Team => "team",
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Key => "key",
            Self::Session => "session",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
