//! Starting and ending, as an operator sees it.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::json;

use crate::{
    harness::{ADMIN_TOKEN, Folder, Service, answer, eventually, metric, refusal, serve_in, text},
    replica::Replica,
};

#[test]
fn weak_missing_and_equal_tokens_are_refused_at_start() {
    let folder = Folder::new();
    for (name, value, expected) in [
        ("TOLLKEEPER_ADMIN_TOKEN", "", "TOLLKEEPER_ADMIN_TOKEN is not set"),
        ("TOLLKEEPER_NODE_TOKEN", "", "TOLLKEEPER_NODE_TOKEN is not set"),
        ("TOLLKEEPER_ADMIN_TOKEN", "fifteen-letters", "TOLLKEEPER_ADMIN_TOKEN: a token is at least 16"),
        ("TOLLKEEPER_NODE_TOKEN", "with a space in between", "TOLLKEEPER_NODE_TOKEN: a token is at least 16"),
        ("TOLLKEEPER_NODE_TOKEN", ADMIN_TOKEN, "are the same"),
        ("TOLLKEEPER_NODE_TOKEN_FILE", "/nowhere", "are both set"),
    ] {
        let mut command = serve_in(&folder);
        command.env(name, value);
        let (code, message) = refusal(command);
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains(ADMIN_TOKEN) && !message.contains("fifteen"), "{message}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing was made");
}

#[test]
fn there_is_no_flag_for_a_token() {
    let output = crate::harness::program().args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for secret in ["admin-token", "node-token", "signing-secret"] {
        assert!(!help.contains(&format!("--{secret}")), "{help}");
    }
}

#[tokio::test]
async fn a_taken_address_is_explained() {
    let service = Service::start().await;
    let folder = Folder::new();
    let mut command = serve_in(&folder);
    let address = service.url.trim_start_matches("http://");
    command.env("TOLLKEEPER_LISTEN", address);
    let (code, message) = refusal(command);
    assert_eq!(code, 1);
    assert!(message.contains(address) && message.contains("TOLLKEEPER_LISTEN"), "{message}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "no database was made or changed");
}

#[tokio::test]
async fn a_restart_keeps_everything() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = service.key("acme").await;
    service.post(&format!("/v1/keys/{}/revoke", text(&service.key("acme").await, "id")), json!({})).await.ok();
    let listed = service.get("/v1/keys").await.ok();
    let (mut replica, _) = Replica::snapshot(&service).await;
    let (status, folder) = service.stop().await;
    assert_eq!(status.code(), Some(0));
    let service = Service::start_in(folder).await;
    assert_eq!(service.get("/v1/keys").await.ok(), listed);
    // The same service id, or the replica would refuse the page.
    let before = replica.records.clone();
    replica.follow(&service, 0).await.unwrap();
    assert_eq!(replica.records, before);
    service.delete(&format!("/v1/keys/{}", text(&key, "id"))).await;
    replica.follow(&service, 0).await.unwrap();
    assert_eq!((replica.revision, replica.key(text(&key, "key"))), (5, None));
}

#[tokio::test]
async fn a_killed_service_loses_nothing_that_it_confirmed() {
    let mut service = Service::start().await;
    service.team("acme").await;
    let key = service.key("acme").await;
    service.signal(Signal::KILL);
    service.ended().await;
    let folder = service.leave_folder();
    let service = Service::start_in(folder).await;
    assert_eq!(service.get(&format!("/v1/keys/{}", text(&key, "id"))).await.ok()["state"], "active");
    assert_eq!(service.revision().await, 2);
}

#[tokio::test]
async fn asked_to_end_it_answers_waiting_nodes_and_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = Service::start().await;
        let request = service.node(Method::GET, "/node/v1/changes?after=0&wait=300&nonce=1");
        let waiting = tokio::spawn(request.send());
        eventually("the node waits", async || {
            let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
            (metric(&metrics, "keyservice_long_polls") == 1).then_some(())
        })
        .await;
        let began = Instant::now();
        service.signal(signal);
        assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
        assert_eq!(service.ended().await.code(), Some(0));
        assert!(began.elapsed().as_secs() < 5, "it cut the node off instead of answering it");
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_keep_it_from_ending() {
    use tokio::io::AsyncWriteExt;
    let mut service = Service::start().await;
    let mut stuck = tokio::net::TcpStream::connect(service.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/teams HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    stuck.write_all(head.as_bytes()).await.unwrap();
    // An answer to a later request shows that the earlier one was taken up.
    service.get("/v1/teams").await.ok();
    service.signal(Signal::TERM);
    assert_eq!(service.ended().await.code(), Some(0));
}

#[tokio::test]
async fn health_and_metrics_need_no_token() {
    let service = Service::start().await;
    service.team("acme").await;
    service.key("acme").await;
    answer(service.node(Method::GET, "/node/v1/nothing")).await.refused(404, "unknown_route");
    Replica::snapshot(&service).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = service.bare(Method::GET, path).send().await.unwrap();
        assert_eq!(
            (answer.status(), &answer.headers()["x-tollkeeper-service"]),
            (StatusCode::OK, &"keyservice".parse().unwrap())
        );
    }
    let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert_eq!(metric(&metrics, "keyservice_revision"), 2);
    assert_eq!(metric(&metrics, "keyservice_keys{state=\"active\"}"), 1);
    assert_eq!(metric(&metrics, "keyservice_teams{state=\"disabled\"}"), 0);
    assert_eq!(metric(&metrics, "keyservice_nodes{version=\"unknown\"}"), 1);
    let posted = "keyservice_requests_total{method=\"POST\",route=\"/v1/keys\",status=\"201\"}";
    assert_eq!(metric(&metrics, posted), 1);
}
