//! Bearer token to claims, or a denial: genuine, meant for here, and in its time.
//!
//! * [`Verifier`]: the rules, in their order
//! * `signature`: whether a token was signed with the key that it names
//! * `foreign`: Envoy's own function for that
//! * `cache`: tokens that were verified before
//! * `known`: what is the same for all tokens of a key
//!
//! How a token is written is `contract::token`'s business: what that does not take goes no further.

mod cache;
mod foreign;
mod known;
mod signature;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, rc::Rc};

use tollkeeper_contract::{
    Digest, TokenKeyRecord,
    page::NodeToken,
    token::{Claims, Header, MAX_LENGTH, Parts},
};

use crate::{
    config::Tokens,
    credential::Token,
    refusal::{Denial, Fault, Refusal},
    shared::SharedData,
    table::KeyTable,
};

pub use cache::{Cache, Mark, Verified};
pub use foreign::{Foreign, NAME as FOREIGN_FUNCTION};
pub use signature::{NoSignatures, Signatures};

use known::{KnownHeader, Secrets};
use signature::Signed;

/// Where the keys are that verify tokens.
pub trait TokenKeys {
    /// The encoded record of the key that verifies tokens with this `kid`, of which this is the digest.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such token key".
    fn find_token_key(&self, kid: &Digest) -> Result<Option<Rc<[u8]>>, Refusal>;
}

impl<Shared: SharedData> TokenKeys for KeyTable<'_, Shared> {
    fn find_token_key(&self, kid: &Digest) -> Result<Option<Rc<[u8]>>, Refusal> {
        Ok(KeyTable::find_token_key(self, kid)?.map(Rc::from))
    }
}

/// What verifies tokens.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    /// Which tokens are taken.
    pub settings: &'a Tokens,
    /// What the secrets of HS256 follow from.
    pub secret: &'a NodeToken,
    /// Who verifies signatures faster.
    pub host: &'a dyn Signatures,
    /// What was verified before.
    pub cache: &'a RefCell<Cache>,
}

impl Verifier<'_> {
    /// The token, if it is genuine, issued by the one issuer for the one audience, and in its time at `now` (Unix time,
    /// seconds). Whether its session was revoked is another question.
    ///
    /// # Errors
    /// A denial that says what is wrong with it, or a fault if the table cannot be read.
    pub fn verify(&self, token: Token<'_>, table: &impl TokenKeys, now: u64) -> Result<Rc<Verified>, Refusal> {
        if token.text.len() > MAX_LENGTH {
            return Err(Denial::MalformedToken.into());
        }
        let mark = token.fingerprint.map_or_else(|| Digest::of(token.text).into(), Mark::from);
        if let Some(verified) = self.recall(&mark, table)? {
            self.check_times(&verified.claims, now)?;
            return Ok(verified);
        }
        let verified = Rc::new(self.read(token.text, table)?);
        self.check_times(&verified.claims, now)?;
        if let Ok(mut cache) = self.cache.try_borrow_mut() {
            cache.keep(mark, Rc::clone(&verified));
        }
        Ok(verified)
    }

    /// Whether the first part of a token is known to be the header of one.
    #[must_use]
    pub fn knows_header(&self, written: &[u8]) -> bool {
        self.known_header(written).is_some()
    }

    fn known_header(&self, written: &[u8]) -> Option<Rc<KnownHeader>> {
        self.cache.try_borrow().ok()?.known.header(written)
    }

    /// A token that was verified before, by a key that is still there and still the same.
    fn recall(&self, token: &Mark, table: &impl TokenKeys) -> Result<Option<Rc<Verified>>, Refusal> {
        let found = self.cache.try_borrow_mut().ok().and_then(|mut cache| cache.find(token));
        let Some(verified) = found else { return Ok(None) };
        let key = table.find_token_key(&verified.kid)?;
        // Where it was read once for both, there is nothing to compare.
        let same = |key: Rc<[u8]>| Rc::ptr_eq(&key, &verified.key) || key == verified.key;
        Ok(key.is_some_and(same).then_some(verified))
    }

    /// Everything about a token that does not change with time.
    fn read(&self, token: &[u8], table: &impl TokenKeys) -> Result<Verified, Refusal> {
        let mut known = None;
        let header = |written: &[u8]| {
            known = self.known_header(written);
            known.as_ref().map_or_else(|| Header::read(written), |known| Ok(known.header.clone()))
        };
        let parts = Parts::split_with(token, header).map_err(|_| Denial::MalformedToken)?;
        let claims = Claims::parse(&parts.claims).map_err(|_| Denial::MalformedToken)?;
        let text = std::str::from_utf8(token).map_err(|_| Denial::MalformedToken)?;
        let kid = known.as_ref().map_or_else(|| Digest::of(parts.header.kid.as_bytes()), |known| known.kid);
        let key = table.find_token_key(&kid)?.ok_or(Denial::UnknownToken)?;
        let TokenKeyRecord { material, .. } = TokenKeyRecord::decode(&key).map_err(|_| Fault::TableUnreadable)?;
        let signed = Signed { token: text, message: parts.signed, signature: &parts.signature };
        // The signature last: it is what costs most.
        let good = parts.header.algorithm == material.algorithm()
            && claims.issuer == self.settings.issuer.as_str()
            && claims.audience == self.settings.audience.as_str()
            && signature::is_genuine(signed, material, |salt| self.secrets(salt), self.host)?;
        if !good {
            return Err(Denial::UnknownToken.into());
        }
        if known.is_none() {
            self.keep_header(parts, kid);
        }
        Ok(Verified { claims, kid, key })
    }

    fn secrets(&self, salt: &[u8; 32]) -> Result<Secrets, Fault> {
        let mut cache = self.cache.try_borrow_mut().map_err(|_| Fault::HostFailure)?;
        cache.known.secrets(salt, self.secret)
    }

    fn keep_header(&self, parts: Parts<'_>, kid: Digest) {
        let Some(written) = parts.signed.split(|byte| *byte == b'.').next() else { return };
        if let Ok(mut cache) = self.cache.try_borrow_mut() {
            cache.known.keep_header(KnownHeader { written: written.into(), header: parts.header, kid });
        }
    }

    /// RFC 7519 sections 4.1.4 to 4.1.6, with a leeway for clocks that differ.
    fn check_times(&self, claims: &Claims, now: u64) -> Result<(), Denial> {
        let leeway = self.settings.leeway;
        if now >= claims.expires.saturating_add(leeway) {
            return Err(Denial::TokenExpired);
        }
        if claims.not_before.max(claims.issued) > now.saturating_add(leeway) {
            return Err(Denial::TokenNotYetValid);
        }
        Ok(())
    }
}
