//! Keeps SQLite's log (the file `…-wal`) short, also where somebody reads at every moment.
//!
//! SQLite begins its log anew by itself only at a moment when nobody reads from it, and the file never shrinks. While readers take
//! turns without a gap, it grows with every change. So a log that has become long is emptied: who writes waits meanwhile, who
//! reads does not. Whoever begins to read then finds all in the database itself, so there soon is nobody left who reads
//! from the log.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::time::sleep;

/// A log that is longer than this, in bytes, is emptied.
pub(super) const LONG: u64 = 32 << 20;

/// From one look at it to the next; longer each time that somebody who does not end was in the way, since changes wait meanwhile.
const SOON: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_mins(5);

/// How long to wait for those who still read from it, in seconds: the longer, the longer it is. Changes wait for as long, and are
/// refused after five.
const PATIENCE: RangeInclusive<u64> = 1..=3;

/// The log of a database.
pub(super) struct Wal {
    path: PathBuf,
    options: SqliteConnectOptions,
}

impl Wal {
    /// Of the database `path`, which exists, and is opened with `options`.
    pub(super) fn of(path: &Path, options: SqliteConnectOptions) -> Self {
        // SQLite puts it beside the file that a link leads to.
        let mut log = path.canonicalize().unwrap_or_else(|_| path.to_owned()).into_os_string();
        log.push("-wal");
        Self { path: log.into(), options }
    }

    /// Empties it whenever it has become long, for ever.
    pub(super) async fn keep_short(self) {
        let mut pause = SOON;
        loop {
            sleep(pause).await;
            pause = after(pause, self.look().await);
        }
    }

    /// Empties it, if it has become long; whether it is short now.
    async fn look(&self) -> bool {
        let length = self.length();
        if length <= LONG {
            return true;
        }
        let patience = (length / LONG).clamp(*PATIENCE.start(), *PATIENCE.end());
        let emptied = self.empty(Duration::from_secs(patience)).await;
        match &emptied {
            Ok(true) => tracing::debug!(length, "the database's log was long, and was emptied"),
            Ok(false) => tracing::debug!(length, "the database's log is long, and somebody reads from it"),
            Err(error) => tracing::warn!(%error, length, "the database's log is long, and cannot be emptied"),
        }
        emptied.unwrap_or(false)
    }

    fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Writes all of it into the database and makes it empty; whether that could be done. On a connection of its own: those that
    /// serve wait longer for locks.
    async fn empty(&self, patience: Duration) -> Result<bool, sqlx::Error> {
        let options = self.options.clone().busy_timeout(patience);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut connection).await;
        connection.close().await?;
        Ok(row?.try_get::<i64, _>("busy")? == 0)
    }
}

/// When to look again, after a look at which the log became short, or did not.
fn after(pause: Duration, is_short: bool) -> Duration {
    if is_short { SOON } else { (pause * 2).min(LATE) }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, Instant},
    };

    use super::{LATE, SOON, Wal, after};
    use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions, sqlite::SqliteJournalMode};

    async fn does(connection: &mut SqliteConnection, statement: &'static str) {
        sqlx::raw_sql(statement).execute(connection).await.unwrap();
    }

    /// Two who read in turns: each begins before the other ends.
    struct Readers([SqliteConnection; 2]);

    impl Readers {
        const BEGIN: &str = "BEGIN; SELECT COUNT(*) FROM filled";

        async fn next(&mut self) {
            let [now, next] = &mut self.0;
            does(next, Self::BEGIN).await;
            does(now, "COMMIT").await;
            self.0.swap(0, 1);
        }
    }

    #[tokio::test]
    async fn a_log_that_grows_because_somebody_reads_at_every_moment_is_emptied_while_they_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let options = options.journal_mode(SqliteJournalMode::Wal);
        let open = async || SqliteConnection::connect_with(&options).await.unwrap();
        let (mut writer, mut readers) = (open().await, Readers([open().await, open().await]));
        does(&mut writer, "CREATE TABLE filled (bytes BLOB)").await;
        let wal = Arc::new(Wal::of(&path, options.clone()));

        does(&mut readers.0[0], Readers::BEGIN).await;
        for _ in 0..20 {
            does(&mut writer, "DELETE FROM filled; INSERT INTO filled VALUES (randomblob(1000000))").await;
            readers.next().await;
        }
        let grown = wal.length();
        assert!(grown > 20_000_000, "by itself SQLite does not begin it anew: {grown}");

        let deadline = Instant::now() + Duration::from_secs(60);
        let mut is_emptied = false;
        while !is_emptied {
            assert!(Instant::now() < deadline, "it is not emptied: {}", wal.length());
            let emptying = tokio::spawn({
                let wal = Arc::clone(&wal);
                async move { wal.empty(Duration::from_secs(1)).await }
            });
            while !emptying.is_finished() {
                readers.next().await;
            }
            is_emptied = emptying.await.unwrap().unwrap();
        }
        assert_eq!(wal.length(), 0);
    }

    #[test]
    fn whoever_reads_without_an_end_makes_changes_wait_less_and_less_often() {
        let pauses: Vec<_> = (0..8)
            .scan(SOON, |pause, _| {
                *pause = after(*pause, false);
                Some(pause.as_secs())
            })
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(after(LATE, true), SOON);
    }
}
