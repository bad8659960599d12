//! Quotas over the whole fleet: what nodes say and ask goes to where the books are kept, and what is lent comes back.
//!
//! * here: questions, and what happens after an outage
//! * `place`: where the books are kept
//! * `memory`: in a single service; `valkey`: in Valkey, by a script
//! * [`crate::domain::quota`]: the arithmetic

#[cfg(test)]
mod behaviours;
mod memory;
#[cfg(test)]
mod open;
mod place;
mod valkey;

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::OnceCell,
    time::{MissedTickBehavior, interval, timeout},
};
use tollkeeper_contract::lease::{Account, Lent};

use crate::{
    domain::{
        NodeName,
        quota::{Claim, Lending, Past, Trust},
    },
    edge,
    store::{Store, StoreError},
};
use memory::Memory;
use valkey::Valkey;

pub use place::{InvalidPlace, Place};

/// How often the heart beats: a fraction of the absence that it is to tell of.
const BEAT: Duration = Duration::from_millis(100);

/// How long the database may take to say which accounts exist, so that an answer is not late.
const LOOKING: Duration = Duration::from_millis(500);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The filter's instance: each has quotas of its own.
    pub instance: String,
    /// The node.
    pub node: NodeName,
}

/// What became of one claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The answer.
    pub lent: Lent,
    /// How many tokens were lent by it.
    pub grant: u64,
}

/// What became of the claims of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Of each claim, in their order.
    pub settled: Vec<Settled>,
    /// Whether anything could be lent.
    pub lending: Lending,
}

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// The database fails.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The place where books are kept fails.
    #[error("{0}")]
    Unavailable(String),
}

/// What became of all claims, and what that says of the books.
#[derive(Debug, Default)]
struct Books {
    settled: Vec<Settled>,
    /// Whether memory began with this question: what was spent before is not known.
    begin: bool,
}

/// Where books are kept.
enum Keeper {
    Memory(Memory),
    Valkey(Box<Valkey>),
}

/// A question that is being answered, however that ends.
struct Open<'a> {
    quotas: &'a Quotas,
    asked: u64,
}

impl<'a> Open<'a> {
    fn begin(quotas: &'a Quotas) -> Self {
        let asked = quotas.now();
        quotas.trust().note_question(asked);
        Self { quotas, asked }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.quotas.trust().note_answer(self.asked, self.quotas.now());
    }
}

/// The quotas of the fleet.
pub struct Quotas {
    place: Place,
    keeper: Keeper,
    /// What times in `trust` are counted from.
    born: Instant,
    /// Whether it is known with what the books began.
    begun: OnceCell<()>,
    trust: Mutex<Trust>,
    /// Accounts that existed when they were first asked about. Nobody else has books, so that none grow with what is asked.
    known: Mutex<HashSet<Account>>,
}

impl Quotas {
    /// Quotas whose books are kept there; nothing is connected yet.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let keeper = match &place {
            Place::Memory => Keeper::Memory(Memory::new()),
            Place::Valkey(info) => Keeper::Valkey(Box::new(Valkey::new((**info).clone()))),
        };
        Self {
            place,
            keeper,
            born: Instant::now(),
            begun: OnceCell::new(),
            trust: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Warns if books cannot be kept there, or not safely.
    pub async fn check(&self) {
        let Keeper::Valkey(valkey) = &self.keeper else { return };
        match valkey.check().await {
            Ok(()) => tracing::info!(place = %self.place, "quotas of the fleet are kept there"),
            Err(cause) => {
                tracing::warn!(place = %self.place, cause, "the quota store is not as it should be; nodes get no leases while \
                    it cannot be reached");
            }
        }
    }

    /// Notices when this service was frozen, for as long as it is polled.
    pub async fn keep_beating(&self) {
        let mut pace = interval(BEAT);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            pace.tick().await;
            self.beat();
        }
    }

    /// Settles what a node says, which has asked without an answer for so many milliseconds, and lends what can be lent. What is
    /// said of accounts that do not exist is left out.
    ///
    /// # Errors
    /// When the database or the place where books are kept fails; a part may be settled then, which a later question
    /// finds out.
    pub async fn answer(
        &self,
        asker: &Asker,
        claims: Vec<Claim>,
        unanswered_ms: u64,
        database: &Store,
    ) -> Result<Answered, QuotaError> {
        self.beat();
        self.note_presence(asker, &claims, unanswered_ms);
        let _open = Open::begin(self);
        self.settle(asker, claims, database).await
    }

    async fn settle(&self, asker: &Asker, claims: Vec<Claim>, database: &Store) -> Result<Answered, QuotaError> {
        let claims = self.existing(claims, database).await?;
        if claims.is_empty() {
            // Before the books have begun, nobody knows what was spent.
            let lending = if self.begun.initialized() { self.lending() } else { Lending::OnlySettles };
            return Ok(Answered { settled: Vec::new(), lending });
        }
        self.begun.get_or_try_init(|| self.begin(database)).await?;
        let lending = self.lending();
        let kept = match &self.keeper {
            Keeper::Memory(memory) => memory.settle(asker, &claims, lending),
            Keeper::Valkey(valkey) => valkey.settle(asker, &claims, lending).await,
        };
        let books = kept.map_err(|cause| self.failed(cause))?;
        self.trust().note_success(books.begin, self.now());
        // Others may have failed meanwhile. Then nodes give back what was lent by this.
        let lending = if self.lending() == Lending::OnlySettles { Lending::OnlySettles } else { lending };
        let mut settled = books.settled;
        if lending == Lending::OnlySettles {
            let wait_ms = self.trust().settles_for(self.now());
            settled.iter_mut().for_each(|settled| settled.lent.wait_ms = wait_ms);
        }
        Ok(Answered { settled, lending })
    }

    /// Leaves the books to the next service, if they are kept here. Nothing is lent from now on.
    ///
    /// # Errors
    /// When the database fails; then it is as after a crash.
    pub async fn end(&self, database: &Store) -> Result<(), StoreError> {
        let Keeper::Memory(memory) = &self.keeper else { return Ok(()) };
        if self.begun.get().is_none() {
            return Ok(());
        }
        match memory.end(edge::now()) {
            Ok(Some(books)) => database.save_books(books).await?,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the books of quotas cannot be written"),
        }
        Ok(())
    }

    /// The database is asked only about accounts that were not known before.
    async fn existing(&self, mut claims: Vec<Claim>, database: &Store) -> Result<Vec<Claim>, QuotaError> {
        let accounts = claims.iter().map(|claim| &claim.ask().account);
        let new: Vec<_> = accounts.filter(|account| !self.known().contains(account)).cloned().collect();
        if !new.is_empty() {
            match timeout(LOOKING, database.existing_accounts(&new)).await {
                Ok(found) => self.known().extend(found?),
                // Those that are known do not wait for it.
                Err(_) if new.len() < claims.len() => {}
                Err(_) => return Err(StoreError::Interrupted.into()),
            }
            let known = self.known();
            claims.retain(|claim| known.contains(&claim.ask().account));
        }
        Ok(claims)
    }

    fn known(&self) -> MutexGuard<'_, HashSet<Account>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where nobody ever kept books, everybody begins with a full quota; otherwise nobody knows what was spent.
    async fn begin(&self, database: &Store) -> Result<(), QuotaError> {
        // Also those that are of no use any more: what was spent since, elsewhere, is not in them.
        let saved = database.take_books().await?;
        if let (Keeper::Memory(memory), Some(saved)) = (&self.keeper, saved) {
            match memory.begin_with(&saved, edge::now()) {
                Ok(()) => tracing::info!("quotas of the fleet go on where the service before left them"),
                Err(error) => {
                    tracing::warn!(%error, "the books of quotas that were saved cannot be read; everybody begins with none")
                }
            }
        }
        if database.has_kept_books().await? {
            self.trust().note_failure();
            return Ok(());
        }
        match &self.keeper {
            Keeper::Memory(memory) => memory.begin_full(),
            Keeper::Valkey(valkey) => valkey.begin_full().await.map_err(|cause| self.failed(cause))?,
        }
        database.note_books().await?;
        tracing::info!("quotas of the fleet are kept from now on");
        Ok(())
    }

    /// Also before each question: at a thaw, one may be read before the time is looked at.
    fn beat(&self) {
        if self.trust().was_frozen(self.now()) {
            tracing::warn!(
                "this service could do nothing for a second or more; before anything is lent, nodes say whether they spent \
                 without a lease meanwhile"
            );
        }
    }

    fn note_presence(&self, asker: &Asker, claims: &[Claim], unanswered_ms: u64) {
        let past = Past::shown_by(claims.iter().map(Claim::ask), unanswered_ms);
        if self.trust().was_away(&asker.instance, past, self.now()) {
            tracing::warn!(
                "nodes were not answered for a second or more; until all have said what they spent without a lease meanwhile, \
                 nothing is lent"
            );
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lending(&self) -> Lending {
        self.trust().lending(self.now())
    }

    fn failed(&self, cause: String) -> QuotaError {
        self.trust().note_failure();
        QuotaError::Unavailable(cause)
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
