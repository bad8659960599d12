//! Whether a token was signed with the key that it names: the algorithm is the key's, never the token's word for it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, ES256PublicKey, Ed25519PublicKey, EdDSAPublicKeyLike, NoCustomClaims, UnixTimeStamp,
    VerificationOptions,
};
use sha2::Sha256;
use tollkeeper_contract::TokenMaterial;

use crate::refusal::Fault;

use super::known::Secrets;

/// Signatures that the host may know how to verify, faster than this module can.
pub trait Signatures: fmt::Debug {
    /// Whether `signature` (r and s, RFC 7518 section 3.4) is one of `message` by `key` (a P-256 point, uncompressed),
    /// with SHA-256; `None` if the host cannot tell.
    fn es256(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Option<bool>;
}

/// A host that verifies nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoSignatures;

impl Signatures for NoSignatures {
    fn es256(&self, _: &[u8; 65], _: &[u8], _: &[u8; 64]) -> Option<bool> {
        None
    }
}

/// A token that the strict reader has taken, header and claims, and that is therefore fit for any other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signed<'a> {
    /// The whole token.
    pub(super) token: &'a str,
    /// Its header and claims, as they stand there.
    pub(super) message: &'a [u8],
    /// Its signature, decoded.
    pub(super) signature: &'a [u8],
}

/// Whether the token is signed with this key; `secrets` are those of a salt.
///
/// # Errors
/// When the key is none: that is not the token's fault.
pub(super) fn is_genuine(
    signed: Signed<'_>,
    key: TokenMaterial<'_>,
    secrets: impl FnOnce(&[u8; 32]) -> Result<Secrets, Fault>,
    host: &dyn Signatures,
) -> Result<bool, Fault> {
    match key {
        // There are several while the node token is replaced.
        TokenMaterial::Hs256(salt) => {
            Ok(secrets(salt)?.iter().any(|keyed| is_tag(keyed, signed.message, signed.signature)))
        }
        TokenMaterial::EdDsa(key) => eddsa(signed.message, signed.signature, key),
        TokenMaterial::Es256(key) => es256(signed, key, host),
    }
}

/// RFC 7518 section 3.2.
#[cfg(test)]
pub(super) fn hs256(message: &[u8], tag: &[u8], secret: &[u8]) -> Result<bool, Fault> {
    Ok(is_tag(&keyed(secret)?, message, tag))
}

/// HMAC-SHA256 with a secret, ready for any message.
pub(super) fn keyed(secret: &[u8]) -> Result<Hmac<Sha256>, Fault> {
    Hmac::new_from_slice(secret).map_err(|_| Fault::TableUnreadable)
}

/// Compared in a time that tells nothing.
fn is_tag(keyed: &Hmac<Sha256>, message: &[u8], tag: &[u8]) -> bool {
    keyed.clone().chain_update(message).verify_slice(tag).is_ok()
}

/// RFC 8037 section 3.1. The host verifies with a hash of its own only, which Ed25519 has no use for.
pub(super) fn eddsa(message: &[u8], signature: &[u8], key: &[u8; 32]) -> Result<bool, Fault> {
    let key = Ed25519PublicKey::from_bytes(key).map_err(|_| Fault::TableUnreadable)?;
    let Ok(signature) = signature.try_into() else { return Ok(false) };
    Ok(key.public_key().as_ref().verify(message, &signature).is_ok())
}

/// RFC 7518 section 3.4. Of the two values that s may have, the strict reader has left the smaller one.
fn es256(signed: Signed<'_>, key: &[u8; 65], host: &dyn Signatures) -> Result<bool, Fault> {
    let Ok(signature) = signed.signature.try_into() else { return Ok(false) };
    if let Some(genuine) = host.es256(key, signed.message, signature) {
        return Ok(genuine);
    }
    let key = ES256PublicKey::from_bytes(key).map_err(|_| Fault::TableUnreadable)?;
    Ok(key.verify_token::<NoCustomClaims>(signed.token, Some(signature_only())).is_ok())
}

/// Leaves nothing to jwt-simple but the signature: what stands in the token is judged by stricter rules than it has.
/// At second 0 nothing has expired, and no sum of times can overflow.
fn signature_only() -> VerificationOptions {
    VerificationOptions {
        artificial_time: Some(UnixTimeStamp::from_secs(0)),
        time_tolerance: None,
        accept_future: true,
        ..VerificationOptions::default()
    }
}
