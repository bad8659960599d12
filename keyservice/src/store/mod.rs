//! The database: all SQL of the key service, and the rules that keep its change numbers true.
//!
//! * `change`: the only way to write what nodes see; commit order is revision order
//! * `enterprises`, `teams`, `hosts`, `users`, `service_accounts`, `keys`: what the admin API reads and changes
//! * `kept`: what the first of these have in common
//! * `limits`: what holds for the limits of everybody
//! * `audit`, `telling`: the audit log as it is read, and what changes tell it
//! * `login`, `grants`, `acquaintances`, `sessions`, `token_keys`: logins, and what they lead to
//! * `publication`, `records`, `ahead`: what nodes read, in pages
//! * `nodes`: who has come how far
//! * `books`: whether the books of quotas were ever kept
//! * `ledger`: usage, counted once
//! * `idempotency`: requests that were already carried out
//! * `database`, `open`, `sqlite`, `postgres`, `hold`: which database, and how it is opened and kept
//! * `wal`: SQLite's log, kept short
//! * `sql`, `row`, `packed`: one statement on either database, and what its rows hold
//! * `housekeeping`: what is forgotten, and when

mod acquaintances;
mod ahead;
mod audit;
mod books;
mod change;
mod database;
mod enterprises;
mod error;
mod grants;
mod hold;
mod hosts;
mod housekeeping;
mod idempotency;
mod kept;
mod keys;
mod ledger;
mod limits;
mod login;
mod nodes;
mod open;
mod packed;
mod postgres;
mod publication;
mod records;
mod row;
mod service_accounts;
mod sessions;
mod sql;
mod sqlite;
mod teams;
mod telling;
mod token_keys;
mod users;
mod wal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, Semaphore, watch};
use tollkeeper_contract::page::ServiceId;

pub use acquaintances::UserPassword;
pub use change::MAX_ROWS_PER_REVISION;
pub use database::{Database, InvalidDatabase};
pub use error::{ActError, OpenError, Refusal, StoreError};
pub use grants::{Proof, Wish};
pub use housekeeping::{Cleared, Housekeeping, Retention};
pub use idempotency::{Made, Once};
pub use kept::Kept;
pub use keys::{Duplicate, Imported, Minted, WhyDuplicate};
pub use ledger::Settled;
pub use login::{Age, Entrance, Login, LoginError, Settling};
pub use publication::{Behind, PageContent};
pub use sessions::{Presented, SessionsOf};
pub use token_keys::{NewTokenKey, TokenKeys};

use ahead::Ahead;
use hold::Hold;
use sql::{Connection, Pool, sql};

/// Where services that share a database tell each other of changes.
const CHANNEL: &str = "tollkeeper_changes";

/// How old the counts of teams and keys may be.
const CENSUS_AGE: Duration = Duration::from_secs(5);

/// How many sessions may wait to be made.
const ENTERING: usize = 64;

/// The database, open; clones share it.
#[derive(Clone)]
pub struct Store {
    // One connection: writers queue here in order, instead of failing on each other's lock.
    writer: Pool,
    readers: Pool,
    service: ServiceId,
    revision: watch::Sender<u64>,
    // Whether the last change that was tried failed, and none was committed since.
    write_failed: Arc<AtomicBool>,
    hold: Arc<Hold>,
    counted: Arc<Mutex<Option<(Instant, Census)>>>,
    // How many sessions may wait to be made: an administrator's change, a revocation for example, waits behind them.
    entering: Arc<Semaphore>,
    ahead: Ahead,
}

/// How many rows there are, by state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// The number of the last change.
    pub revision: u64,
    /// Teams by state.
    pub teams: Vec<(String, u64)>,
    /// Keys by state.
    pub keys: Vec<(String, u64)>,
}

impl Store {
    /// Which database this is.
    #[must_use]
    pub fn service(&self) -> ServiceId {
        self.service
    }

    /// The number of the last change, as it grows.
    ///
    /// It wakes whoever waits for a change; what the change is has to be read from the database.
    #[must_use]
    pub fn watch_revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Counts teams and keys by state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn census(&self) -> Result<Census, StoreError> {
        let mut tx = self.read().await?;
        let revision = publication::current_revision(&mut tx).await?;
        let teams = sql("SELECT state, COUNT(*) AS count FROM teams GROUP BY state");
        let teams = row::counts(&teams.fetch_all(&mut tx).await?)?;
        let keys = sql("SELECT state, COUNT(*) AS count FROM keys GROUP BY state");
        let keys = row::counts(&keys.fetch_all(&mut tx).await?)?;
        Ok(Census { revision, teams, keys })
    }

    /// The census with counts that are up to five seconds old, because counting reads whole tables.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recent_census(&self) -> Result<Census, StoreError> {
        // Also a queue: however many ask at the same time, one connection counts.
        let mut counted = self.counted.lock().await;
        if let Some((_, census)) = counted.as_ref().filter(|(at, _)| at.elapsed() < CENSUS_AGE) {
            return Ok(Census { revision: *self.revision.borrow(), ..census.clone() });
        }
        let census = self.census().await?;
        *counted = Some((Instant::now(), census.clone()));
        Ok(census)
    }

    /// Whether the database answers and can be written.
    ///
    /// # Errors
    /// When it does not, or when the last change failed and writing still does.
    pub async fn check(&self) -> Result<(), StoreError> {
        let mut tx = self.read().await?;
        publication::current_revision(&mut tx).await?;
        drop(tx);
        if self.write_failed.load(Ordering::Relaxed) { self.try_to_write().await } else { Ok(()) }
    }

    /// Writes to the disk without changing anything. Only a commit shows that there is room.
    async fn try_to_write(&self) -> Result<(), StoreError> {
        let mut change = self.quiet_change().await?;
        // There and back: SQLite does not write a page that it finds unchanged.
        for step in [1_i64, -1] {
            sql("UPDATE service SET revision = revision + $1").bind(step).execute(change.sql()).await?;
        }
        change.commit().await?;
        Ok(())
    }

    /// Writes what is still in the log into the database file and closes it.
    pub async fn close(&self) {
        self.hold.rest();
        self.readers.close().await;
        self.writer.close().await;
        self.hold.release();
    }

    /// A transaction that sees one state of the database from its first statement to its last.
    async fn read(&self) -> Result<Connection, StoreError> {
        self.readers.begin_reading().await
    }

    /// Wakes whoever waits for a change, if `revision` is news.
    fn reached(&self, revision: u64) {
        reached(&self.revision, revision);
    }

    /// Runs a change to its end, even when whoever asked for it goes away meanwhile, and remembers whether it failed.
    ///
    /// A request's future is dropped when its client disconnects. If that happened between a commit and the wake-up of
    /// those who wait for it, they would sleep on.
    async fn to_the_end<T: Send + 'static>(
        &self,
        act: impl Future<Output = Result<T, ActError>> + Send + 'static,
    ) -> Result<T, ActError> {
        let done = tokio::spawn(act).await.map_err(|_| StoreError::Interrupted)?;
        if let Err(ActError::Failed(StoreError::Sql(_))) = &done {
            self.write_failed.store(true, Ordering::Relaxed);
        }
        done
    }
}

/// Wakes whoever waits for a change, if `revision` is news: two changes may be told in another order than they were
/// committed in.
fn reached(current: &watch::Sender<u64>, revision: u64) {
    current.send_if_modified(|current| {
        let grown = revision > *current;
        *current = revision.max(*current);
        grown
    });
}
