//! Strict windows against a list of all that was ever spent: no window ever holds more than its limit, and who is refused would
//! make one hold more, whatever the clock and the limit do.

use arbitrary::Unstructured;
use tollkeeper::{limiter::Outcome, time::Monotonic, window::Window};
use tollkeeper_contract::Quota;

const MOST_STEPS: usize = 64;

/// How many parts of a window come back together: late by one of them, never early.
const PARTS: u64 = 64;

/// A beginning, and then one step after the other: what passes of time, at times another limit, and a cost.
pub fn look(data: &[u8]) {
    // It ends when there are no bytes left.
    let _ = steps(&mut Unstructured::new(data));
}

fn steps(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let length = *input.choose(&[1, 2, 7, 60, 3600, 2_678_400])?;
    let mut quota = quota(input, length)?;
    let mut clock = *input.choose(&[0, 1, 1_700_000_000_000, (1 << 63) - 1_000, 1 << 63])?;
    let mut window = Window::having_spent(0, quota, Monotonic(clock));
    let (mut latest, mut spent) = (clock, Vec::new());
    for _ in 0..MOST_STEPS {
        if input.is_empty() {
            break;
        }
        clock = later(input, clock, u64::from(length) * 1000)?;
        latest = latest.max(clock);
        if input.ratio(1, 8)? {
            quota = self::quota(input, length)?;
        }
        let cost = input.int_in_range(0..=quota.limit().get().min(40))?;
        match window.clone().take(quota, Monotonic(clock), cost) {
            Outcome::Taken(next) => {
                spent.push((latest, u64::from(cost)));
                let held = within(&spent, latest, u64::from(length) * 1000);
                assert!(cost == 0 || held <= quota.limit().get().into(), "{held} in a window");
                window = next;
            }
            Outcome::Refused { wait } => {
                let longest = u64::from(length) * 1000 / PARTS + u64::from(length) * 1000 + 1;
                let held = within(&spent, latest, longest) + u64::from(cost);
                assert!(held > quota.limit().get().into(), "{cost} were refused beside {held}");
                window = window.at(quota, Monotonic(clock));
                waits_exactly(&window, quota, clock, cost, wait);
            }
        }
    }
    Ok(())
}

/// What was spent in the time that ends now.
fn within(spent: &[(u64, u64)], now: u64, length: u64) -> u64 {
    spent.iter().filter(|(at, _)| now - at < length).map(|(_, cost)| cost).sum()
}

/// Whoever waits as told is served, and nobody a millisecond before.
fn waits_exactly(window: &Window, quota: Quota, now: u64, cost: u32, wait: u64) {
    let taken = |after| matches!(window.clone().take(quota, Monotonic(now).after(after), cost), Outcome::Taken(_));
    assert!(wait < u64::MAX, "it is not more than the limit");
    if now.checked_add(wait).is_some() {
        assert!(taken(wait) && !taken(wait - 1), "{wait}");
    }
}

fn quota(input: &mut Unstructured<'_>, length: u32) -> arbitrary::Result<Quota> {
    let limit = if input.ratio(1, 4)? { u32::MAX } else { input.int_in_range(1..=50)? };
    Ok(Quota::new(limit, length).expect("a quota"))
}

/// A clock that stands, runs, jumps a window, or goes back.
fn later(input: &mut Unstructured<'_>, now: u64, length: u64) -> arbitrary::Result<u64> {
    Ok(match input.int_in_range(0..=7)? {
        0 => now,
        1 => now.saturating_sub(u64::from(input.arbitrary::<u16>()?)),
        2 => now.saturating_add(3_600_000),
        3 => now.saturating_add(length + input.int_in_range(0..=2)? - 1),
        4 => now.saturating_add(length / PARTS),
        _ => now.saturating_add(u64::from(input.arbitrary::<u8>()?)),
    })
}

/// Long lives.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    vec![(0..=255).collect(), vec![7; 200], [[0_u8; 100], [255; 100]].concat()]
}
