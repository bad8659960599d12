//! Where the services of this binary keep everything: databases of their own on one PostgreSQL server.

use std::{path::Path, thread};

use keyservice::store::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// The variable that says where the server is, as `postgres://USER@HOST:PORT`.
const SERVER: &str = "TOLLKEEPER_TEST_POSTGRES";

/// A database with a random name, which is dropped in the end.
pub(crate) struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut random = [0; 12];
        getrandom::fill(&mut random).unwrap();
        let name = random.iter().fold("test_".to_owned(), |name, byte| format!("{name}{byte:02x}"));
        on_server(format!("CREATE DATABASE {name}"));
        Self { name }
    }

    /// What `TOLLKEEPER_DATABASE` says to a service.
    pub(crate) fn setting(&self) -> String {
        format!("{}/{}", server(), self.name)
    }

    /// Everything in it, as text; bytes in hexadecimal digits.
    pub(crate) async fn rows(&self) -> Vec<u8> {
        let mut connection = self.connect().await;
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
        let mut everything = Vec::new();
        for table in tables {
            let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} AS t"));
            let rows: Vec<String> = sqlx::query_scalar(rows).fetch_all(&mut connection).await.unwrap();
            everything.extend(rows.concat().into_bytes());
        }
        everything
    }

    /// The same for this process.
    pub(crate) fn open_from(&self, _: &Path) -> Database {
        Database::parse(&self.setting()).unwrap()
    }

    /// Changes something behind the service's back.
    pub(crate) async fn execute(&self, _: &Path, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.connect().await).await.unwrap();
    }

    /// The number that a query gives.
    pub(crate) async fn number(&self, _: &Path, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.setting()).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        on_server(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn server() -> String {
    std::env::var(SERVER).unwrap_or_else(|_| {
        panic!(
            "{SERVER} is not set: run `make test ARGS=name`, which starts a PostgreSQL for these tests, or set it to a \
             server of yours, such as postgres://postgres@127.0.0.1:5432, where this user may create databases"
        )
    })
}

/// Also from a test that runs on a runtime, and while it is dropped.
fn on_server(statement: String) {
    let server = format!("{}/postgres", server());
    let done = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&server).await?;
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await
        })
    });
    done.join().unwrap().unwrap();
}
