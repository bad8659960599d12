//! A disk that is full, and two services that want the same file.

use std::process::{Command, Stdio};

use reqwest::{Method, StatusCode};
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Service, answer, serve_in, text};

/// The service as a shell starts it that ignores the signal for files that grow too long: writes fail instead.
async fn start_with_bounded_files() -> Service {
    let folder = TempDir::new().unwrap();
    let plain = serve_in(folder.path());
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
        let mut command = serve_in(service.folder.path());
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
