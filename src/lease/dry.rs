//! What the key service said of tokens that cannot be had, and what clients are told of it.

use tollkeeper_contract::lease::Lent;

use crate::{config::Promise, time::Monotonic};

use super::{Asking, Draft, Fleet, Lease, exchange::RECALLED};

/// How long it holds that tokens cannot be had, in milliseconds, before it is asked again: other nodes may have given theirs
/// back.
const HOLDS_FOR: u64 = 2500;

/// What is told to wait when tokens come faster than they can be had, in milliseconds.
pub(super) const CROWDED: u64 = 1000;

/// A crowd is asked for again when this part of the limit came back, after so many milliseconds at the latest.
const CROWD_PART: u32 = 16;
const LONGEST_FOR_CROWD: u64 = 5000;

/// When all leases have ended that there are now, in milliseconds.
pub(super) const ENDED: u64 = 6_000;

/// How long ago an answer shows that answers come, in milliseconds.
const LATELY: u64 = 1_000;

/// How often a crowd may hope for what others hold, in milliseconds.
const BETWEEN_HOPES: u64 = 10_000;

/// What the key service said of tokens that cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dry {
    /// Until when that is taken for granted.
    pub(super) holds: Monotonic,
    /// How many cannot be had, and what clients are told. 0: that was asked for nobody.
    pub(super) least: u32,
    pub(super) until: Monotonic,
    /// The same for the most that was asked about since: it takes longer. 0: nobody is told.
    pub(super) most: u32,
    pub(super) until_most: Monotonic,
    /// Whether more than one request was told.
    pub(super) crowd: bool,
}

/// What the key service has said of tokens that are wanted, and are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// That other nodes may give some back, and when they come otherwise: that stands in `dry`.
    MayBeSooner,
}

impl Dry {
    /// Nothing was there beyond what is needed: who looks ahead need not ask again soon.
    pub(super) fn for_looking_ahead(draft: Draft, now: Monotonic) -> Self {
        let least = draft.need.min(1);
        Self { holds: now.after(HOLDS_FOR), least, until: now, most: 0, until_most: now, crowd: false }
    }

    /// Whether no request waited for what was said.
    pub(super) fn looked_ahead(&self) -> bool {
        self.least == 0
    }
}

impl Lease {
    /// How long the key service said that so many tokens cannot be had. A crowd is told the longest; for one client a cost
    /// between those that were asked about is asked about, too.
    pub(super) fn dry_for(&self, cost: u32, now: Monotonic) -> Option<u64> {
        let dry = self.dry.filter(|dry| (dry.least..=dry.most).contains(&cost) && now < dry.holds)?;
        let until = match cost {
            _ if cost == dry.least => dry.until,
            _ if cost == dry.most || dry.crowd => dry.until_most,
            _ => return None,
        };
        self.asking.is_none().then(|| until.since(now))
    }

    /// The same for a request that did not wait for what was said. Of several tokens, other nodes may have lent some since to
    /// requests that cost less; for a crowd, which is told longer, nobody asks again.
    pub(super) fn still_dry_for(&self, cost: u32, fleet: Fleet, now: Monotonic) -> Option<u64> {
        let is_alone = fleet.nodes.is_some_and(|nodes| nodes.get() == 1);
        let is_certain = cost == 1 || is_alone || self.dry.is_some_and(|dry| dry.crowd);
        if is_certain { self.dry_for(cost, now) } else { None }
    }

    /// Nobody has given anything back: what was said holds, if it was said lately.
    pub(super) fn stop_hoping(&mut self, cost: u32, now: Monotonic) -> Option<u64> {
        let asking = self.asking.take();
        let told = self.dry_for(cost, now);
        // Where the next comes sooner than it is asked for again, others were faster each time.
        let answers_come = now.since(self.answered_at) < LATELY;
        let wait = told.or_else(|| self.dry_at_the_longest(cost, now)).or(answers_come.then_some(CROWDED));
        if told.is_none() {
            // It was said of a cost that nobody is told of now.
            self.dry = None;
        }
        match wait {
            Some(_) => (self.missed, self.need, self.least) = (0, 0, 0),
            // The question goes on.
            None => self.asking = asking.map(|asking| Asking { heard: Heard::Nothing, ..asking }),
        }
        wait
    }

    /// The same for costs of which it said nothing: when a lone client has so many at the latest.
    pub(super) fn dry_at_the_longest(&self, cost: u32, now: Monotonic) -> Option<u64> {
        let dry = self.dry.filter(|dry| now < dry.holds && dry.most > 0)?;
        let window = u64::from(self.limit.quota.window().get()).saturating_mul(1000);
        Some(match self.limit.promise {
            Promise::Bucket => {
                let more = u64::from(cost.saturating_sub(dry.most)).saturating_mul(window);
                dry.until_most.since(now).saturating_add(more.div_ceil(self.limit.quota.limit().get().into()))
            }
            // By then, all that was spent until now has come back, also what others hold whose leases end without a word.
            Promise::Strict => dry.until_most.since(now).max(window.saturating_add(ENDED)),
        })
    }

    /// Whether requests that wait for more than there is go on waiting, because other nodes may give some back. A crowd
    /// only if it may suffice for all, and not again and again: where more is wanted than there is, each token would take
    /// questions.
    pub(super) fn may_hope(&self, draft: Draft, lent: &Lent, now: Monotonic) -> bool {
        let is_short = draft.need > 0 && self.balance(now) < draft.need.into();
        let is_recent = self.asking.is_some_and(|asking| now.since(asking.since) < HOLDS_FOR);
        // While a question was put off, others used most of what they had, or gave it back.
        let was_put_off =
            self.asking.is_some_and(|asking| (1..=RECALLED).contains(&asking.reminded.since(asking.since)));
        let is_plenty = !was_put_off || u64::from(self.missed) <= lent.held / 2;
        let is_first = is_plenty && (self.hoped_at.0 == 0 || now.since(self.hoped_at) >= BETWEEN_HOPES);
        let may_suffice = (is_first || self.hopes()) && u64::from(self.missed) <= lent.held;
        lent.held > 0 && is_short && is_recent && (may_suffice || !self.is_crowd(draft))
    }

    pub(super) fn hopes(&self) -> bool {
        self.asking.is_some_and(|asking| asking.heard == Heard::MayBeSooner)
    }

    /// Whether more than one request waits.
    pub(super) fn is_crowd(&self, draft: Draft) -> bool {
        self.missed > draft.need.max(self.need)
    }

    pub(super) fn told_to_wait(&self, draft: Draft, sent: Monotonic, lent: &Lent, now: Monotonic) -> Dry {
        let is_crowd = self.is_crowd(draft);
        let longer = if is_crowd { self.time_for_crowd(draft.least) } else { 0 };
        let (least, wait) = (draft.least, lent.wait_ms.saturating_add(longer));
        let wait = if is_crowd && lent.held > 0 { wait.min(LONGEST_FOR_CROWD) } else { wait };
        let until = now.after(wait);
        // The key service may have said it at any time since it was asked: clients are told the latest, and here the
        // earliest counts, for whom another node told it.
        let holds = sent.after(wait).min(now.after(HOLDS_FOR.max(longer)));
        let told = Dry { holds, least, until, most: least, until_most: until, crowd: is_crowd };
        if !is_crowd && self.balance(now) >= draft.need.into() {
            // Nobody is told so now. A lone client, whom another node told something better since, is to be asked for.
            return Dry { least: draft.need.min(least), most: 0, ..told };
        }
        match self.dry.filter(|dry| now < dry.holds && dry.least < least && dry.most > 0) {
            Some(dry) => Dry { holds: dry.holds.min(holds), least: dry.least, until: dry.until, ..told },
            None => told,
        }
    }

    /// How many tokens a crowd asks for again.
    pub(super) fn worth_a_question(&self) -> u32 {
        (self.limit.quota.limit().get() / CROWD_PART).max(1)
    }

    /// How much longer it takes, in milliseconds, until there is enough for a crowd and not only for one request: so that
    /// a question is worth it, and not each token takes one.
    fn time_for_crowd(&self, least: u32) -> u64 {
        let limit = self.limit.quota.limit().get();
        let crowd = u64::from(self.worth_a_question().saturating_sub(least));
        let window = u64::from(self.limit.quota.window().get()).saturating_mul(1000);
        crowd.saturating_mul(window).checked_div(limit.into()).unwrap_or(0).min(LONGEST_FOR_CROWD)
    }
}
