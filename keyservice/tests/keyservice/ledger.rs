//! Usage that nodes report.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::ledger::{MAX_USAGE, Report, Usage};

use crate::harness::{Answer, Service, answer, metric, text};

const THEN: u64 = 1_700_000_000;

fn usage(key: &str, granted: u64, last_used: u64) -> Usage {
    Usage { key: key.into(), team: "acme".into(), granted, limited: 1, last_used }
}

fn report(epoch: u64, seq: u64, usage: Vec<Usage>) -> Report {
    Report { node: "edge-1".into(), epoch, seq, usage }
}

async fn send(service: &Service, report: &Report) -> Answer {
    answer(service.node(Method::POST, "/node/v1/ledger").json(report)).await
}

async fn started() -> (Service, String) {
    let service = Service::start().await;
    service.team("acme").await;
    let id = text(&service.key("acme").await, "id").to_owned();
    (service, id)
}

async fn shown(service: &Service, path: &str) -> (Value, Value, Value) {
    let shown = service.get(path).await.ok();
    (shown["granted"].clone(), shown["limited"].clone(), shown["last_used_at"].clone())
}

#[tokio::test]
async fn usage_is_shown_with_the_key_and_its_team() {
    let (service, id) = started().await;
    assert_eq!(send(&service, &report(7, 1, vec![usage(&id, 5, THEN)])).await.status, 204);
    assert_eq!(send(&service, &report(7, 2, vec![usage(&id, 2, THEN - 100)])).await.status, 204);
    let expected = (json!(7), json!(2), json!("2023-11-14T22:13:20Z"));
    assert_eq!(shown(&service, &format!("/v1/keys/{id}")).await, expected);
    assert_eq!(shown(&service, "/v1/teams/acme").await, expected);
    assert_eq!(service.get("/v1/keys").await.ok()["keys"][0]["granted"], 7);
    assert_eq!(service.revision().await, 2, "usage is no change");
}

#[tokio::test]
async fn a_batch_is_counted_once() {
    let (service, id) = started().await;
    let first = report(u64::MAX, 1, vec![usage(&id, 5, THEN)]);
    for _ in 0..3 {
        assert_eq!(send(&service, &first).await.status, 204);
    }
    let path = format!("/v1/keys/{id}");
    assert_eq!(shown(&service, &path).await.0, 5);
    send(&service, &report(u64::MAX, 2, vec![usage(&id, 1, THEN)])).await;
    send(&service, &first).await;
    assert_eq!(shown(&service, &path).await.0, 6);
    let other_node = Report { node: "edge-2".into(), ..first.clone() };
    send(&service, &other_node).await;
    send(&service, &Report { epoch: 1, ..first }).await;
    assert_eq!(shown(&service, &path).await.0, 16, "other nodes and stewards have numbers of their own");
}

#[tokio::test]
async fn a_batch_sent_many_times_at_once_is_counted_once() {
    let (service, id) = started().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let batch = report(1, 1, vec![usage(&id, 3, THEN)]);
        tasks.spawn(answer(service.node(Method::POST, "/node/v1/ledger").json(&batch)));
    }
    assert!(tasks.join_all().await.iter().all(|answer| answer.status == 204));
    assert_eq!(shown(&service, "/v1/teams/acme").await.0, 3);
}

#[tokio::test]
async fn a_batch_is_remembered_over_a_restart() {
    let (service, id) = started().await;
    let batch = report(1, 1, vec![usage(&id, 3, THEN)]);
    send(&service, &batch).await;
    let (_, folder) = service.stop().await;
    let service = Service::start_in(folder).await;
    send(&service, &batch).await;
    assert_eq!(shown(&service, &format!("/v1/keys/{id}")).await.0, 3);
}

#[tokio::test]
async fn missing_batches_and_unknown_keys_are_counted_as_such() {
    let (service, id) = started().await;
    let batch = report(1, 4, vec![usage(&id, 3, THEN), usage("gone", 2, THEN)]);
    assert_eq!(send(&service, &batch).await.status, 204);
    send(&service, &batch).await;
    assert_eq!(shown(&service, &format!("/v1/keys/{id}")).await.0, 3);
    assert_eq!(shown(&service, "/v1/teams/acme").await.0, 5, "the team was charged for the deleted key too");
    let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert_eq!(metric(&metrics, "keyservice_usage_batches_missing_total"), 3);
    assert_eq!(metric(&metrics, "keyservice_usage_unknown_keys_total"), 1);
    assert_eq!(metric(&metrics, "keyservice_usage_batches_total{outcome=\"counted\"}"), 1);
    assert_eq!(metric(&metrics, "keyservice_usage_batches_total{outcome=\"repeated\"}"), 1);
}

#[tokio::test]
async fn a_use_in_the_future_is_taken_for_now() {
    let (service, id) = started().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    send(&service, &report(1, 1, vec![usage(&id, 1, u64::MAX)])).await;
    let (_, _, last) = shown(&service, &format!("/v1/keys/{id}")).await;
    let last: jiff::Timestamp = last.as_str().unwrap().parse().unwrap();
    assert!((0..=60).contains(&(last.as_second() - i64::try_from(now).unwrap())), "{last}");
}

#[tokio::test]
async fn the_longest_report_is_taken() {
    let (service, id) = started().await;
    let long = |number: usize| Usage {
        key: format!("{number:0>32}"),
        team: format!("{number:0>64}"),
        granted: u64::MAX,
        limited: u64::MAX,
        last_used: u64::MAX,
    };
    let mut entries: Vec<_> = (1..MAX_USAGE).map(long).collect();
    entries.push(usage(&id, 4, THEN));
    assert_eq!(send(&service, &report(1, 1, entries.clone())).await.status, 204);
    assert_eq!(shown(&service, &format!("/v1/keys/{id}")).await.0, 4);
    entries.push(usage("one-too-many", 1, THEN));
    let refused = send(&service, &report(1, 2, entries)).await;
    refused.refused(400, "invalid_field");
    assert_eq!(refused.body["field"], "usage");
}

#[tokio::test]
async fn counts_stop_where_json_numbers_end() {
    let (service, id) = started().await;
    send(&service, &report(1, 1, vec![usage(&id, u64::MAX, THEN)])).await;
    send(&service, &report(1, 2, vec![usage(&id, u64::MAX, THEN)])).await;
    assert_eq!(shown(&service, &format!("/v1/keys/{id}")).await.0, 9_007_199_254_740_991_u64);
}

#[tokio::test]
async fn a_report_that_cannot_be_counted_is_refused() {
    let (service, _) = started().await;
    for (body, field) in [
        (json!({ "node": "", "epoch": 1, "seq": 1, "usage": [] }), json!("node")),
        (json!({ "node": "a b", "epoch": 1, "seq": 1, "usage": [] }), json!("node")),
        (json!({ "node": "n", "epoch": 1, "seq": 0, "usage": [] }), json!("seq")),
        (json!({ "node": "n", "epoch": 1, "seq": u64::MAX, "usage": [] }), json!("seq")),
        (json!({ "node": "n", "epoch": -1, "seq": 1, "usage": [] }), json!("epoch")),
        (json!({ "node": "n", "epoch": 1, "seq": 1, "usage": [{}] }), json!("usage[0]")),
        (json!({ "node": "n", "epoch": 1, "seq": 1, "usage": [], "more": 1 }), json!("more")),
        (json!([]), json!("body")),
    ] {
        let refused = answer(service.node(Method::POST, "/node/v1/ledger").json(&body)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["field"]), (400, &field), "{body}: {}", refused.body);
    }
}
