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
    /// Those of other node tokens that still, or already, hold.
    other_tokens: Vec<Hmac<Sha256>>,
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
        Some(Self { shown, seal, tokens, other_tokens: Vec::new() })
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
        secret_of(&self.tokens, salt)
    }

    /// The same, and what follows in the same way from the other tokens of [`NodeTokens::of_node`]: what verifies.
    pub fn token_secrets<'a>(&'a self, salt: &'a [u8; 32]) -> impl Iterator<Item = [u8; 32]> + 'a {
        std::iter::once(&self.tokens).chain(&self.other_tokens).map(|tokens| secret_of(tokens, salt))
    }

    /// The seal over `content`, yet to be written or compared.
    pub(crate) fn seal(&self, content: &[u8]) -> Hmac<Sha256> {
        self.seal.clone().chain_update(content)
    }
}

/// The node tokens that hold at the same time: one, and while it is replaced by another, both.
///
/// With the first one a node shows itself and asks, and the key service makes secrets of tokens. The others are still, or
/// already, taken as well.
#[derive(Clone, Debug)]
pub struct NodeTokens {
    first: NodeToken,
    others: Vec<NodeToken>,
}

impl NodeTokens {
    /// Reads tokens by the rule of [`token_text`], parted by white space; `None` where one breaks it, or there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let first = NodeToken::parse(words.next()?)?;
        Some(Self { first, others: words.map(NodeToken::parse).collect::<Option<_>>()? })
    }

    /// The one to ask and to make secrets with.
    #[must_use]
    pub fn first(&self) -> &NodeToken {
        &self.first
    }

    /// All of them, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &NodeToken> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// What a node makes of them: it shows and asks with the first one, and verifies tokens of sessions with any.
    #[must_use]
    pub fn of_node(&self) -> NodeToken {
        let other_tokens = self.others.iter().map(|other| other.tokens.clone()).collect();
        NodeToken { other_tokens, ..self.first.clone() }
    }

    /// The token that a node has that shows this; all are compared, so the time does not tell which it was.
    #[must_use]
    pub fn shown(&self, presented: &[u8]) -> Option<&NodeToken> {
        self.iter().fold(None, |found, token| if token.shows(presented) { Some(token) } else { found })
    }
}

impl From<NodeToken> for NodeTokens {
    fn from(first: NodeToken) -> Self {
        Self { first, others: Vec::new() }
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

fn secret_of(tokens: &Hmac<Sha256>, salt: &[u8; 32]) -> [u8; 32] {
    tokens.clone().chain_update(salt).finalize().into_bytes().into()
}

fn derive(secret: &[u8], label: &[u8]) -> Option<[u8; 32]> {
    // HMAC takes keys of any length, so this is always there.
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(label).finalize().into_bytes().into())
}
