//! What can go wrong with the database, and what it refuses to do.

use std::path::PathBuf;

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
    /// A later version of this program has changed the schema.
    #[error(
        "the database {} has schema {version}, which this version does not know; run the newer keyservice that made it",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema that is not known here.
        version: i64,
    },
}

/// What the database refuses to do because of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such team.
    NoSuchTeam,
    /// There is no such key.
    NoSuchKey,
    /// A team of that id exists.
    TeamExists,
    /// The team still has that many keys that are not revoked.
    TeamHasKeys(u64),
    /// The key is revoked, which is final.
    KeyIsRevoked,
    /// The key would expire before it begins to work.
    NeverValid,
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
