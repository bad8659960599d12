//! Where the services of this binary keep everything: a SQLite file in their folder.

use std::path::Path;

use keyservice::store::Database;
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

/// The database of one folder; it goes with the folder.
pub(crate) struct TestDatabase;

impl TestDatabase {
    /// A new one.
    pub(crate) fn new() -> Self {
        Self
    }

    /// What `TOLLKEEPER_DATABASE` says to a service that runs in the folder.
    pub(crate) fn setting(&self) -> String {
        "tollkeeper.db".to_owned()
    }

    /// Everything in it that is not in a file of the folder.
    pub(crate) async fn rows(&self) -> Vec<u8> {
        Vec::new()
    }

    /// The same for this process.
    pub(crate) fn open_from(&self, folder: &Path) -> Database {
        Database::Sqlite(folder.join(self.setting()))
    }

    /// Changes something behind the service's back.
    pub(crate) async fn execute(&self, folder: &Path, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.connect(folder).await).await.unwrap();
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, folder: &Path, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.connect(folder).await).await.unwrap()
    }

    async fn connect(&self, folder: &Path) -> SqliteConnection {
        SqliteConnectOptions::new().filename(folder.join(self.setting())).connect().await.unwrap()
    }
}
