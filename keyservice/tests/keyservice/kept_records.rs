//! Records are kept as nodes get them: from whenever a database is, and whoever else writes into it.

use reqwest::Method;
use serde_json::json;
use tollkeeper_contract::{Hosts, KeyState, page::Table};

use super::login::{claims, key_of, token_of};
use crate::{
    harness::{Service, answer, text},
    replica::Replica,
};

/// As the schema was before records were kept.
const BEFORE: [&str; 4] = [
    "DROP INDEX published_without_record",
    "ALTER TABLE published DROP COLUMN record",
    "ALTER TABLE published DROP COLUMN record_revision",
    "DELETE FROM _sqlx_migrations WHERE description = 'kept records'",
];

/// A service with a record in each table, some of them changed, and some gone.
async fn with_all_there_is() -> Service {
    let service = Service::for_logins().await;
    service.enterprise("umbrella").await;
    let quota = json!({ "limit": 5, "window_seconds": 60 });
    let team = json!({ "id": "acme", "enterprise": "umbrella", "quota": quota, "hosts": ["a.example", "b.example"] });
    service.post("/v1/teams", team).await.created();
    service.patch("/v1/teams/acme", json!({ "hosts": ["a.example", "c.example"] })).await.ok();
    service.user("ada", "acme").await;
    service.account(json!({ "id": "robot", "enterprise": "umbrella" })).await;
    let robot = json!({ "kind": "enterprise_service_account", "service_account": "robot", "scopes": ["read"] });
    service.post("/v1/keys", robot).await.created();
    let bound = json!({ "team": "acme", "scopes": ["read"], "origin": { "domain": "app.example" } });
    service.post("/v1/keys", bound).await.created();
    let application = json!({ "team": "acme", "scopes": ["read", "write"], "subject": "ci" });
    let (id, key) = key_of(&service, application).await;
    let token = token_of(&service, &key).await;
    service.post(&format!("/v1/sessions/{}/revoke", claims(&token).session), json!({})).await.ok();
    service.post(&format!("/v1/keys/{id}/revoke"), json!({})).await.ok();
    let gone = text(&service.key("acme").await, "id").to_owned();
    service.delete(&format!("/v1/keys/{gone}")).await.ok();
    answer(service.admin(Method::PUT, "/v1/limits").json(&json!({ "factor": 1.5 }))).await.ok();
    service
}

/// Rows that should have a record and have none that counts.
async fn lacking(service: &Service) -> i64 {
    let lacking = "SELECT COUNT(*) FROM published WHERE removed_at IS NULL AND record_revision <> revision";
    service.folder.database.number(service.folder.path(), lacking).await
}

async fn write(service: &Service, statement: &'static str) {
    service.folder.database.execute(service.folder.path(), statement).await;
}

/// What a snapshot gives is also what changes from the beginning give.
async fn seen(service: &Service) -> Replica {
    let (snapshot, _) = Replica::snapshot(service).await;
    let mut followed = Replica::default();
    followed.catch_up(service).await;
    assert_eq!(followed.records, snapshot.records);
    snapshot
}

#[tokio::test]
async fn each_change_keeps_its_records_as_they_are_when_it_is_done() {
    let service = with_all_there_is().await;
    assert_eq!(lacking(&service).await, 0);
    let kept = seen(&service).await;
    for table in Table::ALL {
        assert!(kept.records.keys().any(|cursor| cursor.table == table), "{table:?}");
    }
    // Hosts are written after the team was stamped.
    assert_eq!(kept.team("acme").unwrap().hosts, Hosts::Own);
    // None of them counts any more: all are made anew.
    write(&service, "UPDATE published SET record = NULL, record_revision = 0").await;
    assert_eq!(seen(&service).await.records, kept.records);
}

#[tokio::test]
async fn a_database_from_before_records_were_kept_gives_the_same_and_keeps_them_from_then_on() {
    let service = with_all_there_is().await;
    let before = seen(&service).await;
    let (_, folder) = service.stop().await;
    for statement in BEFORE {
        folder.database.execute(folder.path(), statement).await;
    }
    let service = Service::start_in(folder).await;
    assert_eq!(lacking(&service).await, 0);
    assert_eq!(seen(&service).await.records, before.records);
    assert_eq!(service.revision().await, before.revision);
}

#[tokio::test]
async fn a_key_that_a_service_of_an_older_version_revoked_is_revoked_for_nodes() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = text(&service.key("acme").await, "key").to_owned();
    let mut replica = seen(&service).await;
    for statement in [
        "UPDATE service SET revision = 3",
        "UPDATE keys SET state = 'revoked'",
        "UPDATE published SET revision = 3, removed_at = NULL WHERE table_code = 2",
    ] {
        write(&service, statement).await;
    }
    let now = seen(&service).await;
    assert_eq!(now.key(&key).unwrap().state, KeyState::Revoked);
    replica.catch_up(&service).await;
    assert_eq!(replica.records, now.records);
    assert_eq!(lacking(&service).await, 1);
    let service = Service::start_in(service.stop().await.1).await;
    assert_eq!(lacking(&service).await, 0);
    assert_eq!(seen(&service).await.records, now.records);
}

#[tokio::test]
async fn what_is_gone_keeps_no_record() {
    let service = with_all_there_is().await;
    let database = &service.folder.database;
    let kept = "SELECT COUNT(record) FROM published WHERE removed_at IS NOT NULL";
    assert_eq!(database.number(service.folder.path(), kept).await, 0);
}
