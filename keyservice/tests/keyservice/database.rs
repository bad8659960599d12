//! Where the services of this binary keep everything: a SQLite file in their folder.

use std::path::Path;

use keyservice::store::Database;

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
}
