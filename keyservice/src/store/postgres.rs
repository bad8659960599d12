//! Opens a database on a PostgreSQL server, and hears of changes through other services.

use std::time::Duration;

use sqlx::{
    Connection as _, PgConnection, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    CHANNEL, OpenError, Store, StoreError,
    hold::Hold,
    open::{PATIENCE, migrations},
    publication, reached,
    sql::Pool,
};

/// Connections that read at the same time; long polls hold none while they wait.
const READERS: u32 = 8;

/// How often the revision is read although nothing was heard: a connection can be dead without anybody noticing.
const FALLBACK: Duration = Duration::from_secs(30);

/// How long to wait before the next try to listen.
const PAUSE: Duration = Duration::from_millis(250);

const MIGRATIONS: [(i64, &str, &str); 7] = [
    (1, "everything", include_str!("migrations/postgres/0001_everything.sql")),
    (2, "limit factor", include_str!("migrations/postgres/0002_limit_factor.sql")),
    (3, "quota books", include_str!("migrations/postgres/0003_quota_books.sql")),
    (4, "saved books", include_str!("migrations/postgres/0004_saved_books.sql")),
    (5, "kept records", include_str!("migrations/postgres/0005_kept_records.sql")),
    (6, "audit token", include_str!("migrations/postgres/0006_audit_token.sql")),
    (7, "calendar", include_str!("migrations/postgres/0007_calendar.sql")),
];

/// Opens the database that `options` lead to; in messages it is called `name`.
pub(super) async fn open(options: &PgConnectOptions, name: &str) -> Result<Store, OpenError> {
    let unreachable = |cause| OpenError::Unreachable { database: name.to_owned(), cause };
    // A connection of its own: a pool would go on trying, and say only that the time is up.
    let connecting = timeout(PATIENCE, PgConnection::connect_with(options)).await;
    let connected = connecting.map_err(|_| unreachable("it does not answer".into()))?;
    let mut connection = connected.map_err(|error| unreachable(error.into()))?;
    // Under an advisory lock: of services that start at the same time, one migrates, and the others wait for it.
    migrations(&MIGRATIONS).run(&mut connection).await.map_err(|error| {
        if let MigrateError::VersionMissing(version) = error {
            return OpenError::Newer { database: name.to_owned(), version };
        }
        unreachable(error.into())
    })?;
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the first connection did not end in good order");
    }
    let options = along_indexes(bounded(options.clone()));
    let writer = pool(1).connect_lazy_with(options.clone());
    let readers = pool(READERS).connect_lazy_with(options.clone());
    let listener =
        PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).max_lifetime(None).idle_timeout(None);
    let listener = listener.connect_lazy_with(options);
    let polled = readers.clone();
    let started = Store::start(Pool::Postgres(writer), Pool::Postgres(readers), |revision| {
        Hold::Listener(tokio::spawn(listen(listener, Pool::Postgres(polled), revision.clone())).abort_handle())
    });
    started.await.map_err(|error| unreachable(error.into()))
}

/// A service that is cut off in the middle of a change must not keep others from changing anything for ever.
fn bounded(options: PgConnectOptions) -> PgConnectOptions {
    let patience = format!("{}s", PATIENCE.as_secs());
    options.application_name("keyservice").options([
        // Whoever was told that a key is revoked must be right after a crash, whatever the server's default is.
        ("synchronous_commit", "on"),
        ("lock_timeout", patience.as_str()),
        ("idle_in_transaction_session_timeout", "30s"),
        ("statement_timeout", "60s"),
    ])
}

/// What is read is always the next few thousand rows of an index, and what belongs to each. Before a table has been
/// analysed, the planner takes that for less than it is, and reads (and sorts, or hashes) a million rows for one page.
fn along_indexes(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("enable_bitmapscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")])
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE)
}

/// Hears of changes through other services, for ever.
async fn listen(listener: PgPool, readers: Pool, revision: watch::Sender<u64>) {
    loop {
        if let Err(error) = hear(&listener, &readers, &revision).await {
            tracing::warn!(%error, "cannot hear of changes through other services; trying again");
        }
        sleep(PAUSE).await;
    }
}

async fn hear(listener: &PgPool, readers: &Pool, revision: &watch::Sender<u64>) -> Result<(), StoreError> {
    let mut listener = PgListener::connect_with(listener).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // After the beginning, a lost connection or a long silence, something may have been missed.
        reached(revision, publication::current_revision(&mut readers.begin_reading().await?).await?);
        while let Ok(heard) = timeout(FALLBACK, listener.try_recv()).await {
            let Some(heard) = heard? else { break };
            if let Ok(number) = heard.payload().parse() {
                reached(revision, number);
            }
        }
    }
}
