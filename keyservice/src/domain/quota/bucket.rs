//! A bucket that refills: the tokens that are not lent.

use serde::{Deserialize, Serialize};
use tollkeeper_contract::Quota;

use super::allowance::window_ms;

/// Tokens that nobody has: whole ones, and a part of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// Below 0 when more was overdrawn than there was; never below the limit's negative.
    pub(super) tokens: i64,
    /// In parts of a token of which the window in milliseconds makes one whole; less than that.
    pub(super) fraction: u64,
}

impl Bucket {
    pub(super) fn holding(tokens: i64) -> Self {
        Self { tokens, fraction: 0 }
    }

    /// What comes back in so many milliseconds, up to `capacity` tokens: what is lent takes its place in the bucket.
    pub(super) fn refill(&mut self, elapsed: u64, quota: Quota, capacity: u64) {
        let window = i128::from(window_ms(quota));
        // From the deepest debt it takes two windows until the bucket is full.
        let gain = i128::from(elapsed).min(2 * window) * i128::from(quota.limit().get());
        let level = i128::from(self.tokens) * window + i128::from(self.fraction) + gain;
        if level >= i128::from(capacity) * window {
            *self = Self::holding(i64::try_from(capacity).unwrap_or(i64::MAX));
            return;
        }
        self.tokens = i64::try_from(level.div_euclid(window)).unwrap_or(i64::MAX);
        self.fraction = u64::try_from(level.rem_euclid(window)).unwrap_or(0);
    }

    /// The same tokens under another quota, before they are cut to what it holds.
    pub(super) fn carry(&mut self, from: Quota, to: Quota) {
        let fraction = u128::from(self.fraction) * u128::from(window_ms(to)) / u128::from(window_ms(from));
        self.fraction = u64::try_from(fraction).unwrap_or(0);
        self.debit(0, to);
    }

    pub(super) fn available(&self) -> u64 {
        u64::try_from(self.tokens).unwrap_or(0)
    }

    /// Takes tokens out, down to a debt of the whole limit.
    pub(super) fn debit(&mut self, tokens: u64, quota: Quota) {
        let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_sub(tokens).max(-i64::from(quota.limit().get()));
    }

    /// Puts tokens back, up to `capacity`.
    pub(super) fn credit(&mut self, tokens: u64, quota: Quota, capacity: u64) {
        self.tokens = self.tokens.saturating_add_unsigned(tokens);
        self.refill(0, quota, capacity);
    }

    /// Milliseconds until there are so many tokens, if the bucket holds as many.
    pub(super) fn time_until(&self, tokens: u64, quota: Quota) -> u64 {
        let window = i128::from(window_ms(quota));
        let missing = (i128::from(tokens) - i128::from(self.tokens)) * window - i128::from(self.fraction);
        u64::try_from(missing).map_or(0, |missing| missing.div_ceil(quota.limit().get().into()))
    }
}
