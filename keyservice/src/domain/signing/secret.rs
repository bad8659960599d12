//! The signing secret: what all keys that sign tokens are made from.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollkeeper_contract::{Algorithm, TokenKeyId, page::NodeToken};

use super::key::{Signer, SigningKey};

const FINGERPRINT: &[u8] = b"tollkeeper signing secret fingerprint v1";

/// The secret of a deployment that signs its tokens. It cannot be printed, and its text is not kept.
#[derive(Clone)]
pub struct SigningSecret(Hmac<Sha256>);

/// Tells whether a key was made from the same secrets; says nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

impl SigningSecret {
    /// The fewest characters: those that 256 random bits take in base64.
    pub const MIN_LENGTH: usize = 43;

    /// Reads a secret of at least [`SigningSecret::MIN_LENGTH`] visible ASCII characters; white space around it, such
    /// as a file's last line end, does not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() < Self::MIN_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        // HMAC takes keys of any length, so this is always there.
        Hmac::new_from_slice(text.as_bytes()).ok().map(Self)
    }

    /// What the database keeps beside each key of this algorithm, to know it again: what takes part in the keys takes
    /// part in it.
    #[must_use]
    pub fn fingerprint(&self, algorithm: Algorithm, node: &NodeToken) -> Fingerprint {
        let derived = self.derive(FINGERPRINT);
        let whole = match algorithm {
            Algorithm::Hs256 => node.token_secret(&derived),
            Algorithm::EdDsa | Algorithm::Es256 => derived,
        };
        let mut half = [0; 16];
        half.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        Fingerprint(half)
    }

    /// The key of that name, always the same. `node` takes part in HS256 keys, because nodes have to make them too.
    ///
    /// `None` when the name leads to no key: for ES256 one of four thousand million does not. Another name will do.
    #[must_use]
    pub fn key(&self, algorithm: Algorithm, kid: &TokenKeyId, node: &NodeToken) -> Option<SigningKey> {
        let private = self.derive(format!("tollkeeper {} {kid}", algorithm.as_str()).as_bytes());
        let signer = match algorithm {
            Algorithm::Hs256 => {
                let mac = Hmac::new_from_slice(&node.token_secret(&private)).ok()?;
                Signer::Hs256 { mac: Box::new(mac), salt: private }
            }
            Algorithm::EdDsa => Signer::EdDsa(Box::new(ed25519_dalek::SigningKey::from_bytes(&private))),
            Algorithm::Es256 => Signer::Es256(Box::new(p256::ecdsa::SigningKey::from_slice(&private).ok()?)),
        };
        Some(SigningKey::new(kid.clone(), signer))
    }

    fn derive(&self, label: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(label).finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}
