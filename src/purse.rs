//! What the requests of an account spend from on this node: a limiter of its own, or what the fleet has lent.

use crate::{
    config::{Fallback, Remaining},
    lease::{Basis, Fleet, Lease, Patience, Signal, Taking},
    limiter::{Left, Limit, Limiter, Outcome},
    time::Monotonic,
};

/// Where the tokens of an account come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purse {
    /// This node counts by itself.
    Own(Limiter),
    /// All nodes have one quota together.
    Lent(Box<Lease>),
}

/// Over what a limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each node by itself.
    Process,
    /// All nodes together.
    Fleet(Fleet),
}

/// What became of a request for tokens.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whether there were enough.
    pub taking: Taking,
    /// Whether the steward is to be told that more are wanted.
    pub signal: Signal,
    /// What is left.
    pub left: Left,
    /// The purse afterwards, if it has changed.
    pub changed: Option<Purse>,
}

/// For requests under a configuration that knows of no fleet.
const WITHOUT_WAITING: Fleet =
    Fleet { wait: u64::MAX, fallback: Fallback::Refuse, remaining: Remaining::Lease, nodes: None };

const OWN: u8 = 1;
const LENT: u8 = 2;

impl Purse {
    /// Of an account that has spent nothing.
    #[must_use]
    pub fn fresh(limit: Limit, scope: Scope, now: Monotonic) -> Self {
        match scope {
            Scope::Process => Self::Own(Limiter::fresh(limit, now)),
            Scope::Fleet(_) => Self::Lent(Box::new(Lease::cold(limit, now))),
        }
    }

    /// Takes `cost` tokens under `limit` and `scope`, which need not be those that held before.
    pub fn take(self, limit: Limit, scope: Scope, now: Monotonic, cost: u32, patience: Patience) -> Taken {
        match (self, scope) {
            (Self::Own(limiter), Scope::Process) => take_own(limiter, limit, now, cost),
            (Self::Lent(lease), Scope::Fleet(fleet)) => take_lent(*lease, limit, fleet, now, cost, patience),
            (Self::Own(_), Scope::Fleet(fleet)) => {
                take_lent(Lease::cold(limit, now), limit, fleet, now, cost, patience)
            }
            // Requests under an old and a new configuration take turns while connections are drained. Those that cannot
            // wait for a lease have what is there.
            (Self::Lent(lease), Scope::Process) if lease.is_new(now) => {
                take_lent(*lease, limit, WITHOUT_WAITING, now, cost, Patience::Over(Monotonic(0)))
            }
            // What this node may spend is what it was lent: nobody gets fresh tokens.
            (Self::Lent(lease), Scope::Process) => {
                let balance = u32::try_from(lease.balance(now)).unwrap_or(u32::MAX);
                let own = Limiter::holding(balance, limit, now);
                let taken = take_own(own.clone(), limit, now, cost);
                Taken { changed: taken.changed.or(Some(Self::Own(own))), ..taken }
            }
        }
    }

    /// As it is at `now` under `limit`: a changed limit gives nobody fresh tokens.
    #[must_use]
    pub fn at(self, limit: Limit, now: Monotonic) -> Self {
        match self {
            Self::Own(limiter) => Self::Own(limiter.at(limit, now)),
            Self::Lent(mut lease) => {
                lease.observe(limit);
                Self::Lent(lease)
            }
        }
    }

    /// The purse as bytes, with a length of its own: one byte says which, then it comes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Own(limiter) => {
                out.push(OWN);
                limiter.encode(out);
            }
            Self::Lent(lease) => {
                out.push(LENT);
                lease.encode(out);
            }
        }
    }

    /// Reads what [`Purse::encode`] writes, and gives what follows; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (kind, bytes) = bytes.split_first()?;
        match *kind {
            OWN => Limiter::decode(bytes).map(|(limiter, rest)| (Self::Own(limiter), rest)),
            LENT => Lease::decode(bytes).map(|(lease, rest)| (Self::Lent(Box::new(lease)), rest)),
            _ => None,
        }
    }
}

fn take_own(limiter: Limiter, limit: Limit, now: Monotonic, cost: u32) -> Taken {
    let signal = Signal::Silent;
    match limiter.clone().take(limit, now, cost) {
        Outcome::Taken(limiter) => {
            let left = limiter.left();
            Taken { taking: Taking::Taken(Basis::Quota), signal, left, changed: Some(Purse::Own(limiter)) }
        }
        Outcome::Refused { wait } => {
            let held = limiter.limit();
            let limiter = limiter.at(limit, now);
            let taking = Taking::Refused { wait, basis: Basis::Quota };
            let left = limiter.left();
            // Under another limit, it refills from now on by that.
            Taken { taking, signal, left, changed: (held != limit).then_some(Purse::Own(limiter)) }
        }
    }
}

fn take_lent(before: Lease, limit: Limit, fleet: Fleet, now: Monotonic, cost: u32, patience: Patience) -> Taken {
    let mut lease = before.clone();
    let (taking, signal) = lease.take(limit, fleet, now, cost, patience);
    let left = lease.left(now, fleet);
    let changed = (lease != before).then_some(Purse::Lent(Box::new(lease)));
    Taken { taking, signal, left, changed }
}

#[cfg(test)]
mod tests {
    use super::{Purse, Scope, Taken};
    use crate::{
        config::{Fallback, Remaining},
        lease::{Basis, Fleet, Patience, Signal, Taking},
        limiter::Limit,
        time::Monotonic,
    };

    const FLEET: Scope =
        Scope::Fleet(Fleet { wait: 500, fallback: Fallback::Share, remaining: Remaining::Fleet, nodes: None });

    fn take(purse: &mut Purse, scope: Scope, now: u64) -> (Taking, Signal) {
        let limit = Limit::bucket(10, 1000);
        let Taken { taking, signal, changed, .. } = purse.clone().take(limit, scope, Monotonic(now), 1, Patience::New);
        *purse = changed.unwrap_or_else(|| purse.clone());
        (taking, signal)
    }

    #[test]
    fn a_quota_that_begins_to_hold_over_the_fleet_begins_with_a_question() {
        let mut purse = Purse::fresh(Limit::bucket(10, 1000), Scope::Process, Monotonic(0));
        assert_eq!(take(&mut purse, Scope::Process, 0), (Taking::Taken(Basis::Quota), Signal::Silent));
        assert_eq!(take(&mut purse, FLEET, 1), (Taking::Wait, Signal::Ask));
    }

    #[test]
    fn requests_under_both_scopes_in_turn_spend_from_one_lease() {
        let mut purse = Purse::fresh(Limit::bucket(10, 1000), FLEET, Monotonic(0));
        for now in 1..20 {
            assert_eq!(take(&mut purse, FLEET, now).0, Taking::Wait);
            let refused = Taking::Refused { wait: 1000, basis: Basis::Quota };
            assert_eq!(take(&mut purse, Scope::Process, now).0, refused);
        }
    }

    #[test]
    fn a_quota_that_holds_over_one_node_again_begins_with_what_that_was_lent() {
        let mut purse = Purse::fresh(Limit::bucket(10, 1000), FLEET, Monotonic(0));
        assert_eq!(take(&mut purse, FLEET, 0).0, Taking::Wait);
        assert_eq!(take(&mut purse, Scope::Process, 10_000).0, Taking::Refused { wait: 100_000, basis: Basis::Quota });
        assert_eq!(take(&mut purse, Scope::Process, 110_000).0, Taking::Taken(Basis::Quota));
    }
}
