//! Quotas over the whole fleet: what nodes say and ask goes to where the books are kept, and what is lent comes back.
//!
//! * here: questions, and what happens after an outage
//! * `memory`: books of a single service
//! * [`crate::domain::quota`]: the arithmetic

mod memory;

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;
use tollkeeper_contract::lease::Lent;

use crate::{
    domain::{
        NodeName,
        quota::{Claim, Lending},
    },
    store::{Store, StoreError},
};
use memory::Memory;

/// For how long nodes first say what they have spent, once books can be kept again.
const SETTLING: Duration = Duration::from_secs(3);

/// How old the number of live nodes may be.
const FLEET_AGE: Duration = Duration::from_secs(1);

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The filter's instance: each has quotas of its own.
    pub instance: String,
    /// The node.
    pub node: NodeName,
}

impl Asker {
    /// Who counts the sums of this claim: a node that began anew with an account is another one.
    fn counter(&self, claim: &Claim) -> String {
        format!("{}@{}", self.node.as_str(), claim.ask().since)
    }
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

/// The quotas of the fleet.
pub struct Quotas {
    books: Memory,
    /// Whether it is known with what the books began.
    begun: OnceCell<()>,
    trust: Mutex<Trust>,
    fleet: tokio::sync::Mutex<Option<(Instant, u32)>>,
}

/// Whether the books say all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// They do.
    Sound,
    /// They could not be kept: nodes may have spent what is not written there.
    Broken,
    /// They can again; nodes say what they have spent until then.
    Settling(Instant),
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            books: Memory::new(),
            begun: OnceCell::new(),
            trust: Mutex::new(Trust::Sound),
            fleet: tokio::sync::Mutex::new(None),
        }
    }
}

impl Quotas {
    /// Settles what a node says, and lends what can be lent.
    ///
    /// # Errors
    /// When the database or the place where books are kept fails; a part may be settled then, which a later question
    /// finds out.
    pub async fn answer(&self, asker: &Asker, claims: &[Claim], database: &Store) -> Result<Answered, QuotaError> {
        if claims.is_empty() {
            return Ok(Answered { settled: Vec::new(), lending: self.lending() });
        }
        self.begun.get_or_try_init(|| self.begin(database)).await?;
        let lending = self.lending();
        let settled = self.books.settle(asker, claims, lending);
        self.note_success();
        Ok(Answered { settled, lending })
    }

    /// How many nodes are live, at least 1; `count` is asked at most once a second.
    pub async fn live_nodes(&self, count: impl Future<Output = Option<u32>>) -> u32 {
        // Also a queue: however many ask at the same time, one counts.
        let mut known = self.fleet.lock().await;
        let before = known.map_or(1, |(_, nodes)| nodes);
        if known.is_some_and(|(at, _)| at.elapsed() < FLEET_AGE) {
            return before;
        }
        let nodes = count.await.unwrap_or(before).max(1);
        *known = Some((Instant::now(), nodes));
        nodes
    }

    /// Where nobody ever kept books, everybody begins with a full quota; otherwise nobody knows what was spent.
    async fn begin(&self, database: &Store) -> Result<(), QuotaError> {
        if database.has_kept_books().await? {
            *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Trust::Broken;
            return Ok(());
        }
        self.books.begin_full();
        database.note_books().await?;
        tracing::info!("quotas of the fleet are kept from now on");
        Ok(())
    }

    fn lending(&self) -> Lending {
        match *self.trust.lock().unwrap_or_else(PoisonError::into_inner) {
            Trust::Broken => Lending::OnlySettles,
            Trust::Settling(until) if Instant::now() < until => Lending::OnlySettles,
            Trust::Settling(_) | Trust::Sound => Lending::Lends,
        }
    }

    fn note_success(&self) {
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if *trust == Trust::Broken {
            *trust = Trust::Settling(Instant::now() + SETTLING);
        }
    }
}
