//! What a node may spend as long as nobody answers: its share of the limit, begun with nothing, because what the others
//! have spent is not known.

use std::num::NonZeroU32;

use tollkeeper_contract::Quota;

use crate::{
    config::Fallback,
    limiter::{Limit, Limiter, Outcome},
    time::Monotonic,
};

use super::{Basis, Fleet, Lease, Taking};

impl Lease {
    /// Nobody answers: takes `cost` tokens out of this node's share, if it may.
    pub(super) fn fall_back(&mut self, fleet: Fleet, now: Monotonic, cost: u32) -> Taking {
        let nodes = match (fleet.fallback, fleet.nodes) {
            (Fallback::Share, Some(nodes)) => nodes,
            (Fallback::Refuse, _) | (_, None) => return Taking::Unavailable,
        };
        let Some(quota) = share_of(self.limit.quota, nodes) else { return Taking::Unavailable };
        let limit = Limit { quota, ..self.limit };
        let share = self.share.take().map_or_else(|| Limiter::holding(0, limit, now), |share| share.at(limit, now));
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
                    wait => Taking::Refused { wait, basis: Basis::Share },
                }
            }
        }
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
