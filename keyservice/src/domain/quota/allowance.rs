//! What is left of a quota, under either promise.

use serde::{Deserialize, Serialize};
use tollkeeper_contract::{Quota, lease::Promise};

use super::{Opening, bucket::Bucket, runs::Runs};

/// What is left beside what is lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Allowance {
    Bucket(Bucket),
    Strict(Runs),
}

/// The circumstances in which an allowance is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    pub(super) quota: Quota,
    pub(super) now: u64,
    /// Tokens that are lent to nodes.
    pub(super) lent: u64,
}

impl Scene {
    fn limit(self) -> u64 {
        self.quota.limit().get().into()
    }

    /// As many as there can be beside those that are lent.
    fn capacity(self) -> u64 {
        self.limit().saturating_sub(self.lent)
    }
}

impl Allowance {
    /// Of an account that nobody has asked about; gives also when it begins.
    pub(super) fn open(promise: Promise, quota: Quota, opening: Opening, now: u64) -> (Self, u64) {
        let limit = quota.limit().get();
        let (left, at) = match opening {
            Opening::Full => (limit, now),
            Opening::EmptySince(since) => (0, since),
        };
        let allowance = match promise {
            Promise::Bucket => Self::Bucket(Bucket::holding(left.into())),
            Promise::Strict => {
                let mut runs = Runs::default();
                runs.spend((limit - left).into(), at, window_ms(quota));
                Self::Strict(runs)
            }
        };
        (allowance, at)
    }

    pub(super) fn promise(&self) -> Promise {
        match self {
            Self::Bucket(_) => Promise::Bucket,
            Self::Strict(_) => Promise::Strict,
        }
    }

    /// Time passes, up to `scene.now`; gives until when nothing that was spent can be taken back any more.
    pub(super) fn pass(&mut self, elapsed: u64, scene: Scene) -> Option<u64> {
        match self {
            Self::Bucket(bucket) => {
                bucket.refill(elapsed, scene.quota, scene.capacity());
                None
            }
            Self::Strict(runs) => runs.forget(scene.now, window_ms(scene.quota)),
        }
    }

    /// The same tokens under another promise: what is missing counts as spent just now.
    pub(super) fn under(&mut self, promise: Promise, scene: Scene) {
        let limit = i64::from(scene.quota.limit().get());
        let lent = i64::try_from(scene.lent).unwrap_or(i64::MAX);
        match (&*self, promise) {
            (Self::Bucket(bucket), Promise::Strict) => {
                let missing = limit.saturating_sub(bucket.tokens).saturating_sub(lent);
                let mut runs = Runs::default();
                runs.spend(u64::try_from(missing).unwrap_or(0), scene.now, window_ms(scene.quota));
                *self = Self::Strict(runs);
            }
            (Self::Strict(runs), Promise::Bucket) => {
                let spent = i64::try_from(runs.spent()).unwrap_or(i64::MAX);
                *self = Self::Bucket(Bucket::holding(limit.saturating_sub(spent).saturating_sub(lent).max(-limit)));
            }
            _ => {}
        }
    }

    /// The same tokens under another quota, up to its limit.
    pub(super) fn carry(&mut self, from: Quota, scene: Scene) -> Option<u64> {
        if let Self::Bucket(bucket) = self {
            bucket.carry(from, scene.quota);
        }
        self.pass(0, scene)
    }

    /// Whole tokens for which a bucket has room beside what is lent.
    pub(super) fn room(&self, scene: Scene) -> Option<u64> {
        let Self::Bucket(bucket) = self else { return None };
        let room = scene.capacity().saturating_add_signed(bucket.tokens.saturating_neg());
        Some(room.saturating_sub(bucket.fraction.min(1)))
    }

    /// Whole tokens that can be lent.
    pub(super) fn available(&self, scene: Scene) -> u64 {
        match self {
            Self::Bucket(bucket) => bucket.available(),
            Self::Strict(runs) => scene.capacity().saturating_sub(runs.spent()),
        }
    }

    /// Whether so many come back by themselves, whatever becomes of those that are lent.
    pub(super) fn fills_beside(&self, tokens: u64, scene: Scene) -> bool {
        matches!(self, Self::Bucket(_)) && tokens <= scene.capacity()
    }

    /// Tokens become lent.
    pub(super) fn lend(&mut self, tokens: u64, quota: Quota) {
        if let Self::Bucket(bucket) = self {
            bucket.debit(tokens, quota);
        }
    }

    /// Lent tokens are spent, or may have been.
    pub(super) fn spend_lent(&mut self, tokens: u64, scene: Scene) {
        if let Self::Strict(runs) = self {
            runs.spend(tokens, scene.now, window_ms(scene.quota));
        }
    }

    /// Lent tokens come back unspent; `scene.lent` is without them.
    pub(super) fn take_back(&mut self, tokens: u64, scene: Scene) {
        if let Self::Bucket(bucket) = self {
            bucket.credit(tokens, scene.quota, scene.capacity());
        }
    }

    /// Tokens that were counted as spent at a time come back unspent.
    pub(super) fn take_back_spent(&mut self, tokens: u64, spent_at: u64, scene: Scene) {
        match self {
            Self::Bucket(bucket) => bucket.credit(tokens, scene.quota, scene.capacity()),
            Self::Strict(runs) => runs.credit(tokens, spent_at),
        }
    }

    /// Tokens are spent that were not lent.
    pub(super) fn overdraw(&mut self, tokens: u64, scene: Scene) {
        match self {
            Self::Bucket(bucket) => bucket.debit(tokens, scene.quota),
            Self::Strict(runs) => runs.spend(tokens, scene.now, window_ms(scene.quota)),
        }
    }

    /// When there are so many tokens, if nobody takes any, and `leases` (end and tokens, the first to end first), which
    /// are part of what is lent, end without a word. The limit less what else is lent must be as many. A lease of which
    /// nothing counts as spent has 0 tokens.
    pub(super) fn time_of(mut self, tokens: u64, mut scene: Scene, leases: &[(u64, u64)]) -> u64 {
        // What was spent of them may be settled at any time, and then counts with the newest run.
        if let (Self::Strict(runs), true) = (&mut self, leases.iter().any(|(_, lent)| *lent > 0)) {
            runs.prolong_to_end(scene.now, window_ms(scene.quota));
        }
        for (end, lent) in leases {
            if self.fills_beside(tokens, scene) {
                break;
            }
            let elapsed = end.saturating_sub(scene.now);
            if let Self::Bucket(bucket) = &mut self {
                bucket.refill(elapsed, scene.quota, scene.capacity());
            }
            scene.now = scene.now.max(*end);
            scene.lent = scene.lent.saturating_sub(*lent);
            if let Self::Strict(runs) = &mut self {
                runs.prolong(scene.now, window_ms(scene.quota));
                runs.spend(*lent, scene.now, window_ms(scene.quota));
            }
        }
        match self {
            Self::Bucket(bucket) => scene.now.saturating_add(bucket.time_until(tokens, scene.quota)),
            Self::Strict(runs) => {
                let missing = runs.spent().saturating_add(tokens).saturating_sub(scene.capacity());
                runs.time_of(missing, window_ms(scene.quota))
            }
        }
    }
}

pub(super) fn window_ms(quota: Quota) -> u64 {
    u64::from(quota.window().get()) * 1000
}
