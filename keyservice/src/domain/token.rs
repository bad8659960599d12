//! The secrets that open the admin API, and what the holder of each may do.

use std::fmt;

use tollkeeper_contract::{Digest, page::token_text};

use super::TokenName;

/// A secret that opens the admin API; it cannot be printed, and follows the same rule as the node token.
#[derive(Clone)]
pub struct AdminToken(String);

/// What the holder of a token may do: each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// And change what is changed day by day: tenants, keys, limits, sessions.
    Operator,
    /// And everything else.
    Admin,
}

/// Who showed a token, as the audit log names them; nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Badge {
    /// What they may do.
    pub role: Role,
    /// What the token is called, to tell it from others of the role.
    pub name: Option<TokenName>,
}

/// The tokens that open the admin API, several of a role while one takes the place of another.
#[derive(Debug, Clone)]
pub struct AdminTokens(Vec<(Digest, Badge)>);

impl AdminToken {
    /// Reads a token by the rule of [`token_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        token_text(text).map(|text| Self(text.to_owned()))
    }

    /// Reads a token that may have a name in front: `TOKEN` or `NAME:TOKEN`.
    #[must_use]
    pub fn parse_named(text: &str) -> Option<(Option<TokenName>, Self)> {
        let named = text.split_once(':').and_then(|(name, token)| Some((TokenName::parse(name).ok()?, token)));
        match named {
            Some((name, token)) => Some((Some(name), Self::parse(token)?)),
            None => Some((None, Self::parse(text)?)),
        }
    }

    /// The token, for the header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

impl Role {
    /// All of them, the one that may do least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// What it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Badge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.role),
            None => self.role.fmt(f),
        }
    }
}

impl AdminTokens {
    /// These tokens, each with who shows it.
    pub fn new(tokens: impl IntoIterator<Item = (AdminToken, Badge)>) -> Self {
        Self(tokens.into_iter().map(|(token, badge)| (Digest::of(token.expose().as_bytes()), badge)).collect())
    }

    /// Who shows this.
    ///
    /// It takes the same time wherever two tokens differ and whichever it is: digests are compared, each in full
    /// (`subtle`), and all of them, also behind the one that fits.
    #[must_use]
    pub fn opened_by(&self, presented: &[u8]) -> Option<&Badge> {
        let presented = Digest::of(presented);
        self.0.iter().fold(None, |found, (digest, badge)| if *digest == presented { Some(badge) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::{AdminToken, AdminTokens, Badge, Role, TokenName};

    #[test]
    fn an_admin_token_cannot_be_printed() {
        let token = AdminToken::parse("a-token-for-admins\n").unwrap();
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
        assert_eq!(token.expose(), "a-token-for-admins");
        assert!(AdminToken::parse("short").is_none());
    }

    #[test]
    fn a_token_may_have_a_name_in_front() {
        let read = |text: &str| AdminToken::parse_named(text).map(|(name, token)| (name, token.expose().to_owned()));
        let (name, token) = read("console-2030:0123456789abcdef").unwrap();
        assert_eq!((name.unwrap().as_str(), token.as_str()), ("console-2030", "0123456789abcdef"));
        assert_eq!(read("0123456789abcdef"), Some((None, "0123456789abcdef".into())));
        assert_eq!(read("No Name:0123456789abcdef"), None);
        assert_eq!(read("console:short"), None);
    }

    #[test]
    fn each_token_opens_with_its_own_badge() {
        let badge = |role, name: Option<&str>| Badge { role, name: name.map(|name| TokenName::parse(name).unwrap()) };
        let (old, new) = (badge(Role::Admin, Some("old")), badge(Role::Admin, Some("new")));
        let viewer = badge(Role::Viewer, None);
        let token = |text| AdminToken::parse(text).unwrap();
        let tokens = AdminTokens::new([
            (token("the-old-token-of-admins"), old.clone()),
            (token("the-new-token-of-admins"), new.clone()),
            (token("the-token-of-viewers"), viewer.clone()),
        ]);
        assert_eq!(tokens.opened_by(b"the-old-token-of-admins"), Some(&old));
        assert_eq!(tokens.opened_by(b"the-new-token-of-admins"), Some(&new));
        assert_eq!(tokens.opened_by(b"the-token-of-viewers"), Some(&viewer));
        assert_eq!(tokens.opened_by(b"the-old-token-of-admin"), None);
        assert_eq!((old.to_string().as_str(), viewer.to_string().as_str()), ("admin/old", "viewer"));
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
    }
}
