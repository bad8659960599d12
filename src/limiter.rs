//! A team's limit, as it was promised: a bucket that refills, or a window that never holds more.

use tollkeeper_contract::Quota;

use crate::{bucket::Bucket, config::Promise, time::Monotonic, window::Window};

/// A quota, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How much in how much time.
    pub quota: Quota,
    /// What that means.
    pub promise: Promise,
}

#[cfg(test)]
impl Limit {
    /// `limit` tokens per `window` seconds, in a bucket.
    pub(crate) fn bucket(limit: u32, window: u32) -> Self {
        Self { quota: Quota::new(limit, window).unwrap(), promise: Promise::Bucket }
    }
}

/// What a team has spent, or has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limiter {
    /// For [`Promise::Bucket`].
    Bucket(Bucket),
    /// For [`Promise::Strict`].
    Window(Window),
}

/// What became of a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<Limiter> {
    /// The tokens were there, and are gone now.
    Taken(Limiter),
    /// They were not; nothing was taken.
    Refused {
        /// Milliseconds after which a lone client will get them, at least 1; [`u64::MAX`] if never.
        wait: u64,
    },
}

impl<From> Outcome<From> {
    fn map<To>(self, to: impl FnOnce(From) -> To) -> Outcome<To> {
        match self {
            Self::Taken(limiter) => Outcome::Taken(to(limiter)),
            Self::Refused { wait } => Outcome::Refused { wait },
        }
    }
}

const BUCKET: u8 = 1;
const WINDOW: u8 = 2;

/// What is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Whole tokens.
    pub tokens: u64,
    /// Milliseconds until there is one more; 0 when there are as many as can be.
    pub until_next: u64,
}

impl Limiter {
    /// Of a team that has spent nothing.
    #[must_use]
    pub fn fresh(limit: Limit, now: Monotonic) -> Self {
        match limit.promise {
            Promise::Bucket => Self::Bucket(Bucket::full(limit.quota, now)),
            Promise::Strict => Self::Window(Window::having_spent(0, limit.quota, now)),
        }
    }

    /// Of a team that has `tokens` left, or all that the limit gives.
    #[must_use]
    pub fn holding(tokens: u32, limit: Limit, now: Monotonic) -> Self {
        let Limit { quota, promise } = limit;
        match promise {
            Promise::Bucket => Self::Bucket(Bucket::holding(tokens, quota, now)),
            Promise::Strict => {
                Self::Window(Window::having_spent(quota.limit().get().saturating_sub(tokens), quota, now))
            }
        }
    }

    /// Takes `cost` tokens under `limit`, which need not be the one that held before.
    ///
    /// A refusal changes nothing, so there is nothing to write back.
    #[must_use]
    pub fn take(self, limit: Limit, now: Monotonic, cost: u32) -> Outcome<Self> {
        match self.under(limit.promise, now) {
            Self::Bucket(bucket) => bucket.take(limit.quota, now, cost).map(Self::Bucket),
            Self::Window(window) => window.take(limit.quota, now, cost).map(Self::Window),
        }
    }

    /// As it is at `now` under `limit`: a changed limit gives nobody fresh tokens.
    #[must_use]
    pub fn at(self, limit: Limit, now: Monotonic) -> Self {
        match self.under(limit.promise, now) {
            Self::Bucket(bucket) => Self::Bucket(bucket.at(limit.quota, now)),
            Self::Window(window) => Self::Window(window.at(limit.quota, now)),
        }
    }

    /// The limit that held when tokens were last taken or carried over.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Bucket(bucket) => Limit { quota: bucket.quota(), promise: Promise::Bucket },
            Self::Window(window) => Limit { quota: window.quota(), promise: Promise::Strict },
        }
    }

    /// What is left, as of when tokens were last taken or carried over.
    #[must_use]
    pub fn left(&self) -> Left {
        match self {
            Self::Bucket(bucket) => Left { tokens: bucket.remaining(), until_next: bucket.until_next() },
            Self::Window(window) => Left { tokens: window.remaining(), until_next: window.until_next() },
        }
    }

    /// The limiter as bytes, with a length of its own: one byte says which, then comes the bucket, or how long the
    /// window is (`u16`, little endian) and the window.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bucket(bucket) => {
                out.push(BUCKET);
                out.extend(bucket.encode());
            }
            Self::Window(window) => {
                let bytes = window.encode();
                out.push(WINDOW);
                out.extend((bytes.len() as u16).to_le_bytes());
                out.extend(bytes);
            }
        }
    }

    /// Reads what [`Limiter::encode`] writes, and gives what follows; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, bytes) = bytes.split_first()?;
        match *kind {
            BUCKET => {
                let (bucket, rest) = bytes.split_first_chunk()?;
                Some((Self::Bucket(Bucket::decode(bucket)?), rest))
            }
            WINDOW => {
                let (length, bytes) = bytes.split_first_chunk()?;
                let (window, rest) = bytes.split_at_checked(u16::from_le_bytes(*length).into())?;
                Some((Self::Window(Window::decode(window)?), rest))
            }
            _ => None,
        }
    }

    /// The same tokens under another promise: what is missing counts as spent just now.
    fn under(self, promise: Promise, now: Monotonic) -> Self {
        match (self, promise) {
            (Self::Bucket(bucket), Promise::Strict) => {
                let quota = bucket.quota();
                let missing = u64::from(quota.limit().get()).saturating_sub(bucket.at(quota, now).remaining());
                let spent = u32::try_from(missing).unwrap_or(u32::MAX);
                Self::Window(Window::having_spent(spent, quota, now))
            }
            (Self::Window(window), Promise::Bucket) => {
                let quota = window.quota();
                let left = window.at(quota, now).remaining();
                Self::Bucket(Bucket::holding(u32::try_from(left).unwrap_or(u32::MAX), quota, now))
            }
            (same, _) => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, Limiter, Outcome};
    use crate::{config::Promise, time::Monotonic};
    use tollkeeper_contract::Quota;

    const NOW: Monotonic = Monotonic(7);

    fn limit(promise: Promise) -> Limit {
        Limit { quota: Quota::new(10, 60).unwrap(), promise }
    }

    #[test]
    fn another_promise_gives_nobody_fresh_tokens() {
        for (from, to) in [(Promise::Bucket, Promise::Strict), (Promise::Strict, Promise::Bucket)] {
            let fresh = Limiter::fresh(limit(from), NOW);
            let Outcome::Taken(spent) = fresh.take(limit(from), NOW, 7) else { panic!() };
            let changed = spent.at(limit(to), NOW);
            assert_eq!((changed.left().tokens, changed.limit()), (3, limit(to)));
            let back = changed.at(limit(from), NOW);
            assert_eq!(back.left().tokens, 3);
        }
    }

    #[test]
    fn each_comes_back_as_it_went_with_what_follows_it() {
        for promise in [Promise::Bucket, Promise::Strict] {
            let Outcome::Taken(limiter) = Limiter::fresh(limit(promise), NOW).take(limit(promise), NOW, 7) else {
                panic!()
            };
            let mut bytes = Vec::new();
            limiter.encode(&mut bytes);
            for cut in 0..bytes.len() {
                assert_eq!(Limiter::decode(&bytes[..cut]), None, "{cut} bytes of {promise:?}");
            }
            bytes.extend(b"rest");
            assert_eq!(Limiter::decode(&bytes), Some((limiter, &b"rest"[..])));
        }
    }
}
