//! Settling with the key service and asking for more; every step is one compare-and-swap of the cell.

use tollkeeper_contract::lease::{self, Ask, Lent};

use crate::{config::Promise, time::Monotonic};

use super::{Asking, Dry, Fleet, Heard, Lease, Patience};

/// At least this part of the limit is asked for: small against the limit, and enough for somebody who sends a few requests.
const WANTED_PART: u32 = 32;

/// For how long a lease should last at the present demand, in milliseconds.
const AHEAD: u64 = 1000;

/// The demand of one request is taken to have come up in no less than this time, in milliseconds: nothing follows from it.
/// That of several in as much less as they are more, up to ten.
const LEAST_TIME: u64 = 100;
const MOST_AT_ONCE: u64 = 10;

/// How soon it is asked again whether other nodes gave something back, in milliseconds.
pub(super) const RECALLED: u64 = 200;

/// How long requests must be allowed to wait, in milliseconds, if a question is to be put off: so that they hear the answer.
const LEAST_WAIT_TO_PUT_OFF: u64 = 1000;

/// After how many milliseconds without a request a lease goes back where little is left, and otherwise.
const IDLE_AND_SCARCE: u64 = 200;
const IDLE: u64 = 3000;

/// How often strict leases are settled in a window, and the shortest time between, in milliseconds.
const STRICT_PARTS: u64 = 128;
const SOONEST: u64 = 200;

/// What was asked: needed again when the answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    /// The number of the question.
    pub seq: u64,
    since: Monotonic,
    pub(super) need: u32,
    want: u32,
    pub(super) least: u32,
    spent: u64,
    overdrawn: u64,
}

/// An answer to a draft.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// What was asked.
    pub draft: Draft,
    /// When.
    pub sent: Monotonic,
    /// What is lent.
    pub lent: &'a Lent,
    /// For how long, counted from when it was asked, in milliseconds.
    pub term: u64,
    /// Whether this only settles, and nobody lends at present.
    pub only_settles: bool,
}

impl Lease {
    /// Puts the next question. What was not wanted since the last answer is given back.
    pub fn ask(&mut self, now: Monotonic) -> Draft {
        let demand = self.spent.saturating_sub(self.spent_before).saturating_add(self.missed.into());
        let is_idle = self.is_idle(now);
        // What does not suffice for a request that waits for more counts where that is looked for.
        let is_too_little = self.hopes() && self.balance(now) < self.need.into();
        // After its end, a balance will not be spent again.
        if is_idle || is_too_little || now >= self.until {
            self.returned = self.returned.saturating_add(self.unspent());
        }
        self.give_back_void();
        self.asked = self.asked.saturating_add(1);
        self.asked_under = self.asked_under.max(self.limit.quota.limit().get());
        Draft {
            seq: self.asked,
            since: self.since,
            need: self.need,
            want: if is_idle { 0 } else { self.wanted(demand, now) },
            least: self.least.max(1),
            spent: self.spent,
            overdrawn: self.overdrawn,
        }
    }

    /// The question as it travels.
    #[must_use]
    pub fn to_ask(&self, account: lease::Account, draft: Draft) -> Ask {
        Ask {
            account,
            since: self.since.0,
            seq: draft.seq,
            granted: self.granted,
            void: self.void,
            spent: self.spent,
            returned: self.returned,
            overdrawn: self.overdrawn,
            settled: self.settled,
            need: draft.need,
            want: draft.want,
            least: draft.least,
            limit: self.limit.quota.limit().get(),
            window: self.limit.quota.window().get(),
            promise: match self.limit.promise {
                Promise::Bucket => lease::Promise::Bucket,
                Promise::Strict => lease::Promise::Strict,
            },
        }
    }

    /// Takes in an answer, unless a later one is in already, or it is for a lease before this one.
    pub fn take_in(&mut self, reply: Reply<'_>, now: Monotonic) {
        let Reply { draft, sent, lent, term, only_settles } = reply;
        if draft.since != self.since || lent.seq != draft.seq || draft.seq <= self.answered {
            return;
        }
        self.answered = draft.seq;
        self.answered_at = now;
        let (before, granted) = (self.unspent(), self.granted);
        self.granted = self.granted.max(lent.granted);
        self.void = lent.void;
        if only_settles {
            // Nobody lends at present. What comes all the same was asked for before the outage, by a question that was held
            // back, and nodes may have spent as much of their shares since.
            self.returned = self.returned.saturating_add(self.unspent().saturating_sub(before));
        }
        // Counted from the question, which is too early rather than too late.
        self.lends_from = if only_settles { sent.after(lent.wait_ms) } else { Monotonic(0) };
        // Some of it may have been asked for under a higher limit, if the answer to that was late or lost.
        let asked_under = std::mem::replace(&mut self.asked_under, 0);
        self.give_back_above(asked_under);
        self.until = self.until.max(sent.after(term));
        self.settled = self.settled.max(draft.overdrawn);
        self.spent_before = draft.spent;
        self.size = self.balance(now);
        self.left = lent.left;
        if only_settles {
            return;
        }
        self.share = None;
        if self.hopes() {
            // Nobody was told yet what was said before.
            self.dry = None;
        }
        // Never is for costs above the quota, which are not asked for: the quota has changed meanwhile.
        self.dry = match lent.wait_ms {
            0 if self.granted == granted && self.balance(now) < draft.want.into() => {
                Some(Dry::for_looking_ahead(draft, now))
            }
            0 | u64::MAX => None,
            _ => Some(self.told_to_wait(draft, sent, lent, now)),
        };
        if self.may_hope(draft, lent, now) {
            let since = self.asking.map_or(now, |asking| asking.since);
            if self.is_crowd(draft) && !self.hopes() {
                self.hoped_at = now;
            }
            self.asking = Some(Asking { since, reminded: now, heard: Heard::MayBeSooner });
            if self.missed <= self.need {
                // Of the next answer, only this request is told.
                self.least = self.need;
            }
            return;
        }
        if self.hopes() && self.granted.saturating_sub(granted) >= self.worth_a_question().into() {
            // It was not in vain, and there may be more where that came from.
            self.hoped_at = Monotonic(0);
        }
        self.asking = None;
        (self.missed, self.need, self.least) = (0, 0, 0);
    }

    /// Until when nothing is asked again, once looking ahead was in vain: before, others had no time to give anything back. Not
    /// where tokens come back sooner, or where that is much of the window.
    fn in_vain_until(&self) -> Option<Monotonic> {
        let (dry, until) = (self.dry.filter(|dry| dry.looked_ahead())?, self.answered_at.after(RECALLED));
        let window = u64::from(self.limit.quota.window().get()).saturating_mul(1000);
        (dry.holds >= until && window / STRICT_PARTS >= RECALLED).then_some(until)
    }

    /// Whether a request waits for a question that is put later: when the steward looks at what is to be settled.
    pub(super) fn put_off(&mut self, fleet: Fleet, patience: Patience, now: Monotonic) -> bool {
        let Some(until) = self.in_vain_until() else { return false };
        let may_wait = patience == Patience::New && fleet.wait >= LEAST_WAIT_TO_PUT_OFF;
        let is_alone = fleet.nodes.is_some_and(|nodes| nodes.get() == 1);
        if !may_wait || is_alone || self.asking.is_some() || self.is_at_rest() || now >= until {
            return false;
        }
        self.asking = Some(Asking { since: now, reminded: until, heard: Heard::Nothing });
        true
    }

    /// What must not be spent any more, and was not, is as good as what is given back.
    fn give_back_void(&mut self) {
        let kept = self.granted.saturating_sub(self.spent).saturating_sub(self.returned);
        self.returned = self.returned.saturating_add(self.void.min(kept));
        self.void = 0;
    }

    /// Whether the key service knows all there is to know, and nothing is lent.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let is_settled = self.spent == self.spent_before && self.overdrawn == self.settled;
        self.unspent() == 0 && self.void == 0 && is_settled && self.answered == self.asked && self.asking.is_none()
    }

    /// After how many milliseconds it is to be settled again; 0 for now.
    ///
    /// In time to be renewed, and under a strict promise soon, because what was spent comes back a window after it was
    /// settled. Whoever holds something hears every `fresh` milliseconds how much is left; where that is little, it goes
    /// back as soon as it is not in use: others may need it.
    #[must_use]
    pub fn settles_after(&self, now: Monotonic, fresh: u64) -> u64 {
        let renewed = self.until.since(self.answered_at) / 2;
        let interval = match self.limit.promise {
            Promise::Bucket => renewed,
            Promise::Strict => (u64::from(self.limit.quota.window().get()).saturating_mul(1000) / STRICT_PARTS)
                .clamp(renewed.min(SOONEST), renewed),
        };
        let due = self.answered_at.after(interval).since(now);
        if self.hopes() {
            return due.min(self.answered_at.after(RECALLED).since(now));
        }
        let due = match (self.asking, self.in_vain_until()) {
            (Some(asking), _) => due.min(asking.reminded.since(now)),
            (None, Some(until)) if now < until => due.min(until.since(now)),
            (None, Some(_) | None) => due,
        };
        // All that it has is spent, and the key service knows.
        if self.unspent() == 0 && self.spent == self.spent_before {
            return due;
        }
        due.min(self.answered_at.after(fresh).since(now)).min(self.idle_from().since(now))
    }

    /// From when on it is not in use, if no request comes.
    fn idle_from(&self) -> Monotonic {
        let is_scarce = self.left <= self.size.saturating_mul(2);
        // What has only just come is not idle yet.
        self.spent_at.after(if is_scarce { IDLE_AND_SCARCE } else { IDLE }).max(self.answered_at.after(LEAST_TIME))
    }

    fn is_idle(&self, now: Monotonic) -> bool {
        self.asking.is_none() && now >= self.idle_from()
    }

    /// As many as will be wanted for a while, if demand stays what it was since the last answer.
    fn wanted(&self, demand: u64, now: Monotonic) -> u32 {
        let limit = self.limit.quota.limit().get();
        if demand == 0 {
            return self.need.min(limit);
        }
        let requests = demand.checked_div(self.least.max(self.need).into()).unwrap_or(1).clamp(1, MOST_AT_ONCE);
        let elapsed = now.since(self.answered_at).clamp(LEAST_TIME.checked_div(requests).unwrap_or(LEAST_TIME), AHEAD);
        let expected = demand.saturating_mul(AHEAD).checked_div(elapsed).unwrap_or(demand);
        let wanted = u32::try_from(expected).unwrap_or(u32::MAX).max(limit / WANTED_PART).max(self.need);
        wanted.min(limit)
    }
}
