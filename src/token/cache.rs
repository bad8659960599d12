//! Tokens that were verified before, so that the next request with one costs no signature.

use std::{collections::BTreeMap, mem, rc::Rc};

use tollkeeper_contract::{Digest, token::Claims};

use crate::familiar::Fingerprint;

use super::known::Known;

/// How many tokens each of the two generations holds.
const GENERATION: usize = 2048;

/// A token that was genuine when it was looked at, and what that rests on.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// Where the key that verified it lies in the table.
    pub(super) kid: Digest,
    /// That key's record as it was: with another one, or none, this says nothing.
    pub(super) key: Rc<[u8]>,
}

/// By what a token is known again: the keyed fingerprint of how it was presented, which takes a small part of what a SHA-256
/// takes; or that, of the whole token, where there is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark([u8; 32]);

impl From<Fingerprint> for Mark {
    fn from(fingerprint: Fingerprint) -> Self {
        let mut mark = [0; 32];
        // The rest stays 0: no SHA-256 that anybody will see ends so.
        let (first, _) = mark.split_at_mut(16);
        first.copy_from_slice(&fingerprint.to_bytes());
        Self(mark)
    }
}

impl From<Digest> for Mark {
    fn from(digest: Digest) -> Self {
        Self(*digest.as_bytes())
    }
}

/// Verified tokens by their marks; at most 4096, about 1 KiB each and never more than 5.
///
/// Only verified tokens enter, so strangers cannot fill it. There are two generations: what is used moves into the
/// recent one, and when that is full, the earlier one is dropped whole.
#[derive(Debug, Default)]
pub struct Cache {
    recent: BTreeMap<Mark, Rc<Verified>>,
    earlier: BTreeMap<Mark, Rc<Verified>>,
    /// What the next token may have in common with those before.
    pub(super) known: Known,
}

impl Cache {
    /// The token of this mark, if it is still there.
    pub(super) fn find(&mut self, token: &Mark) -> Option<Rc<Verified>> {
        if let Some(verified) = self.recent.get(token) {
            return Some(Rc::clone(verified));
        }
        let verified = self.earlier.remove(token)?;
        self.keep(*token, Rc::clone(&verified));
        Some(verified)
    }

    /// Keeps a token that was verified just now.
    pub(super) fn keep(&mut self, token: Mark, verified: Rc<Verified>) {
        if self.recent.len() >= GENERATION {
            self.earlier = mem::take(&mut self.recent);
        }
        self.recent.insert(token, verified);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.earlier.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, GENERATION, Mark, Verified};
    use crate::token::tests::claims;
    use std::rc::Rc;
    use tollkeeper_contract::Digest;

    fn token(number: usize) -> Mark {
        Digest::of(&number.to_le_bytes()).into()
    }

    fn verified() -> Rc<Verified> {
        Rc::new(Verified { claims: claims(), kid: Digest::of(b"kid"), key: Rc::default() })
    }

    #[test]
    fn it_never_holds_more_than_two_generations() {
        let mut cache = Cache::default();
        for number in 0..5 * GENERATION {
            cache.keep(token(number), verified());
            assert!(cache.len() <= 2 * GENERATION);
        }
        assert_eq!(cache.len(), 2 * GENERATION);
    }

    #[test]
    fn a_token_in_use_stays_and_one_that_is_not_goes() {
        let mut cache = Cache::default();
        cache.keep(token(0), verified());
        cache.keep(token(1), verified());
        for number in 2..5 * GENERATION {
            cache.keep(token(number), verified());
            assert!(cache.find(&token(0)).is_some(), "after {number}");
        }
        assert_eq!(cache.find(&token(1)), None);
    }
}
