//! Opens a SQLite file, making it where there is none.

use std::path::Path;

use sqlx::{
    Connection, SqliteConnection,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    OpenError, Store,
    hold::{self, Hold},
    open::{PATIENCE, migrations},
    sql::Pool,
    wal::{self, Wal},
};

/// Connections that read at the same time; long polls hold none while they wait.
const READERS: u32 = 4;

const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "teams and keys", include_str!("migrations/sqlite/0001_teams_and_keys.sql")),
    (2, "tenants sessions audit", include_str!("migrations/sqlite/0002_tenants_sessions_audit.sql")),
    (3, "limit factor", include_str!("migrations/sqlite/0003_limit_factor.sql")),
    (4, "quota books", include_str!("migrations/sqlite/0004_quota_books.sql")),
    (5, "saved books", include_str!("migrations/sqlite/0005_saved_books.sql")),
    (6, "kept records", include_str!("migrations/sqlite/0006_kept_records.sql")),
    (7, "audit token", include_str!("migrations/sqlite/0007_audit_token.sql")),
    (8, "calendar", include_str!("migrations/sqlite/0008_calendar.sql")),
];

/// Opens the file `path`, which nobody else may serve.
pub(super) async fn open(path: &Path) -> Result<Store, OpenError> {
    make_private(path)?;
    let lock = hold::lock(path)?;
    let unusable = |cause| OpenError::Unusable { path: path.to_owned(), cause };
    let options = options(path);
    let writer = writer().connect_with(writing(options.clone())).await.map_err(|error| unusable(error.into()))?;
    migrations(&MIGRATIONS).run(&writer).await.map_err(|error| {
        if let MigrateError::VersionMissing(version) = error {
            return OpenError::Newer { database: path.display().to_string(), version };
        }
        unusable(error.into())
    })?;
    let log = Wal::of(path, options.clone());
    let readers = pool(READERS).connect_lazy_with(options.pragma("query_only", "ON"));
    let hold = |_: &_| Hold::File(lock, tokio::spawn(log.keep_short()).abort_handle());
    let started = Store::start(Pool::Sqlite(writer), Pool::Sqlite(readers), hold).await;
    started.map_err(|error| unusable(error.into()))
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
        // What was once a long log gives its place on the disk back when it is begun anew.
        .pragma("journal_size_limit", wal::LONG.to_string())
}

/// Whoever writes keeps 64 MiB of the file in memory (told in KiB), and what one statement may have to undo. Digests lie
/// anywhere in their indexes, so an import of many keys touches most pages; with SQLite's own 2 MiB it writes and reads
/// each again and again.
fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.pragma("cache_size", "-65536").pragma("temp_store", "MEMORY")
}

/// A connection that SQLite opened while the disk was read-only stays so when the disk is well again, and would refuse every
/// change for ever. Such a connection is replaced, too.
fn writer() -> SqlitePoolOptions {
    pool(1).before_acquire(|connection, _| {
        Box::pin(async move { Ok(!connection.is_in_transaction() && !is_read_only(connection).await) })
    })
}

/// `BEGIN IMMEDIATE` would not tell: where it cannot write, it begins to read.
async fn is_read_only(connection: &mut SqliteConnection) -> bool {
    let tried = sqlx::query("UPDATE service SET revision = revision WHERE false").execute(connection).await;
    let code = tried.err().and_then(|error| error.as_database_error()?.code()?.parse::<i32>().ok());
    // SQLITE_READONLY, with its extensions in the upper bits.
    code.is_some_and(|code| code & 0xff == 8)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // After a full disk or a failed write SQLite has ended the transaction by itself, but sqlx still counts it and
    // would refuse to begin another one on that connection, for ever. Such a connection is replaced.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
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
