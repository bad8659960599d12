//! Who asks for a change, as the audit log names them.

use std::{fmt, net::IpAddr};

use tollkeeper_contract::SessionId;

use super::Name;

/// Who asks for a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The address that the request came from; none when the service acts by itself.
    pub source: Option<IpAddr>,
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with the admin token who gave no name.
    Admin,
    /// The key service itself.
    Service,
    /// Whoever the holder of the admin token says it is.
    Named(Name),
    /// Whoever holds the token of a session.
    Holder(SessionId),
}

impl By {
    /// The key service itself, for what it does unasked.
    pub const SERVICE: Self = Self { actor: Actor::Service, source: None };
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => f.write_str("admin"),
            Self::Service => f.write_str("keyservice"),
            Self::Named(name) => name.fmt(f),
            Self::Holder(session) => write!(f, "session:{session}"),
        }
    }
}
