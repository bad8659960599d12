//! What can go wrong with the database, and what it refuses to do.

use std::path::PathBuf;

use sqlx::postgres::PgDatabaseError;
use tollkeeper_contract::{HostName, Kind};

use crate::domain::{KeyRefusal, Thing};

/// The database did not do what was asked: ours to repair, not the client's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused, failed, or had no connection free in time.
    #[error("the database failed: {0}")]
    Sql(#[from] sqlx::Error),
    /// A row holds what the key service never writes.
    #[error("the database holds a wrong value in {column}: {detail}")]
    Corrupt {
        /// The column.
        column: &'static str,
        /// What is wrong with the value.
        detail: String,
    },
    /// The change ended before it was done, because the program is ending.
    #[error("the change was interrupted")]
    Interrupted,
}

impl StoreError {
    /// Whether the same request may succeed a little later: the database is busy, out of reach, or being replaced.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Sql(sqlx::Error::Database(error)) => match error.try_downcast_ref::<PgDatabaseError>() {
                Some(error) => is_passing_in_postgres(error.code()),
                None => is_passing_in_sqlite(error.code().as_deref()),
            },
            Self::Sql(error) => {
                use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol};
                matches!(error, PoolTimedOut | PoolClosed | Io(_) | Protocol(_))
            }
            Self::Corrupt { .. } => false,
        }
    }
}

/// SQLITE_BUSY and SQLITE_LOCKED, with their extensions in the upper bits.
fn is_passing_in_sqlite(code: Option<&str>) -> bool {
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// PostgreSQL, appendix A: connection exceptions, a standby that took over too early (25006), an idle transaction that
/// was ended, rolled back transactions, too few resources except a full disk, an object in use, an operator at work.
fn is_passing_in_postgres(code: &str) -> bool {
    const CLASSES: [&str; 5] = ["08", "40", "53", "55", "57"];
    let class = code.get(..2).unwrap_or_default();
    matches!(code, "25006" | "25P03") || (CLASSES.contains(&class) && code != "53100")
}

/// Why the database cannot be opened: says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no folder for the file.
    #[error("cannot open the database {}: its folder does not exist; make it, or set TOLLKEEPER_DATABASE", .0.display())]
    NoFolder(PathBuf),
    /// The file cannot be read, written, or made.
    #[error(
        "cannot open the database {}: {cause}; check the file and its folder, or set TOLLKEEPER_DATABASE",
        .path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another program serves it.
    #[error(
        "the database {} is served by another keyservice, which holds {}; end that one first, or set \
         TOLLKEEPER_DATABASE to another file",
        .path.display(),
        .lock.display()
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// The file that is locked as long as the other one runs.
        lock: PathBuf,
    },
    /// The server does not answer, or does not let this service work.
    #[error(
        "cannot use the database {database}: {cause}; check that PostgreSQL runs there and lets this user create \
         tables, or set TOLLKEEPER_DATABASE"
    )]
    Unreachable {
        /// The database, without user and password.
        database: String,
        /// What the system or PostgreSQL says.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A later version of this program has changed the schema.
    #[error(
        "the database {database} has schema {version}, which this version does not know; run the newer keyservice that \
         made it"
    )]
    Newer {
        /// The database.
        database: String,
        /// The schema that is not known here.
        version: i64,
    },
}

/// What the database refuses to do because of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    NoSuch(Thing),
    /// There is a thing of that id.
    Exists(Thing),
    /// The thing cannot be deleted, because something still belongs to it.
    StillHas {
        /// What was to be deleted.
        owner: Thing,
        /// What still belongs to it.
        what: Thing,
        /// How much of that.
        count: u64,
    },
    /// The host belongs to another team.
    HostTaken(HostName),
    /// The key does not allow it.
    Key(KeyRefusal),
    /// The service account has keys of this kind only.
    KindOfAccount(Kind),
    /// The service account has its one key already.
    AccountHasKey,
    /// The user has all the keys that a user may have.
    TooManyKeys {
        /// How many that are.
        most: u64,
    },
    /// One of several keys was refused.
    InRow {
        /// Its place, from 0.
        index: usize,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// The node still calls, so it has not ended.
    NodeIsLive,
    /// The idempotency key stands for another request.
    OtherRequest,
    /// What the first request of that idempotency key made was deleted since.
    MadeAndDeleted,
}

/// Why an act did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// It was refused: nothing is wrong with the database.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

impl From<Refusal> for ActError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<sqlx::Error> for ActError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}
