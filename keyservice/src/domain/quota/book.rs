//! The book of one account: what its quota has left, and what is lent to whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollkeeper_contract::{
    Quota,
    lease::{Ask, Lent, Promise, UNHEARD_PART},
};

use super::{
    BOOK_KEPT_MS, Claim, LEAST_PART,
    allowance::{Allowance, Scene, window_ms},
    loan::Loan,
};

/// What one account has left, and what of it is lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    quota: Quota,
    /// The latest time at which it was looked at: before that, it is never again.
    at: u64,
    allowance: Allowance,
    /// What lapsed until then is not taken back.
    closed: u64,
    loans: BTreeMap<String, Loan>,
}

/// What an account has of which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// All of its limit: it has never spent anything.
    Full,
    /// It had nothing at that time, when the engine's memory began: what was spent before is not known.
    EmptySince(u64),
}

/// Whether tokens are lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lending {
    /// They are.
    Lends,
    /// Not yet: nodes first say what they have spent.
    OnlySettles,
}

impl Book {
    /// The book of an account that has none, when the engine's clock shows `clock`.
    #[must_use]
    pub fn open(claim: &Claim, opening: Opening, clock: u64) -> Self {
        let (allowance, at) = Allowance::open(claim.promise(), claim.quota(), opening, clock);
        Self { quota: claim.quota(), at, allowance, closed: 0, loans: BTreeMap::new() }
    }

    /// Settles what `node` says, lends what it can, and answers, when the engine's clock shows `clock`.
    pub fn settle(&mut self, claim: &Claim, node: &str, clock: u64, lending: Lending) -> Lent {
        let ask = claim.ask();
        self.advance(self.at.max(clock));
        let mut loan = self.loans.remove(node).unwrap_or_else(|| Loan::adopted(ask));
        let is_new = ask.seq > loan.seq;
        if is_new {
            loan.seq = ask.seq;
            self.take_over(claim, &mut loan);
            self.settle_counts(ask, &mut loan);
            let grant = match lending {
                Lending::Lends => self.grant(ask, &loan),
                Lending::OnlySettles => 0,
            };
            self.allowance.lend(grant, self.quota);
            loan.granted = loan.granted.saturating_add(grant);
            loan.last_grant = grant;
            loan.extend(self.at);
        }
        let next = self.time_of_next(ask, &loan);
        if is_new {
            note_awaited(ask, &mut loan, next.filter(|time| *time < u64::MAX));
        }
        let lent = self.answer(ask, &loan, next, clock);
        self.loans.insert(node.to_owned(), loan);
        let now = self.at;
        self.loans.retain(|_, loan| !loan.is_forgotten(now));
        lent
    }

    /// Tokens that `node` was lent ever, as far as this book knows.
    #[must_use]
    pub fn granted(&self, node: &str) -> u64 {
        self.loans.get(node).map_or(0, |loan| loan.granted)
    }

    /// Whether it is as if nobody had ever asked, when the engine's clock shows `clock`.
    #[must_use]
    pub fn is_forgotten(&self, clock: u64) -> bool {
        clock >= self.at.saturating_add(2 * window_ms(self.quota)).saturating_add(BOOK_KEPT_MS)
    }

    /// Time passes. What a lease that ends meanwhile leaves unsettled may have been spent.
    fn advance(&mut self, now: u64) {
        let mut due: Vec<_> = self.loans.iter().map(|(node, loan)| (loan.expiry, node.clone())).collect();
        due.retain(|(expiry, _)| *expiry <= now);
        due.sort();
        for (expiry, node) in due {
            self.pass(expiry);
            let lapsing = self.loans.get_mut(&node).map_or(0, Loan::lapse);
            self.allowance.spend_lent(lapsing, self.scene(0));
        }
        self.pass(now);
        self.bound_recent(None);
    }

    fn pass(&mut self, until: u64) {
        let elapsed = until.saturating_sub(self.at);
        if elapsed == 0 {
            return;
        }
        self.at = until;
        let over = self.allowance.pass(elapsed, self.scene(0));
        self.close(over);
        self.bound_recent(None);
    }

    /// What lapsed from a bucket can come back only as far as its room there was not refilled meanwhile.
    fn bound_recent(&mut self, own: Option<&mut Loan>) {
        let balance = own.as_ref().map_or(0, |loan| loan.balance());
        let Some(mut room) = self.allowance.room(self.scene(balance)) else { return };
        let loans = self.loans.values_mut().chain(own);
        let mut loans: Vec<_> = loans.filter(|loan| loan.recent > 0).collect();
        loans.sort_unstable_by_key(|loan| loan.recent);
        let mut share = u64::MAX;
        for (others, loan) in (1..=loans.len() as u64).rev().zip(&mut loans) {
            // From the first that does not fit on, each has the same.
            if share == u64::MAX && loan.recent > room / others {
                share = room / others;
            }
            loan.recent = loan.recent.min(share);
            room = room.saturating_sub(loan.recent);
        }
    }

    /// The quota of the last question counts; nobody gets fresh tokens by a change.
    fn take_over(&mut self, claim: &Claim, loan: &mut Loan) {
        // What is left in a bucket stays, what was spent in a window too: so a limit changes while it is a bucket, and
        // nobody gets by two changes what they would not by one.
        if claim.promise() == Promise::Bucket {
            self.promise(Promise::Bucket, loan);
        }
        let before = std::mem::replace(&mut self.quota, claim.quota());
        // Also if it is the same: a loan that is new here takes its place.
        let over = self.allowance.carry(before, self.scene(loan.balance()));
        self.close(over);
        self.promise(claim.promise(), loan);
        self.bound_recent(Some(loan));
    }

    fn promise(&mut self, promise: Promise, loan: &Loan) {
        if self.allowance.promise() != promise {
            self.allowance.under(promise, self.scene(loan.balance()));
            self.close(Some(self.at));
        }
    }

    fn settle_counts(&mut self, ask: &Ask, loan: &mut Loan) {
        let unknown = loan.learn_granted(ask.granted);
        self.allowance.lend(unknown, self.quota);
        // First what comes back: a node gives back what it was told not to spend, and that had lapsed.
        let returned = loan.settle_returned(ask);
        let scene = self.scene(loan.balance());
        self.allowance.take_back(returned.of_balance, scene);
        if loan.lapsed_at > self.closed {
            self.allowance.take_back_spent(returned.of_lapsed, loan.lapsed_at, scene);
        }
        let spent = loan.settle_spent(ask);
        self.allowance.spend_lent(spent, self.scene(loan.balance()));
        let overdrawn = loan.settle_overdrawn(ask.overdrawn);
        self.allowance.overdraw(overdrawn, self.scene(loan.balance()));
    }

    /// How many to lend: half of what is left, so that others find some too; more if the node cannot do with less. Who
    /// only looks ahead leaves what clients were told to come back for.
    fn grant(&self, ask: &Ask, loan: &Loan) -> u64 {
        let balance = loan.balance();
        if u64::from(ask.need) > self.limit() {
            return 0;
        }
        let available = self.allowance.available(self.scene(balance));
        let missing = |tokens: u32| u64::from(tokens).saturating_sub(balance);
        if ask.need == 0 {
            return self.part(available.saturating_sub(self.awaited(loan))).min(missing(ask.want));
        }
        let Some(enough) = [ask.need, ask.least].map(missing).into_iter().find(|gap| *gap <= available) else {
            return 0;
        };
        missing(ask.need.max(ask.want)).min(self.part(available).max(enough))
    }

    /// How much of so many one node is lent.
    fn part(&self, tokens: u64) -> u64 {
        tokens.div_ceil(2).max(self.limit() / LEAST_PART).min(tokens)
    }

    /// How many clients were told to come back for: they may come to any node.
    fn awaited(&self, own: &Loan) -> u64 {
        self.loans.values().chain([own]).map(|loan| loan.is_awaiting(self.at)).fold(0, u64::saturating_add)
    }

    fn answer(&self, ask: &Ask, loan: &Loan, next: Option<u64>, clock: u64) -> Lent {
        let unheard = self.limit().div_ceil(UNHEARD_PART.into());
        let beyond = self.loans.values().map(|loan| loan.appetite(self.at).saturating_sub(unheard));
        let others = beyond.fold(0, u64::saturating_add);
        let left = self.allowance.available(self.scene(loan.balance())).saturating_sub(others);
        Lent {
            account: ask.account.clone(),
            seq: ask.seq,
            granted: loan.granted,
            void: loan.lapsed,
            left,
            // The clock may be behind: then nothing comes back until it has caught up.
            wait_ms: match next {
                None => 0,
                Some(u64::MAX) => u64::MAX,
                Some(time) => time.saturating_sub(clock).max(1),
            },
            held: next.filter(|time| *time < u64::MAX).map_or(0, |_| self.scene(loan.balance()).lent),
        }
    }

    /// When there are as many as a request costs at least, if nobody else asks: at any node, so that what this one still
    /// has does not help. `None`: now, or that is not known; [`u64::MAX`]: never.
    fn time_of_next(&self, ask: &Ask, loan: &Loan) -> Option<u64> {
        let (least, scene) = (u64::from(ask.least), self.scene(loan.balance()));
        if least.max(ask.need.into()) > self.limit() {
            return Some(u64::MAX);
        }
        // While the node can go on, that is only known if it does not depend on when it will say what it spent.
        let is_open = loan.balance() >= least && !self.allowance.fills_beside(least, scene);
        if is_open || least <= self.allowance.available(scene) {
            return None;
        }
        let own = Some(loan).filter(|loan| loan.balance() > 0);
        let leases = self.loans.values().filter(|loan| loan.balance() > 0 || loan.recent > 0).chain(own);
        let mut leases: Vec<_> = leases.map(|loan| (loan.expiry, loan.balance())).collect();
        leases.sort_unstable();
        Some(self.allowance.clone().time_of(least, scene, &leases).max(self.at.saturating_add(1)))
    }

    /// As it is now; `balance` is of a loan that is not among the others at the moment.
    fn scene(&self, balance: u64) -> Scene {
        let lent: u64 = self.loans.values().map(Loan::balance).sum();
        Scene { quota: self.quota, now: self.at, lent: lent.saturating_add(balance) }
    }

    fn limit(&self) -> u64 {
        self.quota.limit().get().into()
    }

    fn close(&mut self, until: Option<u64>) {
        self.closed = self.closed.max(until.unwrap_or(0));
    }
}

/// What this node's clients are told to come back for; who comes all the same has it, or is told anew.
fn note_awaited(ask: &Ask, loan: &mut Loan, next: Option<u64>) {
    match next {
        Some(time) if ask.want > 0 => (loan.awaited, loan.awaited_at) = (ask.least.into(), time),
        Some(_) | None if ask.need > 0 => (loan.awaited, loan.awaited_at) = (0, 0),
        Some(_) | None => {}
    }
}
