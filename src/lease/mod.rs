//! What this node was lent of a team's quota over the fleet, and what becomes of a request for tokens: pure arithmetic.
//!
//! * here: spending
//! * `exchange`: asking the key service for more, and its answers
//! * `dry`: what cannot be had, and what clients are told of it
//! * `share`: what a node may do when nobody answers
//! * `layout`: the lease as bytes
//!
//! Counts are sums since the cell was made and only grow, so nothing that is lost, doubled or overtaken on the way to
//! the key service and back can lose or mint a token ([`tollkeeper_contract::lease`]).

mod dry;
mod exchange;
mod layout;
mod share;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;

use tollkeeper_contract::lease::UNHEARD_PART;

use crate::{
    config::{Fallback, Promise, Remaining},
    limiter::{Left, Limit, Limiter},
    time::Monotonic,
};

use dry::{CROWDED, Dry, Heard};
pub use exchange::{Draft, Reply};

/// After how many milliseconds without an answer the steward is reminded: a message or a steward may be lost.
const REMIND_AFTER: u64 = 250;

/// After how many milliseconds in which nobody reminded it the steward is asked anew: that says nothing about the service.
const FORGET_AFTER: u64 = 10_000;

/// For how long it is known how much the fleet has left, in milliseconds, if there are other nodes.
const KNOWN_FOR: u64 = 1000;

/// For how long a lease stays one, in milliseconds, when requests under a configuration come that knows of none: while
/// connections are drained, requests under both come.
const SETTLED_AFTER: u64 = 10_000;

/// How quotas hold over the whole fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// How long a request may wait for a lease, in milliseconds.
    pub wait: u64,
    /// What happens when nobody answers.
    pub fallback: Fallback,
    /// Of what it is told that it is left.
    pub remaining: Remaining,
    /// How many nodes there are, as last known.
    pub nodes: Option<NonZeroU32>,
}

/// Whether a request may still wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It comes for the first time, and may.
    New,
    /// It waits already, and may go on.
    Left,
    /// It has waited as long as it may, since then.
    Over(Monotonic),
}

/// One node's lease on the quota of a team.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The limit that held when it was last looked at.
    limit: Limit,
    /// When it began: its sums are told apart by that from those of a lease on the same account before it.
    since: Monotonic,
    granted: u64,
    void: u64,
    spent: u64,
    spent_at: Monotonic,
    returned: u64,
    /// Until when the balance may be spent.
    until: Monotonic,
    overdrawn: u64,
    settled: u64,
    /// The last question about this account, and the last that was answered.
    asked: u64,
    answered: u64,
    /// The highest limit under which something was asked since the last answer.
    asked_under: u32,
    answered_at: Monotonic,
    /// What was spent when the question was put that was answered last.
    spent_before: u64,
    /// The balance when it was answered.
    size: u64,
    /// What the fleet had left beyond it.
    left: u64,
    /// Tokens that were not there since the last answer, each time that they were wanted.
    missed: u32,
    /// The greatest of those costs.
    need: u32,
    /// The least cost since the last answer; 0 without any.
    least: u32,
    /// Since when the steward has been asked without an answer that requests can be told, and when it was told last.
    asking: Option<Asking>,
    /// How many tokens cannot be had.
    dry: Option<Dry>,
    /// When a crowd began to hope for what others hold; 0 if none ever did.
    hoped_at: Monotonic,
    /// What this node may spend as long as nobody answers.
    share: Option<Limiter>,
    /// When leases begin again, as was said by an answer that only settles; 0 if it was not.
    lends_from: Monotonic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asking {
    since: Monotonic,
    reminded: Monotonic,
    heard: Heard,
}

/// What becomes of a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// The tokens were there, and are gone now.
    Taken(Basis),
    /// They are not.
    Refused {
        /// Milliseconds after which a lone client will get them, at least 1; [`u64::MAX`] if never. Of a share, when it is
        /// worth another try.
        wait: u64,
        /// What says so.
        basis: Basis,
    },
    /// An answer is on its way.
    Wait,
    /// There is no lease, nobody answers, and nothing may be spent without.
    Unavailable,
}

/// On what tokens are given or refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The quota as it was promised.
    Quota,
    /// This node's share of it, because nobody answers.
    Share,
}

/// Whether the steward is to be told that tokens are wanted.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It is.
    Ask,
    /// It knows, or need not.
    Silent,
}

impl Lease {
    /// Of an account for which nothing was asked yet.
    #[must_use]
    pub fn cold(limit: Limit, now: Monotonic) -> Self {
        Self {
            limit,
            since: now,
            granted: 0,
            void: 0,
            spent: 0,
            spent_at: now,
            returned: 0,
            until: Monotonic(0),
            overdrawn: 0,
            settled: 0,
            asked: 0,
            asked_under: 0,
            answered: 0,
            answered_at: now,
            spent_before: 0,
            size: 0,
            left: 0,
            missed: 0,
            need: 0,
            least: 0,
            asking: None,
            dry: None,
            hoped_at: Monotonic(0),
            share: None,
            lends_from: Monotonic(0),
        }
    }

    /// Takes `cost` tokens.
    pub fn take(
        &mut self,
        limit: Limit,
        fleet: Fleet,
        now: Monotonic,
        cost: u32,
        patience: Patience,
    ) -> (Taking, Signal) {
        self.observe(limit);
        if cost > limit.quota.limit().get() {
            return (Taking::Refused { wait: u64::MAX, basis: Basis::Quota }, Signal::Silent);
        }
        if u64::from(cost) <= self.balance(now) {
            self.note_cost(cost);
            self.spent = self.spent.saturating_add(cost.into());
            self.spent_at = now;
            return (Taking::Taken(Basis::Quota), self.look_ahead(now));
        }
        let dry = match patience {
            Patience::New => self.still_dry_for(cost, fleet, now),
            Patience::Left | Patience::Over(_) => self.dry_for(cost, now),
        };
        if let Some(wait) = dry {
            return (Taking::Refused { wait, basis: Basis::Quota }, Signal::Silent);
        }
        self.note_cost(cost);
        // Whoever waits already counts once for each answer.
        if patience == Patience::New || self.asking.is_none() {
            self.missed = self.missed.saturating_add(cost);
        }
        self.need = self.need.max(cost);
        let signal = if self.put_off(fleet, patience, now) { Signal::Silent } else { self.ask_for(now) };
        let (since, heard) = self.asking.map_or((now, Heard::Nothing), |asking| (asking.since, asking.heard));
        let is_over = now.since(since) >= fleet.wait;
        let taking = match (patience, heard) {
            (Patience::New | Patience::Left, _) if !is_over => return (Taking::Wait, signal),
            (_, Heard::MayBeSooner) => match self.stop_hoping(cost, now) {
                Some(wait) => Taking::Refused { wait, basis: Basis::Quota },
                None => self.fall_back(fleet, now, cost),
            },
            (Patience::Over(began), Heard::Nothing) if !is_over && since > began => {
                // Answers came, and others were faster each time.
                let wait = self.dry_at_the_longest(cost, now).unwrap_or(CROWDED);
                Taking::Refused { wait, basis: Basis::Quota }
            }
            (_, Heard::Nothing) => self.fall_back(fleet, now, cost),
        };
        // It goes, and if it comes again it is no crowd.
        self.missed = self.missed.saturating_sub(cost);
        (taking, signal)
    }

    /// Takes note of a changed limit: what was said about the old one does not count, and what was lent under a higher one
    /// goes back.
    pub fn observe(&mut self, limit: Limit) {
        let before = std::mem::replace(&mut self.limit, limit);
        if before == limit {
            return;
        }
        self.dry = None;
        self.left = self.left.min(limit.quota.limit().get().into());
        self.give_back_above(before.quota.limit().get());
    }

    /// Gives back what was lent under the limit `before`, if that was higher: how much of it is left over all nodes under
    /// the new one, only the key service knows.
    fn give_back_above(&mut self, before: u32) {
        if self.limit.quota.limit().get() < before {
            self.returned = self.returned.saturating_add(self.unspent());
        }
    }

    /// The limit that held when it was last looked at.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// What this node may spend without asking.
    #[must_use]
    pub fn balance(&self, now: Monotonic) -> u64 {
        if now < self.until { self.unspent() } else { 0 }
    }

    /// What is left, and when there is more.
    #[must_use]
    pub fn left(&self, now: Monotonic, fleet: Fleet) -> Left {
        let quota = self.limit.quota;
        let limit = u64::from(quota.limit().get());
        let tokens = match (&self.share, fleet.remaining) {
            (Some(share), _) => share.left().tokens,
            (None, Remaining::Lease) => self.balance(now).min(limit),
            (None, Remaining::Fleet) => self.balance(now).saturating_add(self.left_beyond(now, fleet.nodes)).min(limit),
        };
        let until_next = match self.dry.filter(|dry| tokens == 0 && dry.until > now) {
            Some(dry) => dry.until.since(now),
            None if tokens == limit => 0,
            None => {
                let window = u64::from(quota.window().get()).saturating_mul(1000);
                match self.limit.promise {
                    Promise::Bucket => window.div_ceil(limit),
                    // When the others spent what will come back next, only the key service knows; at the latest then.
                    Promise::Strict => window,
                }
            }
        };
        Left { tokens, until_next }
    }

    /// What the fleet has left beyond the balance, as far as this node knows, less what the others may have taken since.
    fn left_beyond(&self, now: Monotonic, nodes: Option<NonZeroU32>) -> u64 {
        match nodes.map(|nodes| u64::from(nodes.get() - 1)) {
            Some(0) => self.left,
            Some(others) if now.since(self.answered_at) < KNOWN_FOR => {
                // They may be in as much demand as this one.
                let each = self.limit.quota.limit().get().div_ceil(UNHEARD_PART);
                self.left.saturating_sub(self.size.max(each.into()).saturating_mul(others))
            }
            // Of what others may have taken long since, or if it is not known how many there are, nothing is certain.
            Some(_) | None => 0,
        }
    }

    /// Whether it has only begun.
    #[must_use]
    pub fn is_new(&self, now: Monotonic) -> bool {
        now.since(self.since) < SETTLED_AFTER
    }

    /// Whether a request that waits for an answer should be judged again: there is one, or the steward is to be reminded.
    #[must_use]
    pub fn has_news(&self, now: Monotonic) -> bool {
        let is_answered = self.asking.is_none_or(|asking| now.since(asking.reminded) >= REMIND_AFTER);
        // An answer that came and was followed by the next question left something.
        is_answered || self.balance(now) > self.need.saturating_sub(1).into()
    }

    /// When it began.
    #[cfg(test)]
    pub(crate) fn since(&self) -> Monotonic {
        self.since
    }

    /// Whether this node lives from its share.
    #[cfg(test)]
    pub(crate) fn has_share(&self) -> bool {
        self.share.is_some()
    }

    fn unspent(&self) -> u64 {
        self.granted.saturating_sub(self.void).saturating_sub(self.spent).saturating_sub(self.returned)
    }

    /// Asks for the next lease before this one is used up, unless it is known that there is none; again, if there is no
    /// answer: requests are not to wait for one that was lost.
    fn look_ahead(&mut self, now: Monotonic) -> Signal {
        let is_low = self.unspent() <= self.size / 2;
        let is_dry = self.dry.is_some_and(|dry| now < dry.holds);
        if is_low && !is_dry { self.ask_for(now) } else { Signal::Silent }
    }

    fn ask_for(&mut self, now: Monotonic) -> Signal {
        match &mut self.asking {
            Some(asking) if now.since(asking.reminded) < REMIND_AFTER => Signal::Silent,
            Some(asking) if now.since(asking.reminded) < FORGET_AFTER => {
                asking.reminded = now;
                Signal::Ask
            }
            // Nobody asked, or nobody has wanted to know for long.
            Some(_) | None => {
                self.asking = Some(Asking { since: now, reminded: now, heard: Heard::Nothing });
                Signal::Ask
            }
        }
    }

    fn note_cost(&mut self, cost: u32) {
        if self.least == 0 || cost < self.least {
            self.least = cost;
        }
    }
}
