//! Whether a team has a token left: (bucket, quota, now, cost) to (taken | refused, bucket), and nothing else.
//!
//! All arithmetic is exact. The level counts tokens times the window in milliseconds, so that what refills in one
//! millisecond is a whole number: the limit. A level never passes 2^32 tokens times 31 days in milliseconds, which is
//! below 2^64.

use tollkeeper_contract::Quota;

use crate::{limiter::Outcome, time::Monotonic};

/// A team's tokens at a moment, under the quota that held then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens times the window of `quota` in milliseconds.
    level: u64,
    refilled: Monotonic,
    quota: Quota,
}

impl Bucket {
    /// Bytes of an encoded bucket.
    pub const LENGTH: usize = 24;

    /// A bucket that has all the tokens of its quota.
    #[must_use]
    pub fn full(quota: Quota, now: Monotonic) -> Self {
        Self { level: capacity(quota), refilled: now, quota }
    }

    /// A bucket that has so many tokens, or all that its quota gives.
    #[must_use]
    pub fn holding(tokens: u32, quota: Quota, now: Monotonic) -> Self {
        let level = u64::from(tokens).saturating_mul(window_ms(quota)).min(capacity(quota));
        Self { level, refilled: now, quota }
    }

    /// Takes `cost` tokens under `quota`, which need not be the one that held before.
    ///
    /// A refusal changes nothing, so there is nothing to write back.
    #[must_use]
    pub fn take(self, quota: Quota, now: Monotonic, cost: u32) -> Outcome<Self> {
        let refilled = self.at(quota, now);
        let needed = u64::from(cost).saturating_mul(window_ms(quota));
        match refilled.level.checked_sub(needed) {
            Some(level) => Outcome::Taken(Self { level, ..refilled }),
            None if needed > capacity(quota) => Outcome::Refused { wait: u64::MAX },
            // A clock that went back has to come so far again first.
            None => {
                let behind = refilled.refilled.since(now);
                Outcome::Refused { wait: refilled.wait_for(needed).saturating_add(behind) }
            }
        }
    }

    /// The bucket at `now` under `quota`: first refilled under the old one, then carried over.
    ///
    /// A changed quota gives nobody a fresh bucket: the tokens stay what they are, up to the new limit.
    #[must_use]
    pub fn at(self, quota: Quota, now: Monotonic) -> Self {
        let refilled = self.refill(now);
        if quota == self.quota {
            return refilled;
        }
        let level = u128::from(refilled.level).saturating_mul(window_ms(quota).into());
        let level = level.checked_div(window_ms(self.quota).into()).unwrap_or(0);
        let level = u64::try_from(level).unwrap_or(u64::MAX).min(capacity(quota));
        Self { level, quota, ..refilled }
    }

    /// The quota that held when tokens were last taken or carried over.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Whole tokens left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.level.checked_div(window_ms(self.quota)).unwrap_or(0)
    }

    /// Milliseconds until there is one whole token more; 0 when the bucket is full.
    #[must_use]
    pub fn until_next(&self) -> u64 {
        let next = self.remaining().saturating_add(1).saturating_mul(window_ms(self.quota));
        if next > capacity(self.quota) { 0 } else { self.wait_for(next) }
    }

    /// The bucket as bytes, little endian: level `u64`, refilled `u64`, limit `u32`, window `u32`.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let quota = u64::from(self.quota.window().get()) << 32 | u64::from(self.quota.limit().get());
        let mut out = [0; Self::LENGTH];
        let (numbers, _) = out.as_chunks_mut::<8>();
        for (place, number) in numbers.iter_mut().zip([self.level, self.refilled.0, quota]) {
            *place = number.to_le_bytes();
        }
        out
    }

    /// Reads what [`Bucket::encode`] writes; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        let (numbers, _) = bytes.as_chunks::<8>();
        let [level, refilled, quota] = numbers else { return None };
        let (limit, window) = quota.split_first_chunk::<4>()?;
        let window = window.first_chunk::<4>()?;
        let quota = Quota::new(u32::from_le_bytes(*limit), u32::from_le_bytes(*window)).ok()?;
        let level = u64::from_le_bytes(*level);
        let refilled = Monotonic(u64::from_le_bytes(*refilled));
        (level <= capacity(quota)).then_some(Self { level, refilled, quota })
    }

    fn refill(self, now: Monotonic) -> Self {
        // After a whole window the bucket is full, so a longer time counts as a window: that bounds the product.
        let elapsed = now.since(self.refilled).min(window_ms(self.quota));
        let gained = elapsed.saturating_mul(self.quota.limit().get().into());
        let level = self.level.saturating_add(gained).min(capacity(self.quota));
        Self { level, refilled: self.refilled.max(now), quota: self.quota }
    }

    fn wait_for(&self, needed: u64) -> u64 {
        needed.saturating_sub(self.level).div_ceil(self.quota.limit().get().into())
    }
}

fn window_ms(quota: Quota) -> u64 {
    u64::from(quota.window().get()).saturating_mul(1000)
}

fn capacity(quota: Quota) -> u64 {
    u64::from(quota.limit().get()).saturating_mul(window_ms(quota))
}

#[cfg(test)]
mod tests {
    use super::Bucket;
    use crate::{limiter::Outcome, time::Monotonic};
    use proptest::prelude::*;
    use tollkeeper_contract::Quota;

    fn quota(limit: u32, window: u32) -> Quota {
        Quota::new(limit, window).unwrap()
    }

    fn take(bucket: &mut Bucket, quota: Quota, now: u64) -> bool {
        match bucket.take(quota, Monotonic(now), 1) {
            Outcome::Taken(next) => {
                *bucket = next;
                true
            }
            Outcome::Refused { .. } => false,
        }
    }

    #[test]
    fn a_full_bucket_gives_its_limit_and_no_more() {
        let quota = quota(300, 300);
        let mut bucket = Bucket::full(quota, Monotonic(5));
        assert_eq!((0..1000).filter(|_| take(&mut bucket, quota, 5)).count(), 300);
    }

    #[test]
    fn whoever_waits_as_told_is_admitted_and_not_a_millisecond_earlier() {
        let quota = quota(7, 10);
        let mut bucket = Bucket::full(quota, Monotonic(0));
        while take(&mut bucket, quota, 3) {}
        let Outcome::Refused { wait } = bucket.take(quota, Monotonic(3), 1) else { panic!() };
        assert!(matches!(bucket.take(quota, Monotonic(3 + wait - 1), 1), Outcome::Refused { wait: 1 }));
        assert!(matches!(bucket.take(quota, Monotonic(3 + wait), 1), Outcome::Taken(_)));
    }

    #[test]
    fn a_client_is_told_to_the_millisecond_when_there_is_one_more_and_of_a_full_bucket_nothing() {
        let quota = quota(7, 10);
        let mut bucket = Bucket::full(quota, Monotonic(0));
        assert_eq!(bucket.until_next(), 0);
        for left in (0..7).rev() {
            assert!(take(&mut bucket, quota, 3));
            assert_eq!((bucket.remaining(), bucket.until_next()), (left, 1429), "10 s / 7");
        }
        let later = bucket.at(quota, Monotonic(3 + 1428));
        assert_eq!((later.remaining(), later.until_next()), (0, 1));
    }

    #[test]
    fn a_cost_above_the_limit_is_never_admitted() {
        let bucket = Bucket::full(quota(2, 1), Monotonic(0));
        assert_eq!(bucket.take(quota(2, 1), Monotonic(0), 3), Outcome::Refused { wait: u64::MAX });
    }

    #[test]
    fn a_raised_limit_does_not_fill_the_bucket() {
        let mut bucket = Bucket::full(quota(3, 300), Monotonic(0));
        while take(&mut bucket, quota(3, 300), 0) {}
        assert_eq!(bucket.at(quota(1000, 300), Monotonic(0)).remaining(), 0);
        assert_eq!(bucket.at(quota(1000, 300), Monotonic(0)).at(quota(1000, 300), Monotonic(600)).remaining(), 2);
    }

    #[test]
    fn a_lowered_limit_holds_at_once() {
        let bucket = Bucket::full(quota(300, 300), Monotonic(0));
        assert_eq!(bucket.at(quota(2, 1), Monotonic(0)).remaining(), 2);
    }

    #[test]
    fn a_clock_that_goes_back_mints_nothing() {
        let quota = quota(1, 1);
        let mut bucket = Bucket::full(quota, Monotonic(10_000));
        assert!(take(&mut bucket, quota, 10_000));
        assert_eq!(bucket.take(quota, Monotonic(0), 1), Outcome::Refused { wait: 11_000 });
        assert!(!take(&mut bucket, quota, 10_999));
        assert!(take(&mut bucket, quota, 11_000));
    }

    /// The same bucket in exact rationals: the level is a fraction of tokens over a common denominator.
    struct Model {
        tokens: (u128, u128),
        at: u64,
    }

    impl Model {
        fn take(&mut self, quota: Quota, now: u64) -> bool {
            let (limit, window) = (u128::from(quota.limit().get()), u128::from(quota.window().get()) * 1000);
            let (mut numerator, denominator) = (self.tokens.0 * window, self.tokens.1 * window);
            numerator += u128::from(now.saturating_sub(self.at)) * limit * self.tokens.1;
            numerator = numerator.min(limit * denominator);
            self.at = self.at.max(now);
            let taken = numerator >= denominator;
            if taken {
                numerator -= denominator;
            }
            let divisor = gcd(numerator, denominator);
            self.tokens = (numerator / divisor, denominator / divisor);
            taken
        }
    }

    fn gcd(left: u128, right: u128) -> u128 {
        if right == 0 { left } else { gcd(right, left % right) }
    }

    proptest! {
        #[test]
        fn never_over_and_never_under(
            limit in 1..2000_u32, window in 1..5000_u32, start in 0..u64::from(u32::MAX),
            steps in proptest::collection::vec(-3000..20_000_i64, 1..200),
        ) {
            let quota = quota(limit, window);
            let mut bucket = Bucket::full(quota, Monotonic(start));
            let mut model = Model { tokens: (limit.into(), 1), at: start };
            let mut now = start;
            for step in steps {
                now = now.saturating_add_signed(step);
                prop_assert_eq!(take(&mut bucket, quota, now), model.take(quota, now));
            }
        }

        #[test]
        fn the_edges_hold_without_an_overflow(
            limit in prop_oneof![Just(1), Just(u32::MAX), 1..=u32::MAX],
            window in prop_oneof![Just(1), Just(Quota::MAX_WINDOW), 1..=Quota::MAX_WINDOW],
            other in 1..=u32::MAX, start: u64, now: u64, cost: u32,
        ) {
            let bucket = Bucket::full(quota(limit, window), Monotonic(start));
            let changed = bucket.at(quota(other, 1), Monotonic(now));
            prop_assert!(changed.remaining() <= u64::from(other.min(limit)));
            match bucket.take(quota(limit, window), Monotonic(now), cost) {
                Outcome::Taken(next) => prop_assert_eq!(next.remaining(), u64::from(limit - cost)),
                Outcome::Refused { .. } => prop_assert!(cost > limit),
            }
        }

        #[test]
        fn a_bucket_comes_back_as_it_went(limit in 1..=u32::MAX, window in 1..=Quota::MAX_WINDOW, at: u64) {
            let bucket = Bucket::full(quota(limit, window), Monotonic(at));
            prop_assert_eq!(Bucket::decode(&bucket.encode()), Some(bucket));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: [u8; Bucket::LENGTH]) {
            let _ = Bucket::decode(&bytes);
        }
    }
}
