//! How a token is put together, and taken apart again.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{MAX_LENGTH, Malformed, object};
use crate::Algorithm;

/// What the header of a token says: exactly `alg`, `kid` and `typ`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How it says that it is signed; the key that it names decides.
    pub algorithm: Algorithm,
    /// The key that it says it is signed with.
    pub kid: String,
}

/// A token in its parts. Nothing is known about its signature yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What the header says.
    pub header: Header,
    /// What the signature is over.
    pub signed: &'a [u8],
    /// The claims as they were sent, for [`Claims::parse`](super::Claims::parse).
    pub claims: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderJson {
    alg: String,
    kid: String,
    typ: String,
}

impl<'a> Parts<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is longer than [`MAX_LENGTH`], has not three parts in canonical base64url, its header is not exactly
    /// `alg`, `kid` and `typ` (so also when it has `crit`, brings a key along, or is encrypted), or its ES256 signature
    /// is the greater of its two spellings.
    pub fn split(token: &'a [u8]) -> Result<Self, Malformed> {
        Self::split_with(token, Header::read)
    }

    /// The same; `header` does what [`Header::read`] does, which may have been done before.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    pub fn split_with(
        token: &'a [u8],
        header: impl FnOnce(&[u8]) -> Result<Header, Malformed>,
    ) -> Result<Self, Malformed> {
        if token.len() > MAX_LENGTH {
            return Err(Malformed);
        }
        let dot = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'.').ok_or(Malformed);
        let (signed, signature) = token.split_at_checked(dot(token)?).ok_or(Malformed)?;
        let (written, claims) = signed.split_at_checked(dot(signed)?).ok_or(Malformed)?;
        let header = header(written)?;
        let claims = decode(claims.strip_prefix(b".").ok_or(Malformed)?)?;
        let signature = decode(signature.strip_prefix(b".").ok_or(Malformed)?)?;
        if header.algorithm == Algorithm::Es256 && signature.get(32..).is_some_and(|s| s > ES256_HALF.as_slice()) {
            return Err(Malformed);
        }
        Ok(Self { header, signed, claims, signature })
    }
}

/// Half of the order n of P-256 (SEC 2 section 2.4.2), rounded down. A signature (r, s) is as good with n - s in place
/// of s, and whoever holds one can write the other: only the one whose s is not above this is taken.
pub(super) const ES256_HALF: &[u8; 32] = &[
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde, 0x73, 0x7d,
    0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

fn decode(part: &[u8]) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed)
}

impl Header {
    /// Reads a header as it is written: what stands before the first dot of a token.
    ///
    /// # Errors
    /// When it is not in canonical base64url, or not exactly `alg`, `kid` and `typ`.
    pub fn read(written: &[u8]) -> Result<Self, Malformed> {
        let header: HeaderJson = object(&decode(written)?)?;
        if header.typ != "JWT" {
            return Err(Malformed);
        }
        Ok(Self { algorithm: Algorithm::from_name(&header.alg).ok_or(Malformed)?, kid: header.kid })
    }

    /// What is signed: this header and these claims, as [`Claims::to_json`](super::Claims::to_json) writes them.
    #[must_use]
    pub fn signing_input(&self, claims: &str) -> String {
        let header = HeaderJson { alg: self.algorithm.as_str().into(), kid: self.kid.clone(), typ: "JWT".into() };
        let header = serde_json::to_string(&header).unwrap_or_default();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }
}

/// The token: what was signed, and the signature.
#[must_use]
pub fn with_signature(signing_input: &str, signature: &[u8]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}
