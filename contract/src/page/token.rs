//! The secret that a node and the key service share, as the values that it is good for.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::Digest;

const SHOWN: &[u8] = b"tollkeeper node authentication v1";
const SEAL: &[u8] = b"tollkeeper page seal v1";
const TOKENS: &[u8] = b"tollkeeper token secrets v1";

/// What follows from the secret that nodes share with the key service: what a node shows, the key of the seal, and what
/// secrets of tokens are made with.
///
/// Each is HMAC-SHA256 of a label under the secret, so none tells another, nor the secret itself. The secret is
/// not kept, and none of it can be printed.
#[derive(Clone)]
pub struct NodeToken {
    shown: String,
    seal: Hmac<Sha256>,
    tokens: Hmac<Sha256>,
}

impl NodeToken {
    /// The fewest characters in a token.
    pub const MIN_LENGTH: usize = 16;

    /// Reads a token by the rule of [`token_text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = token_text(text)?.as_bytes();
        let shown = Digest::from_bytes(derive(secret, SHOWN)?).to_hex();
        let seal = Hmac::new_from_slice(&derive(secret, SEAL)?).ok()?;
        let tokens = Hmac::new_from_slice(&derive(secret, TOKENS)?).ok()?;
        Some(Self { shown, seal, tokens })
    }

    /// What a node shows to the key service, as a bearer token: 64 lower-case hexadecimal digits.
    ///
    /// This is not the secret, because it can be seen: between Envoy and a key service without TLS, by whoever listens.
    /// They can then ask what a node asks, but cannot seal a page, and so cannot give keys to a node.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether `presented` is [`NodeToken::shown`]; takes the same time wherever the two differ.
    #[must_use]
    pub fn shows(&self, presented: &[u8]) -> bool {
        self.shown.as_bytes().ct_eq(presented).into()
    }

    /// The secret that signs and verifies HS256 tokens of the token key with this published salt.
    ///
    /// It takes both: whoever reads the wire, shared data or the database sees the salt, and whoever knows the node
    /// token alone has no salt. So the secret itself lies and travels nowhere.
    #[must_use]
    pub fn token_secret(&self, salt: &[u8; 32]) -> [u8; 32] {
        self.tokens.clone().chain_update(salt).finalize().into_bytes().into()
    }

    /// The seal over `content`, yet to be written or compared.
    pub(crate) fn seal(&self, content: &[u8]) -> Hmac<Sha256> {
        self.seal.clone().chain_update(content)
    }
}

impl fmt::Debug for NodeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeToken(…)")
    }
}

/// The text of a token: at least [`NodeToken::MIN_LENGTH`] visible ASCII characters; surrounding white space, such as a
/// file's last line end, does not count. `None` for anything else.
#[must_use]
pub fn token_text(text: &str) -> Option<&str> {
    let text = text.trim();
    let good = text.len() >= NodeToken::MIN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
    good.then_some(text)
}

fn derive(secret: &[u8], label: &[u8]) -> Option<[u8; 32]> {
    // HMAC takes keys of any length, so this is always there.
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(label).finalize().into_bytes().into())
}
