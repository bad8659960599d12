//! What a node knows about tokens: the keys that verify them, and the sessions that were revoked.

use crate::bytes::{Broken, Reader, put_block};

/// How a token is signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can also sign.
    Hs256,
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Algorithm {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::EdDsa, Self::Es256];

    /// The word in a token's `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

/// What verifies a token, by its algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenMaterial<'a> {
    /// What [`NodeToken::token_secret`](crate::page::NodeToken::token_secret) makes the HMAC key of; alone it verifies
    /// and signs nothing.
    Hs256(&'a [u8; 32]),
    /// An Ed25519 public key (RFC 8032 section 5.1.5).
    EdDsa(&'a [u8; 32]),
    /// A P-256 public key, uncompressed (SEC 1 section 2.3.3).
    Es256(&'a [u8; 65]),
}

impl TokenMaterial<'_> {
    /// The algorithm that it is for.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Hs256(_) => Algorithm::Hs256,
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Hs256(bytes) | Self::EdDsa(bytes) => bytes.as_slice(),
            Self::Es256(bytes) => bytes.as_slice(),
        }
    }
}

/// A key that verifies tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenKeyRecord<'a> {
    /// Its name in a token's header.
    pub kid: &'a str,
    /// What it verifies with.
    pub material: TokenMaterial<'a>,
}

impl<'a> TokenKeyRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.material.algorithm() {
            Algorithm::Hs256 => 1,
            Algorithm::EdDsa => 2,
            Algorithm::Es256 => 3,
        });
        put_block(out, self.kid.as_bytes());
        put_block(out, self.material.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let algorithm = reader.u8()?;
        let kid = reader.text()?;
        let material = reader.block()?;
        let material = match algorithm {
            1 => TokenMaterial::Hs256(material.try_into().map_err(|_| Broken)?),
            2 => TokenMaterial::EdDsa(material.try_into().map_err(|_| Broken)?),
            3 => TokenMaterial::Es256(material.try_into().map_err(|_| Broken)?),
            _ => return Err(Broken),
        };
        reader.end()?;
        Ok(Self { kid, material })
    }
}

/// A session that was revoked before its token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevokedSessionRecord<'a> {
    /// The session's id: the `jti` of its token.
    pub id: &'a str,
    /// When its token ends by itself (Unix time, seconds).
    pub expires: u64,
}

impl<'a> RevokedSessionRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.expires.to_le_bytes());
        put_block(out, self.id.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let record = Self { expires: reader.u64()?, id: reader.text()? };
        reader.end()?;
        Ok(record)
    }
}
