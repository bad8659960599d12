//! Books in the memory of a single service; what was spent before it started is not known.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tollkeeper_contract::lease::Account;

use super::{Asker, Books, Settled};
use crate::domain::quota::{Book, Claim, Lending, Opening};

/// How often books that are over are thrown away, in milliseconds.
const SWEEP_MS: u64 = 60_000;

/// All books.
pub(super) struct Memory {
    began: Instant,
    shelf: Mutex<Shelf>,
}

struct Shelf {
    opening: Opening,
    books: HashMap<(String, Account), Book>,
    swept: u64,
}

impl Memory {
    /// Without any books; nobody has a token yet.
    pub(super) fn new() -> Self {
        let shelf = Shelf { opening: Opening::EmptySince(0), books: HashMap::new(), swept: 0 };
        Self { began: Instant::now(), shelf: Mutex::new(shelf) }
    }

    /// From now on, whoever has no book has spent nothing.
    pub(super) fn begin_full(&self) {
        self.lock().opening = Opening::Full;
    }

    pub(super) fn settle(&self, asker: &Asker, claims: &[Claim], lending: Lending) -> Books {
        // Since the start, by the monotonic clock: a corrected date mints nothing.
        let clock = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.settle_at(clock, asker, claims, lending)
    }

    fn settle_at(&self, clock: u64, asker: &Asker, claims: &[Claim], lending: Lending) -> Books {
        let mut shelf = self.lock();
        shelf.sweep(clock);
        let settled = claims.iter().map(|claim| shelf.settle(clock, asker, claim, lending)).collect();
        Books { settled, begin: false }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn settle(&mut self, clock: u64, asker: &Asker, claim: &Claim, lending: Lending) -> Settled {
        let key = (asker.instance.clone(), claim.ask().account.clone());
        let open = || Book::open(claim, self.opening, clock);
        let book = self.books.entry(key).or_insert_with(open);
        let counter = claim.counter(asker.node.as_str());
        if book.is_forgotten(clock) {
            *book = open();
        }
        let before = book.granted(&counter).max(claim.ask().granted);
        let lent = book.settle(claim, &counter, clock, lending);
        Settled { grant: lent.granted.saturating_sub(before), lent }
    }

    fn sweep(&mut self, clock: u64) {
        if clock.saturating_sub(self.swept) >= SWEEP_MS {
            self.swept = clock;
            self.books.retain(|_, book| !book.is_forgotten(clock));
        }
    }
}
