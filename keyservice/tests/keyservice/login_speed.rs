//! How many logins a second there are room for: measured and printed, with no bound that a busy machine could break.

use std::{sync::Arc, time::Instant};

use keyservice::store::Database;
use serde_json::json;

use super::login::{asking, key_of};
use crate::harness::Service;

const CLIENTS: usize = 8;
const LOGINS: usize = 50;

/// Logs in from several clients at the same time and gives logins per second.
async fn rate(service: &Arc<Service>, key: &str, session: impl Fn(usize, usize) -> String) -> f64 {
    let began = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let bodies: Vec<_> =
                (0..LOGINS).map(|number| json!({ "api_key": key, "session_id": session(client, number) })).collect();
            let service = Arc::clone(service);
            tokio::spawn(async move {
                for body in &bodies {
                    assert_eq!(asking(&service, body).send().await.unwrap().status(), 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    f64::from(u32::try_from(CLIENTS * LOGINS).unwrap()) / began.elapsed().as_secs_f64()
}

#[tokio::test]
async fn logins_per_second() {
    let service = Arc::new(Service::for_logins().await);
    service.team("acme").await;
    let (_, key) = key_of(&service, json!({ "team": "acme", "scopes": ["read"] })).await;
    let first = rate(&service, &key, |client, number| format!("{client}/{number}")).await;
    let again = rate(&service, &key, |client, number| format!("{client}/{number}")).await;
    let database = match service.folder.database() {
        Database::Sqlite(_) => "SQLite",
        Database::Postgres(_) => "PostgreSQL",
    };
    println!("logins per second, {CLIENTS} clients, {database}: {first:.0} first ones, {again:.0} repeated ones");
}
