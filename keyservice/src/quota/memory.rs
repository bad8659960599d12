//! Books in the memory of a single service. One that ends in good order leaves them to the next; what was spent before a
//! crash is not known.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use tollkeeper_contract::lease::Account;

use super::{Asker, Books, Settled};
use crate::domain::{
    Moment,
    quota::{Book, Claim, Lending, Opening},
};

/// How often books that are over are thrown away, in milliseconds.
const SWEEP_MS: u64 = 60_000;

/// All books.
pub(super) struct Memory {
    /// `None` once they are left to the next service.
    shelf: Mutex<Option<Shelf>>,
}

struct Shelf {
    began: Instant,
    /// What the clock of the books showed then, in milliseconds.
    from: u64,
    opening: Opening,
    books: HashMap<(String, Account), Book>,
    swept: u64,
}

/// All books, on the way from one service to the next.
#[derive(Serialize, Deserialize)]
struct Saved {
    at: u64,
    clock: u64,
    opening: Opening,
    books: Vec<(String, Account, Book)>,
}

impl Memory {
    /// Without any books; nobody has a token yet.
    pub(super) fn new() -> Self {
        Self { shelf: Mutex::new(Some(Shelf::new(0, Opening::EmptySince(0)))) }
    }

    /// From now on, whoever has no book has spent nothing.
    pub(super) fn begin_full(&self) {
        if let Some(shelf) = &mut *self.lock() {
            shelf.opening = Opening::Full;
        }
    }

    /// Begins with the books that another service has left; the time since then has passed for them.
    pub(super) fn begin_with(&self, saved: &str, now: Moment) -> Result<(), serde_json::Error> {
        let saved: Saved = serde_json::from_str(saved)?;
        // Seconds are cut, so that it may have been up to one less.
        let seconds = now.unix().saturating_sub(saved.at).saturating_sub(1);
        let mut shelf = Shelf::new(saved.clock.saturating_add(seconds.saturating_mul(1000)), saved.opening);
        shelf.books = saved.books.into_iter().map(|(instance, account, book)| ((instance, account), book)).collect();
        *self.lock() = Some(shelf);
        Ok(())
    }

    /// The books for the next service; from now on none are kept here.
    pub(super) fn end(&self, now: Moment) -> Result<Option<String>, serde_json::Error> {
        let Some(shelf) = self.lock().take() else { return Ok(None) };
        let (at, clock, opening) = (now.unix(), shelf.clock(), shelf.opening);
        let books = shelf.books.into_iter().filter(|(_, book)| !book.is_forgotten(clock));
        let books = books.map(|((instance, account), book)| (instance, account, book)).collect();
        serde_json::to_string(&Saved { at, clock, opening, books }).map(Some)
    }

    pub(super) fn settle(&self, asker: &Asker, claims: &[Claim], lending: Lending) -> Result<Books, String> {
        let mut shelf = self.lock();
        let shelf = shelf.as_mut().ok_or_else(|| "the service ends".to_owned())?;
        let clock = shelf.clock();
        shelf.sweep(clock);
        let settled = claims.iter().map(|claim| shelf.settle(clock, asker, claim, lending)).collect();
        Ok(Books { settled, begin: false })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shelf>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn new(from: u64, opening: Opening) -> Self {
        Self { began: Instant::now(), from, opening, books: HashMap::new(), swept: from }
    }

    /// By the monotonic clock: a date that is corrected while the service runs mints nothing.
    fn clock(&self) -> u64 {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.from.saturating_add(elapsed)
    }

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
