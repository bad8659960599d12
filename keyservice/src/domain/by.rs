//! Who asks for a change, as the audit log names them.

use std::{fmt, net::IpAddr};

use tollkeeper_contract::SessionId;

use super::{InvalidText, Name};

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
    /// Whoever the holder of the admin token says it is; made by [`Actor::named`].
    Named(Name),
    /// Whoever holds the token of a session.
    Holder(SessionId),
}

impl Actor {
    /// Whoever the holder of the admin token says it is.
    ///
    /// # Errors
    /// When the name is one that this service gives itself: an entry of the audit log must not be mistaken for its own.
    pub fn named(name: Name) -> Result<Self, InvalidText> {
        let text = name.as_str().to_ascii_lowercase();
        if ["admin", "keyservice"].contains(&text.as_str()) || text.starts_with("session:") {
            return Err(InvalidText::new(
                "admin, keyservice and names that begin with session: are the key service's own",
            ));
        }
        Ok(Self::Named(name))
    }
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

#[cfg(test)]
mod tests {
    use super::{Actor, Name};

    #[test]
    fn no_name_is_taken_for_one_of_the_services_own() {
        for own in ["admin", "ADMIN", "keyservice", "session:", "session:abc", "Session:abc"] {
            assert!(Actor::named(Name::parse(own).unwrap()).is_err(), "{own}");
        }
        for free in ["administrator", "ada", "key service", "sessions", "session"] {
            assert!(Actor::named(Name::parse(free).unwrap()).is_ok(), "{free}");
        }
    }
}
