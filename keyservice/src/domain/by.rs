//! Who asks for a change, as the audit log names them.

use std::{fmt, net::IpAddr};

use tollkeeper_contract::SessionId;

use super::{Badge, InvalidText, Name, Role};

/// Who asks for a change, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// With what token; none when the service acts by itself, or for the holder of a session's token.
    pub badge: Option<Badge>,
    /// The address that the request came from; none when the service acts by itself.
    pub source: Option<IpAddr>,
}

/// Who changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Somebody with a token of this role who gave no name.
    Role(Role),
    /// The key service itself.
    Service,
    /// Whoever the holder of a token of the admin API says it is; made by [`Actor::named`].
    Named(Name),
    /// Whoever holds the token of a session.
    Holder(SessionId),
}

impl Actor {
    /// Whoever the holder of a token of the admin API says it is.
    ///
    /// # Errors
    /// When the name is one that this service gives itself: an entry of the audit log must not be mistaken for its own.
    pub fn named(name: Name) -> Result<Self, InvalidText> {
        let text = name.as_str().to_ascii_lowercase();
        let is_role = Role::ALL.iter().any(|role| role.as_str() == text);
        if is_role || text == "keyservice" || text.starts_with("session:") {
            return Err(InvalidText::new(
                "admin, operator, viewer, keyservice and names that begin with session: are the key service's own",
            ));
        }
        Ok(Self::Named(name))
    }
}

impl By {
    /// The key service itself, for what it does unasked.
    pub const SERVICE: Self = Self { actor: Actor::Service, badge: None, source: None };
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role(role) => role.fmt(f),
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
        for own in ["admin", "ADMIN", "operator", "Viewer", "keyservice", "session:", "session:abc", "Session:abc"] {
            assert!(Actor::named(Name::parse(own).unwrap()).is_err(), "{own}");
        }
        for free in ["administrator", "ada", "key service", "sessions", "session"] {
            assert!(Actor::named(Name::parse(free).unwrap()).is_ok(), "{free}");
        }
    }
}
