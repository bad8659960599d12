//! A key that signs tokens as the database has it, and which of several signs.

use tollkeeper_contract::{Algorithm, TokenKeyId};

use super::{Fingerprint, Moment};

/// How long a new key leaves signing to the one before, in seconds: until then every node has got it.
pub const SETTLING_SECONDS: u64 = 10;

/// A key that signs tokens, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its name.
    pub kid: TokenKeyId,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Which secrets it is made from.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created_at: Moment,
    /// From when on it signs no new tokens, because there is a newer key.
    pub retired_at: Option<Moment>,
    /// When the last token that it signed ends.
    pub ends_at: Option<Moment>,
}

impl TokenKey {
    /// Whether tokens that it signed may still be taken.
    #[must_use]
    pub fn is_published(&self, now: Moment) -> bool {
        self.ends_at.is_none_or(|ends| now < ends)
    }

    /// Whether nodes have had the time to get it.
    #[must_use]
    pub fn has_settled(&self, now: Moment) -> bool {
        self.created_at.plus(SETTLING_SECONDS) <= now
    }

    /// The key that signs new tokens, of those that a service can sign with: the newest that has settled. If none has,
    /// the oldest, which has had the most time.
    ///
    /// It need not be the newest of all: another service, with another secret, may have made that, and this one goes
    /// on with its own.
    #[must_use]
    pub fn that_signs(mut keys: Vec<Self>, now: Moment) -> Option<Self> {
        keys.retain(|key| key.is_published(now));
        // Of two from the same second, the one that was replaced is the older.
        keys.sort_by_key(|key| (key.created_at, key.retired_at.map_or(Moment::MAX, Moment::unix)));
        let place = keys.iter().rposition(|key| key.has_settled(now)).unwrap_or(0);
        keys.into_iter().nth(place)
    }
}

/// What becomes of the other keys when a new one is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherKeys {
    /// They sign no new tokens, and end with their last one.
    Retire,
    /// They end at once, and all tokens that they signed: somebody else may have what they were made from.
    End,
}

#[cfg(test)]
mod tests {
    use tollkeeper_contract::{Algorithm, TokenKeyId};

    use super::TokenKey;
    use crate::domain::{Fingerprint, Moment};

    fn at(second: u64) -> Moment {
        Moment::from_unix(second).unwrap()
    }

    fn key(name: &str, made: u64, retired: Option<u64>, ends: Option<u64>) -> TokenKey {
        TokenKey {
            kid: TokenKeyId::parse(name).unwrap(),
            algorithm: Algorithm::Hs256,
            fingerprint: Fingerprint([0; 16]),
            created_at: at(made),
            retired_at: retired.map(at),
            ends_at: ends.map(at),
        }
    }

    #[track_caller]
    fn signs(keys: &[TokenKey], now: u64, expected: Option<&str>) {
        let signs = TokenKey::that_signs(keys.to_vec(), at(now)).map(|key| key.kid.to_string());
        assert_eq!(signs.as_deref(), expected, "at {now}");
        let signs = TokenKey::that_signs(keys.iter().rev().cloned().collect(), at(now)).map(|key| key.kid.to_string());
        assert_eq!(signs.as_deref(), expected, "at {now}, in the other order");
    }

    #[test]
    fn the_first_key_signs_at_once() {
        signs(&[], 100, None);
        signs(&[key("one", 100, None, None)], 100, Some("one"));
    }

    #[test]
    fn a_new_key_leaves_signing_to_the_one_before_until_nodes_have_it() {
        let keys = [key("old", 100, Some(1010), Some(8000)), key("new", 1000, None, None)];
        signs(&keys, 1000, Some("old"));
        signs(&keys, 1009, Some("old"));
        signs(&keys, 1010, Some("new"));
    }

    #[test]
    fn keys_that_follow_upon_each_other_all_settle() {
        let keys = [
            key("one", 100, Some(1010), Some(8000)),
            key("two", 1000, Some(1014), Some(1014)),
            key("three", 1004, None, None),
        ];
        signs(&keys, 1009, Some("one"));
        signs(&keys, 1010, Some("two"));
        signs(&keys, 1014, Some("three"));
    }

    #[test]
    fn of_keys_that_are_all_new_the_first_signs() {
        let keys = [key("one", 1000, Some(1010), Some(8000)), key("two", 1000, None, None)];
        signs(&keys, 1001, Some("one"));
        signs(&keys, 1010, Some("two"));
    }

    #[test]
    fn a_key_that_another_service_replaced_signs_until_it_ends() {
        let keys = [key("one", 100, Some(1010), Some(8000))];
        signs(&keys, 5000, Some("one"));
        signs(&keys, 8000, None);
    }
}
