//! What a quota allows, exactly: independent of the code that it judges, and fed with every admitted request in order of
//! time. All arithmetic is on whole numbers.

use std::collections::VecDeque;

use tollkeeper_contract::Quota;

use crate::{config::Promise, limiter::Limit};

/// How long a lease on an earlier, higher limit may still be spent, in milliseconds.
const STILL_LENT: u64 = 5_500;

/// What may still be admitted.
#[derive(Debug, Clone)]
pub(super) struct Exact {
    limit: Limit,
    /// Limits that held before, and until when.
    before: VecDeque<(u64, u64)>,
    at: u64,
    /// Tokens times [`UNIT`].
    level: i128,
    /// What a limit that fell has cut off: some of it may have lapsed unspent, and comes back with a limit that rises.
    cut: i128,
    /// When how many were admitted.
    admitted: VecDeque<(u64, u64)>,
    /// The shortest window that held.
    shortest: u64,
}

/// Divisible by every window in milliseconds that the simulation uses, so that every refill is a whole number.
pub(super) const UNIT: i128 = 2 * 3 * 2 * 5 * 7 * 3 * 1000 * 100;

/// More was admitted than the quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Over {
    /// How many tokens too many.
    pub(super) tokens: u64,
}

impl Exact {
    /// Nothing was spent yet.
    pub(super) fn full(limit: Limit, now: u64) -> Self {
        let level = i128::from(limit.quota.limit().get()) * UNIT;
        let (before, admitted, shortest) = (VecDeque::new(), VecDeque::new(), window_ms(limit.quota));
        Self { limit, before, at: now, level, cut: 0, admitted, shortest }
    }

    /// Another limit holds from now on.
    pub(super) fn change(&mut self, limit: Limit, now: u64) {
        self.pass(now);
        if limit.promise != self.limit.promise {
            self.keep_promise(limit.promise, now);
        }
        if limit != self.limit {
            if limit.quota.limit() > self.limit.quota.limit() {
                self.level += std::mem::take(&mut self.cut);
            }
            self.before.push_back((now + STILL_LENT, self.limit.quota.limit().get().into()));
            self.limit = limit;
            self.shortest = self.shortest.min(window_ms(limit.quota));
        }
    }

    /// The engine has begun anew without its memory at `since`, and has learned only now under what limit.
    pub(super) fn begin_anew(&mut self, limit: Limit, since: u64, now: u64) {
        self.change(limit, now);
        self.level += i128::from(now - since) * gain_per_ms(limit);
        self.refill(now);
    }

    /// What is left stays; what is missing was spent last.
    fn keep_promise(&mut self, promise: Promise, now: u64) {
        let left = self.left(now);
        self.level = i128::from(left) * UNIT;
        let mut missing = self.capacity().saturating_sub(left);
        for (_, tokens) in self.admitted.iter_mut().rev() {
            *tokens = missing.min(*tokens);
            missing -= *tokens;
        }
        self.limit.promise = promise;
    }

    /// So many tokens are spent.
    pub(super) fn admit(&mut self, tokens: u64, now: u64) -> Result<(), Over> {
        self.pass(now);
        let left = self.left(now);
        self.level -= i128::from(tokens) * UNIT;
        self.admitted.push_back((now, tokens));
        match tokens.checked_sub(left) {
            None | Some(0) => Ok(()),
            Some(tokens) => Err(Over { tokens }),
        }
    }

    /// Whole tokens that may be admitted now.
    pub(super) fn left(&mut self, now: u64) -> u64 {
        self.pass(now);
        match self.limit.promise {
            Promise::Bucket => u64::try_from(self.level.max(0) / UNIT).unwrap(),
            Promise::Strict => self.capacity().saturating_sub(self.in_window(now)),
        }
    }

    /// When so many may be admitted, if none are before.
    pub(super) fn time_of(&mut self, tokens: u64, now: u64) -> u64 {
        self.pass(now);
        match self.limit.promise {
            Promise::Bucket => {
                let missing = i128::from(tokens) * UNIT - self.level;
                now + u64::try_from(missing.max(0)).unwrap().div_ceil(u64::try_from(gain_per_ms(self.limit)).unwrap())
            }
            Promise::Strict => {
                let mut missing = (self.in_window(now) + tokens).saturating_sub(self.capacity());
                let mut time = now;
                for (at, spent) in &self.admitted {
                    if missing == 0 {
                        break;
                    }
                    (missing, time) = (missing.saturating_sub(*spent), at + self.shortest + 1);
                }
                time
            }
        }
    }

    /// Both ends belong to a window: clocks are cut to milliseconds.
    fn in_window(&self, now: u64) -> u64 {
        let recent = self.admitted.iter().rev().take_while(|(at, _)| now - at <= self.shortest);
        recent.map(|(_, tokens)| tokens).sum()
    }

    /// The highest limit under which something may be lent or, in a window that is not over, was spent.
    fn capacity(&self) -> u64 {
        let before = self.before.iter().map(|(_, limit)| *limit).max().unwrap_or(0);
        before.max(self.limit.quota.limit().get().into())
    }

    fn pass(&mut self, now: u64) {
        let kept = match self.limit.promise {
            Promise::Bucket => 0,
            Promise::Strict => self.shortest,
        };
        while let Some((until, _)) = self.before.front().copied().filter(|(until, _)| until + kept <= now) {
            self.refill(until + kept);
            self.before.pop_front();
            let above = self.level - i128::from(self.capacity()) * UNIT;
            self.cut += above.max(0);
        }
        self.refill(now);
        while self.admitted.front().is_some_and(|(at, _)| now - at > self.shortest) {
            self.admitted.pop_front();
        }
    }

    fn refill(&mut self, now: u64) {
        let gain = i128::from(now.saturating_sub(self.at)) * gain_per_ms(self.limit);
        self.level = (self.level + gain).min(i128::from(self.capacity()) * UNIT);
        self.at = self.at.max(now);
    }
}

/// In parts of a token, of which [`UNIT`] are one.
pub(super) fn gain_per_ms(Limit { quota, .. }: Limit) -> i128 {
    i128::from(quota.limit().get()) * (UNIT / i128::from(window_ms(quota)))
}

fn window_ms(quota: Quota) -> u64 {
    u64::from(quota.window().get()) * 1000
}
