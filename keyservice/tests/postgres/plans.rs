//! What a page costs the server, counted in rows that it reads.

use sqlx::{PgConnection, Row};

use crate::{
    harness::{Folder, Service, eventually},
    replica::Replica,
};

const KEYS: u64 = 40_000;

/// Twice, and of each record its place, where it is kept; rows that did not fit into a page are read again for the next.
const MOST: u64 = 4 * KEYS;

/// Puts keys into the database as a great import would; nothing has analysed the tables.
async fn with_many_keys() -> Service {
    let service = Service::start().await;
    service.team("acme").await;
    let mut database = service.folder.database.connect().await;
    for statement in [
        "INSERT INTO keys (id, digest, kind, team, scopes, state, created_at)
         SELECT 'k' || n, sha256(('key ' || n)::bytea), 'application', 'acme', 'read', 'active', 1
         FROM generate_series(1, 40000) AS n",
        "INSERT INTO published (table_code, digest, revision)
         SELECT 2, digest, 1 + row_number() OVER (ORDER BY id) FROM keys",
        "UPDATE service SET revision = 40001",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    service
}

/// Rows of `published` and `keys` that were read, one by one or along an index.
async fn rows_read(database: &mut PgConnection) -> u64 {
    let read = "SELECT SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
                WHERE relname IN ('published', 'keys')";
    let read: i64 = sqlx::query(read).fetch_one(database).await.unwrap().get(0);
    u64::try_from(read).unwrap()
}

/// How many rows the server reads for two times all keys, as a snapshot and as changes.
async fn read_twice(service: Service) -> (u64, Folder) {
    let mut database = service.folder.database.connect().await;
    let before = rows_read(&mut database).await;
    let (snapshot, pages) = Replica::snapshot(&service).await;
    assert_eq!(snapshot.records.len() as u64, KEYS + 1);
    assert!(pages > 2, "{pages} pages");
    let mut changes = Replica::default();
    changes.catch_up(&service).await;
    assert_eq!(changes.records, snapshot.records);

    // A connection has told what it has read when it has ended.
    let (_, folder) = service.stop().await;
    eventually("the service's connections have ended", async || {
        let others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(others).fetch_optional(&mut database).await.unwrap().is_none().then_some(())
    })
    .await;
    (rows_read(&mut database).await - before, folder)
}

#[tokio::test]
async fn a_table_is_read_along_its_indexes_and_never_as_a_whole_for_one_page() {
    // It writes down what nodes get when it starts; what that reads is not counted here.
    let (_, folder) = with_many_keys().await.stop().await;
    let (_, folder) = read_twice(Service::start_in(folder).await).await;
    let (mut read, mut folder) = read_twice(Service::start_in(folder).await).await;
    // What the service before has read is told late at times, and then counts here; it does so once.
    if read > MOST {
        (read, folder) = read_twice(Service::start_in(folder).await).await;
    }
    drop(folder);
    println!("rows read for {} records in pages: {read}", 2 * KEYS);
    assert!((2 * KEYS..=MOST).contains(&read), "{read} rows for two times {KEYS} keys");
}
