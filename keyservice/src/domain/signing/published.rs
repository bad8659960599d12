//! What everybody may know of a key that signs tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use p256::ecdsa::signature::Verifier as _;
use serde_json::{Value, json};
use sha2::Sha256;
use tollkeeper_contract::{Algorithm, TokenKeyId, page::NodeToken, token::Parts};

/// The public side of a key that signs tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedKey {
    /// Its name.
    pub kid: TokenKeyId,
    /// How it signs.
    pub algorithm: Algorithm,
    /// What verifies, as in [`TokenMaterial`](tollkeeper_contract::TokenMaterial).
    pub material: Vec<u8>,
}

impl PublishedKey {
    /// Whether the token is signed with this key; `node` takes part in HS256.
    #[must_use]
    pub fn signed(&self, token: &Parts<'_>, node: &NodeToken) -> bool {
        token.header.kid == self.kid.as_str()
            && token.header.algorithm == self.algorithm
            && self.verifies(token.signed, &token.signature, node).is_some()
    }

    fn verifies(&self, message: &[u8], signature: &[u8], node: &NodeToken) -> Option<()> {
        let key = self.material.as_slice();
        match self.algorithm {
            Algorithm::Hs256 => {
                let mac = Hmac::<Sha256>::new_from_slice(&node.token_secret(key.try_into().ok()?)).ok()?;
                mac.chain_update(message).verify_slice(signature).ok()
            }
            Algorithm::EdDsa => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
                key.verify_strict(message, &ed25519_dalek::Signature::from_slice(signature).ok()?).ok()
            }
            Algorithm::Es256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
                key.verify(message, &p256::ecdsa::Signature::from_slice(signature).ok()?).ok()
            }
        }
    }

    /// The key as a JSON Web Key (RFC 7517, RFC 7518 section 6.2, RFC 8037 section 2); `None` for HS256, where whoever
    /// can verify could also sign.
    #[must_use]
    pub fn jwk(&self) -> Option<Value> {
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match self.algorithm {
            Algorithm::Hs256 => return None,
            Algorithm::EdDsa => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(&self.material) }),
            Algorithm::Es256 => {
                // SEC 1 section 2.3.3: 4, and the two coordinates in 32 bytes each.
                let (x, y) = self.material.get(1..)?.split_at_checked(32)?;
                json!({ "kty": "EC", "crv": "P-256", "x": base64(x), "y": base64(y) })
            }
        };
        let members = key.as_object_mut()?;
        for (name, value) in [("kid", self.kid.as_str()), ("alg", self.algorithm.as_str()), ("use", "sig")] {
            members.insert(name.to_owned(), value.into());
        }
        Some(key)
    }
}
