//! The secret that opens the admin API.

use std::fmt;

use tollkeeper_contract::{Digest, page::token_text};

/// The secret that opens the admin API; it cannot be printed, and follows the same rule as the node token.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// Reads a token by the rule of [`token_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        token_text(text).map(|text| Self(text.to_owned()))
    }

    /// The token, for the header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its digest: comparing digests takes the same time wherever two tokens differ.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.expose().as_bytes())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::AdminToken;

    #[test]
    fn an_admin_token_cannot_be_printed() {
        let token = AdminToken::parse("a-token-for-admins\n").unwrap();
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
        assert_eq!(token.expose(), "a-token-for-admins");
        assert!(AdminToken::parse("short").is_none());
    }
}
