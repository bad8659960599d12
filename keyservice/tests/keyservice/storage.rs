//! What is so with a file: a disk that is full, rights, and two services that want the same one.

use std::{
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use reqwest::{Method, StatusCode};
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::harness::{Folder, Service, answer, refusal, serve_in, text};

/// The service as a shell starts it that ignores the signal for files that grow too long: writes fail instead.
async fn start_with_bounded_files() -> Service {
    let folder = Folder::new();
    let plain = serve_in(&folder);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" serve"]).arg(plain.get_program());
    command.env_clear().stdin(Stdio::null()).current_dir(folder.path());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Service::start_as(command, folder).await
}

/// No file of the service may be longer than `bytes`.
fn bound_files(service: &Service, bytes: Option<u64>) {
    prlimit(Some(service.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

async fn ready(service: &Service) -> StatusCode {
    service.bare(Method::GET, "/readyz").send().await.unwrap().status()
}

/// Makes keys until the service fails to.
async fn keys_until_full(service: &Service) -> Vec<Value> {
    let mut made = Vec::new();
    loop {
        let answer = service.post("/v1/keys", json!({ "team": "acme", "scopes": ["read"] })).await;
        if answer.status.is_server_error() {
            return made;
        }
        made.push(answer.created());
        assert!(made.len() < 1000, "the disk never became full");
    }
}

#[tokio::test]
async fn a_full_disk_is_reported_and_overcome_without_a_restart() {
    let service = start_with_bounded_files().await;
    service.team("acme").await;
    bound_files(&service, Some(1 << 20));
    let mut made = keys_until_full(&service).await;
    assert!(!made.is_empty());
    // What was left for a smaller write goes too.
    bound_files(&service, Some(1));
    assert_eq!(ready(&service).await, StatusCode::SERVICE_UNAVAILABLE);
    // What is there can be read all the while.
    service.get(&format!("/v1/keys/{}", text(&made[0], "id"))).await.ok();
    bound_files(&service, None);
    assert_eq!(ready(&service).await, StatusCode::OK);
    for _ in 0..3 {
        made.push(service.key("acme").await);
    }
    for key in &made {
        assert_eq!(service.get(&format!("/v1/keys/{}", text(key, "id"))).await.ok()["state"], "active");
    }
    assert_eq!(service.revision().await, 1 + u64::try_from(made.len()).unwrap());
    let refused = answer(service.admin(Method::POST, "/v1/teams").json(&json!({ "id": "acme" }))).await;
    refused.refused(409, "team_exists");
}

#[tokio::test]
async fn a_second_service_on_the_same_database_is_refused() {
    let service = Service::start().await;
    std::os::unix::fs::symlink("tollkeeper.db", service.folder.path().join("other.db")).unwrap();
    for name in ["tollkeeper.db", "other.db"] {
        let mut command = serve_in(&service.folder);
        command.env("TOLLKEEPER_DATABASE", name);
        let output = command.output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        for part in [name, "served by another keyservice", "tollkeeper.db.lock", "end that one first"] {
            assert!(message.contains(part), "{message}");
        }
    }
    service.team("acme").await;
}

#[test]
fn a_database_that_cannot_be_opened_is_explained() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("text"), "this is no database, but long enough to be looked at".repeat(99))
        .unwrap();
    for (path, expected) in
        [("nowhere/keys.db", "folder does not exist"), (".", "cannot open"), ("text", "cannot open")]
    {
        let mut command = serve_in(&folder);
        command.env("TOLLKEEPER_DATABASE", path);
        let (code, message) = refusal(command);
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(expected) && message.contains("TOLLKEEPER_DATABASE"), "{message}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (_, folder) = Service::start().await.stop().await;
    let options = SqliteConnectOptions::new().filename(folder.path().join("tollkeeper.db"));
    let mut database = options.connect().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time
                 FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(newer).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let (code, message) = refusal(serve_in(&folder));
    assert_eq!(code, 1);
    assert!(message.contains("schema 99") && message.contains("newer keyservice"), "{message}");
}

#[tokio::test]
async fn only_its_owner_can_read_a_new_database() {
    let service = Service::start().await;
    let mode = std::fs::metadata(service.folder.path().join("tollkeeper.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the database");
}
