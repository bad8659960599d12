//! What a node may spend as long as nobody answers: its share of the limit, begun with nothing, because what the others
//! have spent is not known.

use std::num::NonZeroU32;

use tollkeeper_contract::Quota;

use crate::{
    config::{Fallback, Promise},
    limiter::{Limit, Limiter, Outcome},
    time::Monotonic,
};

use super::{Basis, Fleet, Lease, Taking, dry::ENDED};

/// How long before leases begin again a share is not spent any more, in milliseconds: time to tell the key service of all
/// that was. Nobody is lent then what another one spends; and for how long after it an answer may be missing.
const REST: u64 = 750;

/// The longest that a client is told to wait for a share, in milliseconds: nobody knows when leases are given again, and a
/// strict share begins only after a whole window.
const LONGEST_TOLD: u64 = 5000;

impl Lease {
    /// Nobody answers: takes `cost` tokens out of this node's share, if it may.
    pub(super) fn fall_back(&mut self, fleet: Fleet, now: Monotonic, cost: u32) -> Taking {
        let nodes = match (fleet.fallback, fleet.nodes) {
            (Fallback::Share, Some(nodes)) => nodes,
            (Fallback::Refuse, _) | (_, None) => return Taking::Unavailable,
        };
        if let Some(wait) = self.rests_for(now) {
            return Taking::Refused { wait, basis: Basis::Share };
        }
        let Some(quota) = share_of(self.limit.quota, nodes) else { return Taking::Unavailable };
        let limit = Limit { quota, ..self.limit };
        let share = match self.share.take() {
            Some(share) => share.at(limit, now),
            None => Limiter::holding(0, limit, self.share_begins(now)),
        };
        match share.clone().take(limit, now, cost) {
            Outcome::Taken(next) => {
                self.overdrawn = self.overdrawn.saturating_add(cost.into());
                self.share = Some(next);
                Taking::Taken(Basis::Share)
            }
            Outcome::Refused { wait } => {
                self.share = Some(share);
                match wait {
                    // More than the share ever holds, and not more than the quota: that is not for the client to mend.
                    u64::MAX => Taking::Unavailable,
                    wait => Taking::Refused { wait: wait.min(LONGEST_TOLD), basis: Basis::Share },
                }
            }
        }
    }
}

impl Lease {
    /// From when on its share comes back to it. What other nodes were lent was taken from a bucket before; from a window it is
    /// only when they spend it, which they may do until their leases have ended.
    fn share_begins(&self, now: Monotonic) -> Monotonic {
        // Who hopes for what others hold was answered since.
        let unheard_since = self.asking.map_or(now, |asking| asking.since.max(self.answered_at));
        match self.limit.promise {
            Promise::Bucket => now,
            Promise::Strict => unheard_since.after(ENDED).max(now),
        }
    }

    /// How long the share rests, because leases begin again. If they have not by then, nobody answers any more.
    fn rests_for(&self, now: Monotonic) -> Option<u64> {
        let (from, end) = (self.lends_from, self.lends_from.after(REST));
        let rests = from.0 > 0 && now.after(REST) >= from && now < end;
        rests.then(|| end.since(now))
    }
}

/// One node's part, rounded down: the parts of all are never more than the whole. `None` if it is too small to be said.
fn share_of(quota: Quota, nodes: NonZeroU32) -> Option<Quota> {
    let (limit, window) = (quota.limit().get(), quota.window().get());
    match limit.checked_div(nodes.get()).unwrap_or(0) {
        // One token for each, in a time that is as much longer.
        0 => Quota::new(1, window.checked_mul(nodes.get())?.checked_div(limit)?.checked_add(1)?).ok(),
        part => Quota::new(part, window).ok(),
    }
}

#[cfg(test)]
mod tests {
    use tollkeeper_contract::lease::{Account, Lent};

    use super::{
        super::{Patience, Reply},
        *,
    };
    use crate::config::Remaining;

    const FLEET: Fleet =
        Fleet { wait: 500, fallback: Fallback::Share, remaining: Remaining::Fleet, nodes: NonZeroU32::new(3) };

    /// A share of one token in 300 ms, had since 500, of a lease that is told at 1000 that others begin at 4000.
    fn settling() -> Lease {
        let mut lease = Lease::cold(Limit::bucket(3000, 300), Monotonic(0));
        for now in [0, 500] {
            take(&mut lease, now);
        }
        let draft = lease.ask(Monotonic(1000));
        let seq = lease.to_ask(Account::Team("a".into()), draft).seq;
        let lent =
            Lent { account: Account::Team("a".into()), seq, granted: 0, void: 0, left: 0, wait_ms: 3000, held: 0 };
        let sent = Monotonic(1000);
        lease.take_in(Reply { draft, sent, lent: &lent, term: 5000, only_settles: true }, Monotonic(1010));
        lease
    }

    fn take(lease: &mut Lease, now: u64) -> Taking {
        lease.take(Limit::bucket(3000, 300), FLEET, Monotonic(now), 1, Patience::New).0
    }

    #[test]
    fn a_share_rests_when_leases_begin_again_so_that_nobody_is_lent_what_another_spends() {
        let mut lease = settling();
        assert_eq!(take(&mut lease, 3249), Taking::Taken(Basis::Share));
        assert_eq!(take(&mut lease, 3250), Taking::Refused { wait: 1500, basis: Basis::Share });
        assert_eq!(take(&mut lease, 4749), Taking::Refused { wait: 1, basis: Basis::Share });
    }

    #[test]
    fn a_share_is_spent_again_if_leases_do_not_begin_after_all() {
        assert_eq!(take(&mut settling(), 4750), Taking::Taken(Basis::Share));
    }

    #[test]
    fn who_is_refused_by_a_share_is_told_to_come_back_soon_because_outages_end() {
        let limit = Limit { promise: crate::config::Promise::Strict, ..Limit::bucket(1000, 86_400) };
        let mut lease = Lease::cold(limit, Monotonic(0));
        let mut take = |now| lease.take(limit, FLEET, Monotonic(now), 1, Patience::New).0;
        assert_eq!(take(0), Taking::Wait);
        assert_eq!(take(500), Taking::Refused { wait: 5000, basis: Basis::Share });
    }

    #[test]
    fn a_strict_share_begins_when_every_lease_of_other_nodes_has_ended_and_comes_a_window_later() {
        let limit = Limit { promise: Promise::Strict, ..Limit::bucket(30, 10) };
        let mut lease = Lease::cold(limit, Monotonic(0));
        let mut take = |now| lease.take(limit, FLEET, Monotonic(now), 1, Patience::New).0;
        assert_eq!(take(100), Taking::Wait);
        let first = (600..).find(|now| take(*now) == Taking::Taken(Basis::Share)).unwrap();
        assert_eq!(first, 100 + ENDED + 10_001);
    }

    #[test]
    fn what_rests_is_remembered_in_the_cell() {
        let (mut lease, mut bytes) = (settling(), Vec::new());
        lease.encode(&mut bytes);
        let (read, rest) = Lease::decode(&bytes).unwrap();
        assert_eq!((&read, rest), (&lease, &[][..]));
        lease.lends_from = Monotonic(0);
        assert_ne!(read, lease);
    }
}
