//! Opens the database file, making it and bringing its schema up to date where needed.

use std::{fs::File, path::Path, sync::Arc, time::Duration};

use sqlx::{
    Connection, SqlSafeStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::watch;
use tollkeeper_contract::page::ServiceId;

use super::{OpenError, Store, StoreError, hold::hold, publication, row};

/// Connections that read at the same time; long polls hold none while they wait.
const READERS: u32 = 4;

/// How long to wait for a lock or a free connection.
const PATIENCE: Duration = Duration::from_secs(5);

impl Store {
    /// Opens the SQLite database in the file `path`.
    ///
    /// # Errors
    /// When the file cannot be opened, is served by another program, is no database, or belongs to a newer version of this program.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        make_private(path)?;
        let lock = hold(path)?;
        let unusable = |cause| OpenError::Unusable { path: path.to_owned(), cause };
        let options = options(path);
        let writer = pool(1).connect_with(options.clone()).await.map_err(|error| unusable(error.into()))?;
        migrations().run(&writer).await.map_err(|error| {
            if let MigrateError::VersionMissing(version) = error {
                return OpenError::Newer { path: path.to_owned(), version };
            }
            unusable(error.into())
        })?;
        let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
        Self::start(writer, readers, lock).await.map_err(|error| unusable(error.into()))
    }

    async fn start(writer: SqlitePool, readers: SqlitePool, lock: File) -> Result<Self, StoreError> {
        let mut tx = readers.begin().await?;
        let id = sqlx::query("SELECT id FROM service").fetch_one(&mut *tx).await?;
        let service = ServiceId(row::bytes(&id, "id")?);
        let revision = publication::current_revision(&mut tx).await?;
        drop(tx);
        Ok(Self {
            writer,
            readers,
            service,
            revision: watch::Sender::new(revision),
            write_failed: Arc::default(),
            lock: Arc::new(lock),
            counted: Arc::default(),
        })
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit must be on the disk before a node hears of it. With less, a power failure could take back the last
        // commits, their revisions would be given to other changes, and nodes that had seen the lost ones would
        // never ask for the new ones: a revocation lost for ever.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // After a full disk or a failed write SQLite has ended the transaction by itself, but sqlx still counts it and
    // would refuse to begin another one on that connection, for ever. Such a connection is replaced.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
}

fn migrations() -> Migrator {
    const FILES: [(i64, &str, &str); 1] = [(1, "teams and keys", include_str!("migrations/0001_teams_and_keys.sql"))];
    let migration = |(version, title, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, title.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.into_iter().map(migration).collect())
}

/// Makes a new file that only its owner can read; one that exists keeps its rights.
fn make_private(path: &Path) -> Result<(), OpenError> {
    use std::os::unix::fs::OpenOptionsExt;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(OpenError::NoFolder(path.to_owned()));
    }
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    file.map(|_| ()).map_err(|cause| OpenError::Unusable { path: path.to_owned(), cause: cause.into() })
}
