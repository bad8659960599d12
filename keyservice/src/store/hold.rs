//! What lasts as long as a database is open.
//!
//! A SQLite file has one service: a lock for as long as the program runs, which the system releases however it ends. A
//! change through one service would wake only its own nodes; those of another one would hear of it when their long
//! poll ends. It has a task that looks after its log. PostgreSQL tells all services of a change, so there may be several;
//! each has a task that listens.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use tokio::task::AbortHandle;

use super::OpenError;

/// What lasts as long as a database is open.
pub(super) enum Hold {
    /// The lock of a SQLite file, and the task that keeps its log short.
    File(File, AbortHandle),
    /// The task that hears of changes through other services.
    Listener(AbortHandle),
}

impl Hold {
    /// Ends the task: what it does with the database is over when the others close it.
    pub(super) fn rest(&self) {
        let (Self::File(_, task) | Self::Listener(task)) = self;
        task.abort();
    }

    /// Lets go.
    pub(super) fn release(&self) {
        if let Self::File(file, _) = self
            && let Err(error) = file.unlock()
        {
            tracing::debug!(%error, "the lock ends with the program");
        }
    }
}

/// Takes the lock beside the database `path`, which exists; it is held as long as the file is open.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let unusable = |cause: std::io::Error| OpenError::Unusable { path: path.to_owned(), cause: cause.into() };
    // Two names of one file must lead to one lock.
    let lock = beside(&path.canonicalize().map_err(unusable)?);
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&lock).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Held { path: path.to_owned(), lock }),
        Err(TryLockError::Error(cause)) => Err(unusable(cause)),
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut lock = database.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}
