//! What tokens are made with: the signing secret, and what all tokens of a deployment say alike.

use tollkeeper_contract::{
    Algorithm, KeyId, SessionId, TokenKeyId,
    key_text::ID_ENTROPY,
    page::NodeToken,
    token::{Claims, Header, MAX_LENGTH, with_signature},
};

use super::{Fingerprint, Grant, Moment, SigningKey, SigningSecret, TokenKey};

/// What tokens are made with.
#[derive(Debug, Clone)]
pub struct Mint {
    secret: SigningSecret,
    node: NodeToken,
    rules: TokenRules,
}

/// What all tokens of a deployment have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRules {
    /// The `iss` of every token.
    pub issuer: String,
    /// The `aud` of every token.
    pub audience: String,
    /// How long a token lasts, in seconds.
    pub seconds: u64,
    /// How tokens are to be signed; `None` leaves that to whoever makes the token keys.
    pub algorithm: Option<Algorithm>,
}

impl TokenRules {
    /// How long a token lasts unless it is told otherwise, in seconds.
    pub const DEFAULT_SECONDS: u64 = 7200;

    /// The shortest and the longest time that tokens can be told to last, in seconds.
    pub const SECONDS: std::ops::RangeInclusive<u64> = 60..=86_400;

    /// Issuer and audience unless they are told otherwise.
    pub const DEFAULT_NAME: &str = "tollkeeper";

    /// The algorithm of the first token key unless it is told otherwise.
    pub const DEFAULT_ALGORITHM: Algorithm = Algorithm::Hs256;
}

impl Mint {
    /// Tokens by these rules; `node` takes part in the keys for HS256.
    #[must_use]
    pub fn new(secret: SigningSecret, node: NodeToken, rules: TokenRules) -> Self {
        Self { secret, node, rules }
    }

    /// What tells keys of this algorithm that are made here from others.
    #[must_use]
    pub fn fingerprint(&self, algorithm: Algorithm) -> Fingerprint {
        self.secret.fingerprint(algorithm, &self.node)
    }

    /// Whether the key is made from the secrets that are here, so that it can be made again.
    #[must_use]
    pub fn made(&self, key: &TokenKey) -> bool {
        key.fingerprint == self.fingerprint(key.algorithm)
    }

    /// How tokens are to be signed, if that was told.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.rules.algorithm
    }

    /// The key of that name; see [`SigningSecret::key`].
    #[must_use]
    pub fn key(&self, algorithm: Algorithm, kid: &TokenKeyId) -> Option<SigningKey> {
        self.secret.key(algorithm, kid, &self.node)
    }

    /// A new key with a random name.
    ///
    /// The few names that lead to no key are passed over, so there is always one.
    #[must_use]
    pub fn new_key(&self, algorithm: Algorithm, entropy: [u8; ID_ENTROPY]) -> Option<SigningKey> {
        (0..=u8::MAX).find_map(|step| {
            let mut entropy = entropy;
            entropy.first_mut()?.clone_from(&step);
            self.key(algorithm, &TokenKeyId::compose(entropy))
        })
    }

    /// What the token of a session says that begins now.
    #[must_use]
    pub fn claims(&self, grant: &Grant, session: &SessionId, now: Moment) -> Claims {
        let expires = now.plus(self.rules.seconds);
        let expires = grant.ends.map_or(expires, |ends| ends.min(expires));
        Claims {
            issuer: self.rules.issuer.clone(),
            audience: self.rules.audience.clone(),
            subject: grant.subject.clone(),
            team: grant.team.as_ref().map(ToString::to_string),
            enterprise: grant.enterprise.as_ref().map(ToString::to_string),
            kind: grant.kind,
            scope: grant.scopes.as_str().to_owned(),
            key_id: grant.key.as_ref().map(KeyId::to_string),
            origin: grant.origin.clone(),
            client_session: grant.client_session.as_ref().map(|session| session.as_str().to_owned()),
            session: session.to_string(),
            issued: now.unix(),
            not_before: now.unix(),
            expires: expires.unix(),
        }
    }

    /// Whether tokens made now have the same issuer and audience.
    #[must_use]
    pub fn speaks_in(&self, claims: &Claims) -> bool {
        claims.issuer == self.rules.issuer && claims.audience == self.rules.audience
    }

    /// Whether the token of these claims is one that is looked at: filters refuse longer ones.
    #[must_use]
    pub fn fits(algorithm: Algorithm, kid: &TokenKeyId, claims: &Claims) -> bool {
        let signature: &[u8] = match algorithm {
            Algorithm::Hs256 => &[0; 32],
            Algorithm::EdDsa | Algorithm::Es256 => &[0; 64],
        };
        let header = Header { algorithm, kid: kid.to_string() };
        with_signature(&header.signing_input(&claims.to_json()), signature).len() <= MAX_LENGTH
    }
}
