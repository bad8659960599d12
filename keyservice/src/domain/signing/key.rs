//! One key that signs tokens.

use std::fmt;

use ed25519_dalek::Signer as _;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tollkeeper_contract::{
    Algorithm, TokenKeyId,
    token::{Header, with_signature},
};

/// A key that signs tokens. None of it can be printed.
///
/// Every algorithm signs the same text in the same way again (ECDSA as in RFC 6979), so a token need not be kept to be
/// given out again.
pub struct SigningKey {
    kid: TokenKeyId,
    signer: Signer,
}

pub(super) enum Signer {
    Hs256 { mac: Box<Hmac<Sha256>>, salt: [u8; 32] },
    EdDsa(Box<ed25519_dalek::SigningKey>),
    Es256(Box<p256::ecdsa::SigningKey>),
}

impl SigningKey {
    pub(super) fn new(kid: TokenKeyId, signer: Signer) -> Self {
        Self { kid, signer }
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &TokenKeyId {
        &self.kid
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.signer {
            Signer::Hs256 { .. } => Algorithm::Hs256,
            Signer::EdDsa(_) => Algorithm::EdDsa,
            Signer::Es256(_) => Algorithm::Es256,
        }
    }

    /// What nodes are told, to verify tokens: for HS256 a salt that is good for nothing without the node token, for the
    /// others the public key, as in [`TokenMaterial`](tollkeeper_contract::TokenMaterial).
    #[must_use]
    pub fn material(&self) -> Vec<u8> {
        match &self.signer {
            Signer::Hs256 { salt, .. } => salt.to_vec(),
            Signer::EdDsa(key) => key.verifying_key().as_bytes().to_vec(),
            Signer::Es256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }

    /// The token that says `claims`, the text of a JSON object (RFC 7515 section 7.1).
    #[must_use]
    pub fn sign(&self, claims: &str) -> TokenText {
        let header = Header { algorithm: self.algorithm(), kid: self.kid.to_string() };
        let signed = header.signing_input(claims);
        TokenText(with_signature(&signed, &self.signature(signed.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Hs256 { mac, .. } => mac.as_ref().clone().chain_update(message).finalize().into_bytes().to_vec(),
            Signer::EdDsa(key) => key.sign(message).to_bytes().to_vec(),
            Signer::Es256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                // The other spelling of the same signature is no token, see `Parts::split`.
                signature.normalize_s().to_bytes().to_vec()
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, …)", self.kid)
    }
}

/// A signed token; it cannot be printed.
pub struct TokenText(String);

impl TokenText {
    /// The token, for the one answer that carries it, or to be compared.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}
