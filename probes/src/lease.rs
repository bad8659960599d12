//! What lies in a team's cell: bytes that are taken for a lease or a limiter are written back as they were.

use tollkeeper::{
    config::Promise,
    lease::Lease,
    limiter::{Limit, Limiter},
    purse::Purse,
    time::Monotonic,
};
use tollkeeper_contract::Quota;

/// The input is what lies in the cell.
pub fn look(data: &[u8]) {
    if let Some((purse, rest)) = Purse::decode(data) {
        let mut again = Vec::new();
        purse.encode(&mut again);
        again.extend(rest);
        let (read, left) = Purse::decode(&again).expect("what was written can be read");
        assert_eq!((read, left), (purse, rest));
    }
    if let Some((mut lease, _)) = Lease::decode(data) {
        let now = Monotonic(1 << 40);
        let balance = lease.balance(now);
        let draft = lease.ask(now);
        let _ = (lease.settles_after(now, 400), lease.has_news(now), draft);
        assert!(lease.balance(now) <= balance, "to ask lends nothing");
    }
}

/// Cells of every sort.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let quota = Quota::new(300, 300).expect("a quota");
    let mut seeds = Vec::new();
    for promise in [Promise::Bucket, Promise::Strict] {
        let limit = Limit { quota, promise };
        let mut cell = Vec::new();
        Purse::Own(Limiter::holding(7, limit, Monotonic(9))).encode(&mut cell);
        seeds.push(cell);
        let (mut cell, mut lease) = (Vec::new(), Vec::new());
        Purse::Lent(Box::new(Lease::cold(limit, Monotonic(9)))).encode(&mut cell);
        Lease::cold(limit, Monotonic(9)).encode(&mut lease);
        seeds.extend([cell, lease]);
    }
    seeds
}
