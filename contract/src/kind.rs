//! What sort of key a key is.

use std::fmt;

/// What sort of key a key is; it stands in the key's text, in its record and in `x-auth-kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A team's key for a program of its own.
    Application,
}

impl Kind {
    /// The word in headers, logs and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        (name == "application").then_some(Self::Application)
    }

    /// The short word inside a key's text.
    #[must_use]
    pub fn in_key_text(self) -> &'static str {
        match self {
            Self::Application => "app",
        }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Application => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        (code == 1).then_some(Self::Application)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
