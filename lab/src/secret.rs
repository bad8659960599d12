//! Secrets of the lab: made from the system's randomness, and of a type that cannot be printed.

use std::fmt;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

/// A bearer token for the key service. Prints as `[secret]`.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A new one: 32 random bytes in hexadecimal.
    ///
    /// # Errors
    /// When the system's source of randomness cannot be read.
    pub fn random() -> Result<Self> {
        let mut bytes = [0_u8; 32];
        File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).context("/dev/urandom")?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// One that already exists.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for a header, a child's environment or a file that only its owner reads.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// The secrets of one key service: they differ, so that a stolen node token makes no keys.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For the admin API.
    pub admin: Secret,
    /// For the node API: what Envoy is given.
    pub node: Secret,
    /// What it signs the tokens of sessions with.
    pub signing: Secret,
}

impl Tokens {
    /// New ones.
    ///
    /// # Errors
    /// When the system's source of randomness cannot be read.
    pub fn random() -> Result<Self> {
        Ok(Self { admin: Secret::random()?, node: Secret::random()?, signing: Secret::random()? })
    }
}
