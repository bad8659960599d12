//! A node, as far as a book can see it.

use tollkeeper_contract::lease::{Account, Ask, Lent, Promise};

use super::super::{Book, Claim, Lending};

/// A quota, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) limit: u32,
    pub(crate) window: u32,
    pub(crate) promise: Promise,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) seq: u64,
    pub(crate) granted: u64,
    pub(crate) void: u64,
    pub(crate) spent: u64,
    pub(crate) returned: u64,
    pub(crate) overdrawn: u64,
    pub(crate) settled: u64,
}

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), seq: 0, granted: 0, void: 0, spent: 0, returned: 0, overdrawn: 0, settled: 0 }
    }

    pub(crate) fn balance(&self) -> u64 {
        self.granted.saturating_sub(self.void).saturating_sub(self.spent).saturating_sub(self.returned)
    }

    pub(crate) fn spends(&mut self, tokens: u64) {
        self.spent += tokens;
    }

    pub(crate) fn returns(&mut self, tokens: u64) {
        self.returned += tokens;
    }

    pub(crate) fn overdraws(&mut self, tokens: u64) {
        self.overdrawn += tokens;
    }

    /// The node's next question.
    pub(crate) fn claim(&mut self, terms: Terms, need: u32, want: u32) -> Claim {
        self.claim_from(terms, need.max(1), need, want)
    }

    /// The same, when the requests that wait cost from `least` to `need`.
    pub(crate) fn claim_from(&mut self, terms: Terms, least: u32, need: u32, want: u32) -> Claim {
        self.seq += 1;
        // What it was told not to spend, and did not, it gives back.
        self.returned += self.void.min(self.granted - self.spent - self.returned);
        self.void = 0;
        Claim::read(Ask {
            account: Account::Team("acme".into()),
            since: 7,
            seq: self.seq,
            granted: self.granted,
            void: self.void,
            spent: self.spent,
            returned: self.returned,
            overdrawn: self.overdrawn,
            settled: self.settled,
            need,
            want,
            least,
            limit: terms.limit,
            window: terms.window,
            promise: terms.promise,
        })
        .unwrap()
    }

    /// The answer to its last question arrives.
    pub(crate) fn learns(&mut self, lent: &Lent) {
        self.granted = self.granted.max(lent.granted);
        self.void = lent.void;
        self.settled = self.overdrawn;
    }

    /// Asks for what one request costs; gives for how long that has to wait: not at all if the node can serve it now.
    pub(crate) fn needs(&mut self, book: &mut Book, terms: Terms, cost: u32, clock: u64) -> u64 {
        let wait = self.asks(book, terms, cost, cost, clock).wait_ms;
        if self.balance() >= cost.into() { 0 } else { wait }
    }

    /// Asks, and gets the answer at once.
    pub(crate) fn asks(&mut self, book: &mut Book, terms: Terms, need: u32, want: u32, clock: u64) -> Lent {
        let claim = self.claim(terms, need, want);
        let lent = book.settle(&claim, &self.name, clock, Lending::Lends);
        self.learns(&lent);
        lent
    }
}
