//! Names that are safe in a path, a header and a log, because nothing else can be written.

use std::{borrow::Borrow, fmt};

use crate::key_text::{ID_ENTROPY, compose_id};

/// Why a text is no such name: says the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName(&'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $accepts:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Reads the name.
            ///
            /// # Errors
            /// Says the rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.to_owned())) } else { Err(InvalidName($rule)) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A team's id: one spelling only, because it stands in paths and is compared byte for byte.
    TeamId,
    is_tenant_id,
    "a team id is 1 to 64 of A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved), and not of dots only"
);

name!(
    /// An enterprise's id, by the rule of [`TeamId`].
    EnterpriseId,
    is_tenant_id,
    "an enterprise id is 1 to 64 of A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved), and not of dots only"
);

name!(
    /// A user's id, by the rule of [`TeamId`].
    UserId,
    is_tenant_id,
    "a user id is 1 to 64 of A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved), and not of dots only"
);

name!(
    /// A service account's id, by the rule of [`TeamId`].
    ServiceAccountId,
    is_tenant_id,
    "a service account id is 1 to 64 of A-Z a-z 0-9 - . _ ~ (RFC 3986 unreserved), and not of dots only"
);

name!(
    /// A session's id: the `jti` of its token.
    SessionId,
    |text| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    "a session id is 1 to 32 of A-Z a-z 0-9"
);

name!(
    /// The name of a key that signs tokens: the `kid` in their header.
    TokenKeyId,
    |text| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    "a token key id is 1 to 32 of A-Z a-z 0-9"
);

name!(
    /// A key's public id, as in its text, in headers and logs.
    KeyId,
    |text| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    "a key id is 1 to 32 of A-Z a-z 0-9"
);

name!(
    /// One right, for example `read` (RFC 6749 section 3.3, `scope-token`).
    Scope,
    |text| (1..=64).contains(&text.len()) && text.bytes().all(is_scope_byte),
    "a scope is 1 to 64 printable ASCII characters without space, \" and \\ (RFC 6749 scope-token)"
);

name!(
    /// Whom a key was made for, in words of the operator's.
    Subject,
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text,
    "a subject is 1 to 128 printable ASCII characters, with no space at either end"
);

fn is_tenant_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(is_unreserved) && text.bytes().any(|byte| byte != b'.')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_scope_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'
}

impl SessionId {
    /// An id of random bytes, in the spelling of key ids.
    #[must_use]
    pub fn compose(entropy: [u8; ID_ENTROPY]) -> Self {
        Self(compose_id(entropy).0)
    }
}

impl TokenKeyId {
    /// An id of random bytes, in the spelling of key ids.
    #[must_use]
    pub fn compose(entropy: [u8; ID_ENTROPY]) -> Self {
        Self(compose_id(entropy).0)
    }
}

impl KeyId {
    /// An id whose characters are known to be right.
    pub(crate) fn from_trusted(text: String) -> Self {
        Self(text)
    }
}

/// A set of scopes, kept as the text that OAuth uses: sorted, parted by one space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(String);

impl Scopes {
    /// The most scopes that a key can have.
    pub const MAX: usize = 32;

    /// The scope with which a personal key can do whatever its user can at present. It means nothing in other keys.
    pub const ALL_OF_THE_USER: &'static str = "*";

    /// A set of the given scopes; repeats count once.
    ///
    /// # Errors
    /// When there are more than [`Scopes::MAX`].
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, InvalidName> {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        if scopes.len() > Self::MAX {
            return Err(InvalidName("a key has at most 32 scopes"));
        }
        Ok(Self(scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")))
    }

    /// Reads scopes parted by single spaces; the empty text is the empty set.
    ///
    /// # Errors
    /// When one is no [`Scope`], or there are more than [`Scopes::MAX`].
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::new(text.split(' ').map(Scope::parse).collect::<Result<Vec<_>, _>>()?)
    }

    /// The scopes, sorted and parted by one space.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each scope.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyId, Scope, Scopes, Subject, TeamId};

    #[test]
    fn a_team_id_has_one_spelling_in_a_path() {
        for good in ["acme", "A-1_2.b~", "..a", &"x".repeat(64)] {
            assert!(TeamId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "...", "a/b", "a b", "a%20", "ü", "a\n", "a;b", &"x".repeat(65)] {
            assert!(TeamId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_name_can_end_a_header_or_a_log_line() {
        for evil in ["a\r\nb", "a\0", "a\tb", "\u{7f}"] {
            assert!(Subject::parse(evil).is_err(), "{evil:?}");
            assert!(KeyId::parse(evil).is_err(), "{evil:?}");
            assert!(Scope::parse(evil).is_err(), "{evil:?}");
        }
    }

    #[test]
    fn scopes_are_a_set_in_one_spelling() {
        assert_eq!(Scopes::parse("write read read").unwrap().as_str(), "read write");
        assert_eq!(Scopes::parse("").unwrap().iter().count(), 0);
        assert!(Scopes::parse("read  write").is_err());
        assert!(Scopes::parse("\"").is_err());
    }
}
