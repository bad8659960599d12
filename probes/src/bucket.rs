//! Buckets against exact rationals: a token is given when, and only when, it is there, whatever the clock and the quota do.

use arbitrary::Unstructured;
use num_bigint::BigUint;
use tollkeeper::{bucket::Bucket, limiter::Outcome, time::Monotonic};
use tollkeeper_contract::Quota;

/// As many steps as rationals are fast for.
const MOST_STEPS: usize = 12;

/// The bucket as one would describe it: in fractions of a token, which are as small as any quota so far has needed.
struct Model {
    /// How many fractions make a token.
    fractions: BigUint,
    level: BigUint,
    at: u64,
    quota: Quota,
    /// What was cut off when tokens were carried from one quota to another, at most.
    cut: BigUint,
}

/// A beginning, and then one step after the other: what passes of time, at times another quota, and a cost.
pub fn look(data: &[u8]) {
    // It ends when there are no bytes left.
    let _ = steps(&mut Unstructured::new(data));
}

fn steps(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut quota = quota(input)?;
    let mut now = *input.choose(&[0, 1, 1_700_000_000_000, (1 << 63) - 1_000, 1 << 63])?;
    let mut bucket = Bucket::full(quota, Monotonic(now));
    let mut model = Model::full(quota, now);
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        now = later(input, now)?;
        if input.ratio(1, 8)? {
            quota = self::quota(input)?;
        }
        let cost = input.int_in_range(0..=quota.limit().get().saturating_add(1))?;
        model.pass(quota, now);
        match bucket.take(quota, Monotonic(now), cost) {
            Outcome::Taken(next) => {
                let cost = model.tokens(cost);
                assert!(cost <= model.level, "{cost} of {}", model.level);
                model.level -= cost;
                bucket = next;
            }
            Outcome::Refused { wait } => {
                assert!(model.tokens(cost) + &model.cut > model.level, "{cost} of {} refused", model.level);
                // A purse is written back under another quota, also if it refuses.
                bucket = bucket.at(quota, Monotonic(now));
                waits_exactly(bucket, quota, now, cost, wait);
            }
        }
    }
    Ok(())
}

/// Whoever waits as told is served, and nobody a millisecond before.
fn waits_exactly(bucket: Bucket, quota: Quota, now: u64, cost: u32, wait: u64) {
    let taken = |after: u64| matches!(bucket.take(quota, Monotonic(now).after(after), cost), Outcome::Taken(_));
    match wait {
        u64::MAX => assert!(cost > quota.limit().get()),
        _ if now.checked_add(wait).is_none() => {}
        _ => assert!(taken(wait) && !taken(wait - 1), "{wait}"),
    }
}

impl Model {
    fn full(quota: Quota, at: u64) -> Self {
        let fractions = milliseconds(quota);
        let level = &fractions * quota.limit().get();
        Self { fractions, level, at, quota, cut: BigUint::ZERO }
    }

    /// So many tokens, in fractions.
    fn tokens(&self, count: u32) -> BigUint {
        &self.fractions * count
    }

    /// Time passes under the old quota; then the new one holds.
    fn pass(&mut self, quota: Quota, now: u64) {
        let of_a_millisecond = self.tokens(self.quota.limit().get()) / milliseconds(self.quota);
        self.level += of_a_millisecond * now.saturating_sub(self.at);
        let most = self.tokens(self.quota.limit().min(quota.limit()).get());
        self.level = std::mem::take(&mut self.level).min(most);
        if quota != self.quota {
            let finer = milliseconds(quota);
            // A bucket cuts off less than a fraction of the new quota.
            self.cut = &self.cut * &finer + &self.fractions;
            self.level *= &finer;
            self.fractions *= finer;
        }
        (self.at, self.quota) = (self.at.max(now), quota);
    }
}

/// Of a window: in each as many fractions of a token come as the limit has tokens.
fn milliseconds(quota: Quota) -> BigUint {
    BigUint::from(quota.window().get()) * 1000_u32
}

fn quota(input: &mut Unstructured<'_>) -> arbitrary::Result<Quota> {
    let edges = [(1, 3600), (1_000_000, 1), (u32::MAX, 2_678_400), (u32::MAX, 1), (1, 2_678_400), (300, 300)];
    let (limit, window) = match input.ratio(1, 2)? {
        true => *input.choose(&edges)?,
        false => (input.int_in_range(1..=100)?, input.int_in_range(1..=100)?),
    };
    Ok(Quota::new(limit, window).expect("a quota"))
}

/// A clock that stands, runs, jumps an hour ahead, or goes back.
fn later(input: &mut Unstructured<'_>, now: u64) -> arbitrary::Result<u64> {
    Ok(match input.int_in_range(0..=7)? {
        0 => now,
        1 => now.saturating_sub(u64::from(input.arbitrary::<u16>()?)),
        2 => now.saturating_add(3_600_000),
        3 => now.saturating_add(u64::from(input.arbitrary::<u32>()?)),
        _ => now.saturating_add(u64::from(input.arbitrary::<u8>()?)),
    })
}

/// Long lives.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![(0..=255).collect(), vec![7; 200], [[0_u8; 100], [255; 100]].concat()]
}
