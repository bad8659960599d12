//! Opens a database, bringing its schema up to date where needed.

use std::{sync::Arc, time::Duration};

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use tokio::sync::{Semaphore, watch};
use tollkeeper_contract::page::{Rest, ServiceId, Table};

use super::{
    Database, OpenError, Store, StoreError, ahead::Ahead, hold::Hold, postgres, publication, records, row, sql::Pool,
    sql::sql, sqlite,
};

/// How long to wait for a lock or a free connection.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

impl Store {
    /// Opens `database`: a SQLite file is made if there is none, a PostgreSQL database has to be there.
    ///
    /// # Errors
    /// When it cannot be reached or opened, is a file that another program serves, is no database, or belongs to a
    /// newer version of this program.
    pub async fn open(database: &Database) -> Result<Self, OpenError> {
        match database {
            Database::Sqlite(path) => sqlite::open(path).await,
            Database::Postgres(options) => postgres::open(options, &database.to_string()).await,
        }
    }

    /// The store of a database whose schema is up to date.
    pub(super) async fn start(
        writer: Pool,
        readers: Pool,
        hold: impl FnOnce(&watch::Sender<u64>) -> Hold,
    ) -> Result<Self, StoreError> {
        let mut tx = readers.begin_reading().await?;
        let id = sql("SELECT id FROM service").fetch_one(&mut tx).await?;
        let service = ServiceId(row::bytes(&id, "id")?);
        let revision = watch::Sender::new(publication::current_revision(&mut tx).await?);
        let is_lacking = records::are_lacking(&mut tx).await?;
        drop(tx);
        let store = Self {
            writer,
            readers,
            service,
            hold: Arc::new(hold(&revision)),
            revision,
            write_failed: Arc::default(),
            counted: Arc::default(),
            entering: Arc::new(Semaphore::new(super::ENTERING)),
            ahead: Ahead::default(),
        };
        if is_lacking {
            store.keep_records().await;
        }
        Ok(store)
    }

    /// Writes the records that a version before did not keep: once, some at a time, and a start that is interrupted loses
    /// none of it. It can fail without harm, for what is not kept is made again whenever it is asked for.
    async fn keep_records(&self) {
        tracing::info!("writing down what nodes get of each record, once; with a million keys this takes a minute");
        for table in Table::ALL {
            if let Err(error) = self.keep_records_of(table).await {
                tracing::warn!(%error, ?table, "what nodes get of some records cannot be written down");
            }
        }
    }

    async fn keep_records_of(&self, table: Table) -> Result<(), StoreError> {
        let mut rest = Rest::More;
        while rest == Rest::More {
            let mut change = self.quiet_change().await?;
            rest = records::keep_some(change.sql(), table, 0).await?;
            change.commit().await?;
        }
        Ok(())
    }
}

/// What brings a schema up to date: numbered files, each with its title.
pub(super) fn migrations(files: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migration = |(version, title, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*title).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}
