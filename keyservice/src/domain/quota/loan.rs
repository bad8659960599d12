//! What one node was lent of an account's quota.

use serde::{Deserialize, Serialize};
use tollkeeper_contract::lease::Ask;

use super::{AWAITED_MS, LOAN_KEPT_MS, MARGIN_MS, TERM_MS};

/// How often a node is lent as much as last until another one hears of it.
const GRANTS_UNHEARD: u64 = 4;

/// One node's part in a book. The counts are sums, and only `lapsed` ever falls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Loan {
    pub(super) granted: u64,
    pub(super) spent: u64,
    pub(super) returned: u64,
    /// What was not settled when its lease ended: the node must not spend it, but may have done so.
    pub(super) lapsed: u64,
    /// How many of them lapsed last and can come back, and when they lapsed. What the node gives back is of these only
    /// once all that lapsed before is settled.
    pub(super) recent: u64,
    /// How many lapsed before these.
    pub(super) earlier: u64,
    pub(super) lapsed_at: u64,
    pub(super) overdrawn: u64,
    /// The last question that was settled.
    pub(super) seq: u64,
    /// When the lease ends.
    pub(super) expiry: u64,
    pub(super) last_grant: u64,
    /// How many its clients were told to come back for, and when.
    pub(super) awaited: u64,
    pub(super) awaited_at: u64,
}

/// Tokens that are settled, by what had become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) of_lapsed: u64,
    pub(super) of_balance: u64,
}

impl Loan {
    /// Of a node that nothing is known of here: what it says is taken for what was.
    pub(super) fn adopted(ask: &Ask) -> Self {
        Self {
            granted: ask.granted,
            spent: ask.spent,
            returned: ask.returned,
            lapsed: ask.void.min(ask.granted.saturating_sub(ask.spent).saturating_sub(ask.returned)),
            recent: 0,
            earlier: 0,
            lapsed_at: 0,
            overdrawn: ask.settled,
            seq: 0,
            expiry: 0,
            last_grant: 0,
            awaited: 0,
            awaited_at: 0,
        }
    }

    /// What the node may still spend, or has spent without having said so.
    pub(super) fn balance(&self) -> u64 {
        self.granted.saturating_sub(self.spent).saturating_sub(self.returned).saturating_sub(self.lapsed)
    }

    /// Ends the lease, and gives what lapses by that.
    pub(super) fn lapse(&mut self) -> u64 {
        let lapsing = self.balance();
        if lapsing > 0 {
            self.earlier = self.lapsed;
            self.lapsed = self.lapsed.saturating_add(lapsing);
            (self.recent, self.lapsed_at) = (lapsing, self.expiry);
        }
        lapsing
    }

    pub(super) fn extend(&mut self, now: u64) {
        self.expiry = now.saturating_add((TERM_MS + MARGIN_MS).into());
    }

    /// How many its clients will still come back for.
    pub(super) fn is_awaiting(&self, now: u64) -> u64 {
        if now < self.awaited_at.saturating_add(AWAITED_MS) { self.awaited } else { 0 }
    }

    /// How many the node may take until another one hears of it, which is half a term later at most.
    pub(super) fn appetite(&self, now: u64) -> u64 {
        if self.is_awaiting(now) > 0 {
            return u64::MAX;
        }
        // Leases last for a second, and the next one is asked for when half of it is spent.
        if now < self.expiry { self.last_grant.saturating_mul(GRANTS_UNHEARD) } else { 0 }
    }

    pub(super) fn is_forgotten(&self, now: u64) -> bool {
        now >= self.expiry.saturating_add(LOAN_KEPT_MS)
    }

    /// The node has been lent so many by an engine whose memory was lost: gives how many are new here.
    pub(super) fn learn_granted(&mut self, granted: u64) -> u64 {
        let unknown = granted.saturating_sub(self.granted);
        self.granted = self.granted.saturating_add(unknown);
        unknown
    }

    /// What the node says to have spent: gives how many of these it still had here.
    ///
    /// Of what lapsed, it has spent only what it had not been told of, and what it cannot have had otherwise.
    pub(super) fn settle_spent(&mut self, ask: &Ask) -> u64 {
        let gone = ask.void.saturating_add(ask.spent).saturating_add(ask.returned);
        let most = self.lapsed.saturating_sub(ask.void).saturating_add(gone.saturating_sub(ask.granted));
        let settled = self.settle(ask.spent.saturating_sub(self.spent), most);
        self.spent = self.spent.max(ask.spent);
        // That may have been of what lapsed last.
        self.earlier = self.earlier.min(self.lapsed);
        self.recent = self.recent.min(self.lapsed - self.earlier);
        settled.of_balance
    }

    /// What the node gives back: gives how many of these it still had here, and how many had lapsed last.
    pub(super) fn settle_returned(&mut self, ask: &Ask) -> Settled {
        let most = self.lapsed.saturating_sub(ask.void);
        let settled = self.settle(ask.returned.saturating_sub(self.returned), most);
        self.returned = self.returned.max(ask.returned);
        // What lapsed before comes first.
        let of_earlier = settled.of_lapsed.min(self.earlier);
        self.earlier -= of_earlier;
        let of_lapsed = (settled.of_lapsed - of_earlier).min(self.recent);
        self.recent = (self.recent - of_lapsed).min(self.lapsed.saturating_sub(self.earlier));
        Settled { of_lapsed, ..settled }
    }

    /// The node has overdrawn so many: gives how many are new here.
    pub(super) fn settle_overdrawn(&mut self, overdrawn: u64) -> u64 {
        let unknown = overdrawn.saturating_sub(self.overdrawn);
        self.overdrawn = self.overdrawn.max(overdrawn);
        unknown
    }

    fn settle(&mut self, tokens: u64, most_lapsed: u64) -> Settled {
        let of_lapsed = tokens.min(self.lapsed).min(most_lapsed);
        let of_balance = (tokens - of_lapsed).min(self.balance());
        self.lapsed -= of_lapsed;
        Settled { of_lapsed, of_balance }
    }
}
