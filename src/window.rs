//! Whether a team may go on without more than its limit falling into any window at all: a record of what was spent.
//!
//! Spent tokens come back a whole window after they were spent. They are remembered in runs; a run is as long as a
//! 64th of the window at most, and its tokens come back together, when the last of them would. So tokens may come back
//! late by a 64th of the window, and never early; of a burst, and of fewer than 64 requests far apart, exactly.

use tollkeeper_contract::Quota;

use crate::{limiter::Outcome, time::Monotonic};

/// Into how many parts a window is divided for runs.
const PARTS: u64 = 64;

/// What was spent in the window that ends now, under the quota that held then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    quota: Quota,
    /// The latest time at which it was looked at: before that, it is never again.
    seen: Monotonic,
    /// When the newest run began.
    since: Monotonic,
    /// The oldest first; their ends rise.
    runs: Vec<Run>,
}

/// Tokens that were spent close together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    /// When the last of them was spent.
    end: Monotonic,
    spent: u32,
}

impl Run {
    const LENGTH: usize = 12;
}

impl Window {
    /// A window in which `spent` tokens were spent just now.
    #[must_use]
    pub fn having_spent(spent: u32, quota: Quota, now: Monotonic) -> Self {
        let runs = if spent == 0 { Vec::new() } else { vec![Run { end: now, spent }] };
        Self { quota, seen: now, since: now, runs }
    }

    /// Takes `cost` tokens under `quota`, which need not be the one that held before.
    ///
    /// A refusal changes nothing, so there is nothing to write back.
    #[must_use]
    pub fn take(self, quota: Quota, now: Monotonic, cost: u32) -> Outcome<Self> {
        let mut window = self.at(quota, now);
        if u64::from(cost) <= window.remaining() {
            window.spend(cost);
            return Outcome::Taken(window);
        }
        // A clock that went back has to come so far again first.
        Outcome::Refused { wait: window.wait_for(cost.into()).saturating_add(window.seen.since(now)) }
    }

    /// The window at `now` under `quota`. Under a longer one, what was forgotten already stays forgotten.
    #[must_use]
    pub fn at(mut self, quota: Quota, now: Monotonic) -> Self {
        let length = window_ms(quota);
        let seen = self.seen.max(now);
        // One millisecond more than the window: clocks are cut to milliseconds.
        self.runs.retain(|run| seen.since(run.end) <= length);
        Self { quota, seen, ..self }
    }

    /// The quota that held when tokens were last taken or carried over.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// Tokens left.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        u64::from(self.quota.limit().get()).saturating_sub(self.spent())
    }

    /// Milliseconds until there is one token more; 0 when nothing is spent.
    #[must_use]
    pub fn until_next(&self) -> u64 {
        if self.runs.is_empty() { 0 } else { self.wait_for(self.remaining().saturating_add(1)) }
    }

    /// The window as bytes, little endian: limit `u32`, window `u32`, seen `u64`, since `u64`, and each run's end `u64` and
    /// tokens `u32`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.quota.limit().get().to_le_bytes());
        out.extend(self.quota.window().get().to_le_bytes());
        out.extend(self.seen.0.to_le_bytes());
        out.extend(self.since.0.to_le_bytes());
        for run in &self.runs {
            out.extend(run.end.0.to_le_bytes());
            out.extend(run.spent.to_le_bytes());
        }
        out
    }

    /// Reads what [`Window::encode`] writes; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (limit, bytes) = bytes.split_first_chunk()?;
        let (window, bytes) = bytes.split_first_chunk()?;
        let (seen, bytes) = bytes.split_first_chunk()?;
        let (since, bytes) = bytes.split_first_chunk()?;
        let quota = Quota::new(u32::from_le_bytes(*limit), u32::from_le_bytes(*window)).ok()?;
        let (runs, rest) = bytes.as_chunks::<{ Run::LENGTH }>();
        let run = |bytes: &[u8; Run::LENGTH]| {
            let (end, spent) = bytes.split_first_chunk()?;
            let spent = u32::from_le_bytes(*spent.first_chunk()?);
            Some(Run { end: Monotonic(u64::from_le_bytes(*end)), spent })
        };
        let runs = runs.iter().map(run).collect::<Option<Vec<_>>>()?;
        let [seen, since] = [seen, since].map(|time| Monotonic(u64::from_le_bytes(*time)));
        let in_order = runs.is_sorted_by_key(|run| run.end) && runs.last().is_none_or(|newest| newest.end <= seen);
        (rest.is_empty() && in_order).then_some(Self { quota, seen, since, runs })
    }

    fn spent(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.spent)).fold(0, u64::saturating_add)
    }

    fn spend(&mut self, cost: u32) {
        if cost == 0 {
            return;
        }
        let longest = window_ms(self.quota).checked_div(PARTS).unwrap_or(0);
        match self.runs.last_mut() {
            Some(newest) if self.seen.since(self.since) < longest => {
                newest.end = self.seen;
                newest.spent = newest.spent.saturating_add(cost);
            }
            _ => {
                self.since = self.seen;
                self.runs.push(Run { end: self.seen, spent: cost });
            }
        }
    }

    /// Milliseconds until `needed` tokens are left, if nobody spends any; [`u64::MAX`] if there never are so many.
    fn wait_for(&self, needed: u64) -> u64 {
        let limit = u64::from(self.quota.limit().get());
        if needed > limit {
            return u64::MAX;
        }
        // Under a lowered limit more may be spent than there is.
        let mut missing = self.spent().saturating_add(needed).saturating_sub(limit);
        for run in &self.runs {
            missing = missing.saturating_sub(run.spent.into());
            if missing == 0 {
                return run.end.after(window_ms(self.quota)).after(1).since(self.seen);
            }
        }
        u64::MAX
    }
}

fn window_ms(quota: Quota) -> u64 {
    u64::from(quota.window().get()).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::Window;
    use crate::{limiter::Outcome, time::Monotonic};
    use proptest::prelude::*;
    use tollkeeper_contract::Quota;

    fn quota(limit: u32, window: u32) -> Quota {
        Quota::new(limit, window).unwrap()
    }

    fn fresh(quota: Quota) -> Window {
        Window::having_spent(0, quota, Monotonic(0))
    }

    /// Whether `cost` was there; if not, how long to wait.
    fn take(window: &mut Window, quota: Quota, now: u64, cost: u32) -> Result<(), u64> {
        match window.clone().take(quota, Monotonic(now), cost) {
            Outcome::Taken(next) => {
                *window = next;
                Ok(())
            }
            Outcome::Refused { wait } => Err(wait),
        }
    }

    #[test]
    fn where_the_clock_went_back_it_has_to_come_so_far_again_first() {
        let quota = quota(1, 1);
        let mut window = fresh(quota);
        assert_eq!(take(&mut window, quota, 10_000, 1), Ok(()));
        assert_eq!(take(&mut window, quota, 4_000, 1), Err(6_000 + 1_001));
        assert_eq!(take(&mut window, quota, 11_001, 1), Ok(()));
    }

    #[test]
    fn a_burst_has_to_wait_for_a_whole_window() {
        let quota = quota(300, 300);
        let mut window = fresh(quota);
        assert_eq!((0..1000).filter(|_| take(&mut window, quota, 5, 1).is_ok()).count(), 300);
        assert_eq!(take(&mut window, quota, 299_000, 1), Err(1_006));
        assert_eq!(take(&mut window, quota, 300_005, 1), Err(1));
        assert_eq!((0..1000).filter(|_| take(&mut window, quota, 300_006, 1).is_ok()).count(), 300);
    }

    #[test]
    fn a_few_requests_far_apart_come_back_one_by_one() {
        let quota = quota(3, 60);
        let mut window = fresh(quota);
        for at in [0, 10_000, 20_000] {
            assert_eq!(take(&mut window, quota, at, 1), Ok(()));
        }
        assert_eq!(window.until_next(), 40_001);
        assert_eq!(take(&mut window, quota, 60_001, 1), Ok(()));
        assert_eq!(take(&mut window, quota, 60_002, 1), Err(9_999));
    }

    #[test]
    fn somebody_who_always_wants_more_gets_at_least_98_of_100_tokens() {
        for (limit, seconds, step) in [(300, 300, 7), (1, 1, 1), (1_000_000, 1, 1), (10, 3600, 60_000)] {
            let quota = quota(limit, seconds);
            let mut window = fresh(quota);
            let windows = 50;
            let mut taken = 0_u64;
            // As much as there is, as soon as it is there.
            for now in (0..u64::from(seconds) * 1000 * windows).step_by(step) {
                let all = window.clone().at(quota, Monotonic(now)).remaining() as u32;
                take(&mut window, quota, now, all).unwrap();
                taken += u64::from(all);
            }
            assert!(taken * 100 >= u64::from(limit) * windows * 98, "{taken} of {limit} x {windows}");
        }
    }

    #[test]
    fn what_is_remembered_stays_small() {
        for seconds in [1, 60, Quota::MAX_WINDOW] {
            let quota = quota(u32::MAX, seconds);
            let mut window = fresh(quota);
            let step = u64::from(seconds) * 1000 / 500;
            for now in (0..2000).map(|count| count * step) {
                take(&mut window, quota, now, 1).unwrap();
                assert!(window.runs.len() <= 70, "{} runs", window.runs.len());
            }
        }
    }

    #[test]
    fn a_lowered_limit_holds_at_once_and_a_raised_one_brings_nothing_back_but_the_difference() {
        let mut window = fresh(quota(10, 60));
        take(&mut window, quota(10, 60), 0, 8).unwrap();
        assert_eq!(take(&mut window, quota(5, 60), 1000, 1), Err(59_001));
        assert_eq!(window.clone().at(quota(20, 60), Monotonic(1000)).remaining(), 12);
    }

    #[test]
    fn what_costs_more_than_the_limit_never_comes() {
        let mut window = fresh(quota(2, 1));
        assert_eq!(take(&mut window, quota(2, 1), 0, 3), Err(u64::MAX));
    }

    proptest! {
        /// Against the plainest model: all spends, and the sum over every window that ends with one.
        #[test]
        fn no_window_ever_has_more_than_the_limit(
            limit in 1..40_u32, seconds in 1..4_u32,
            steps in proptest::collection::vec((-300..900_i64, 0..6_u32), 1..300),
        ) {
            let quota = quota(limit, seconds);
            let mut window = fresh(quota);
            let mut now = 1_000_000_u64;
            let mut latest = 0;
            let mut spends: Vec<(u64, u32)> = Vec::new();
            for (step, cost) in steps {
                now = now.saturating_add_signed(step);
                if take(&mut window, quota, now, cost).is_ok() {
                    // Where the clock went back, it counts as spent together with what was spent before.
                    latest = latest.max(now);
                    spends.push((latest, cost));
                    let within = spends.iter().filter(|(at, _)| latest - at <= u64::from(seconds) * 1000);
                    prop_assert!(within.map(|(_, cost)| u64::from(*cost)).sum::<u64>() <= limit.into());
                }
            }
        }

        #[test]
        fn whoever_waits_as_told_is_admitted_and_not_earlier(
            limit in 1..40_u32, seconds in 1..4_u32,
            steps in proptest::collection::vec((0..900_u64, 1..6_u32), 1..200),
        ) {
            let quota = quota(limit, seconds);
            let mut window = fresh(quota);
            let mut now = 0;
            for (step, cost) in steps {
                now += step;
                if let Err(wait) = take(&mut window, quota, now, cost) {
                    if wait == u64::MAX {
                        prop_assert!(cost > limit);
                        continue;
                    }
                    prop_assert!(take(&mut window.clone(), quota, now + wait - 1, cost).is_err());
                    prop_assert_eq!(take(&mut window, quota, now + wait, cost), Ok(()));
                    now += wait;
                }
            }
        }

        #[test]
        fn it_comes_back_as_it_went(steps in proptest::collection::vec((0..900_u64, 0..6_u32), 0..200)) {
            let quota = quota(40, 9);
            let mut window = fresh(quota);
            let mut now = u64::from(u32::MAX);
            for (step, cost) in steps {
                now += step;
                let _ = take(&mut window, quota, now, cost);
            }
            prop_assert_eq!(Window::decode(&window.encode()), Some(window));
        }

        #[test]
        fn any_bytes_and_the_edges_are_survived(bytes: Vec<u8>, now: u64, cost: u32, limit in 1..=u32::MAX) {
            if let Some(window) = Window::decode(&bytes) {
                let quota = quota(limit, Quota::MAX_WINDOW);
                let _ = window.until_next();
                let _ = window.take(quota, Monotonic(now), cost);
            }
            let decoded = Window::decode(&[&[1, 0, 0, 0, 1, 0, 0, 0], [255; 40].as_slice()].concat()).unwrap();
            let _ = decoded.take(quota(1, 1), Monotonic(now), cost);
        }
    }
}
