//! Buckets against exact rationals: a token is given when, and only when, it is there, whatever the clock and the quota do.

use arbitrary::Unstructured;
use num_bigint::BigInt;
use num_rational::BigRational;
use tollkeeper::{bucket::Bucket, limiter::Outcome, time::Monotonic};
use tollkeeper_contract::Quota;

/// As many steps as rationals are fast for.
const MOST_STEPS: usize = 12;

/// The bucket as one would describe it.
struct Model {
    tokens: BigRational,
    at: u64,
    quota: Quota,
    /// What was cut off when tokens were carried from one quota to another, at most.
    cut: BigRational,
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
    let mut model = Model { tokens: limit(quota), at: now, quota, cut: whole(0) };
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
                assert!(whole(cost) <= model.tokens, "{cost} of {}", model.tokens);
                model.tokens -= whole(cost);
                bucket = next;
            }
            Outcome::Refused { wait } => {
                assert!(whole(cost) > &model.tokens - &model.cut, "{cost} of {} refused", model.tokens);
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
    /// Time passes under the old quota; then the new one holds.
    fn pass(&mut self, quota: Quota, now: u64) {
        let window = whole(self.quota.window().get()) * whole(1000);
        self.tokens += whole(now.saturating_sub(self.at)) * limit(self.quota) / window;
        self.tokens = [&self.tokens, &limit(self.quota), &limit(quota)].into_iter().min().expect("three").clone();
        if quota != self.quota {
            self.cut += whole(1) / (whole(quota.window().get()) * whole(1000));
        }
        (self.at, self.quota) = (self.at.max(now), quota);
    }
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

fn limit(quota: Quota) -> BigRational {
    whole(quota.limit().get())
}

fn whole(number: impl Into<BigInt>) -> BigRational {
    BigRational::from_integer(number.into())
}

/// Long lives.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![(0..=255).collect(), vec![7; 200], [[0_u8; 100], [255; 100]].concat()]
}
