//! The fleet's quotas in a Valkey, as nodes and operators see it.

use std::time::{Duration, Instant};

use lab::valkey::Valkey;
use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::lease::Answer as Leases;

use crate::harness::{Answer, Folder, Service, answer, eventually, metric, node_token, serve_in};

async fn service_on(url: &str, folder: Folder) -> Service {
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_QUOTA_STORE", url);
    let service = Service::start_as(command, folder).await;
    // It may be there from before.
    service.post("/v1/teams", json!({ "id": "acme" })).await;
    service
}

fn question(node: &str, seq: u64, granted: u64, need: u32) -> Value {
    let ask = json!({
        "account": {"team": "acme"}, "since": 7, "seq": seq, "granted": granted, "void": 0, "spent": 0, "returned": 0, "overdrawn": 0,
        "settled": 0, "need": need, "want": need, "least": 1, "limit": 100, "window": 1000, "promise": "bucket",
    });
    json!({ "node": node, "instance": "default", "nonce": 7, "unanswered_ms": 0, "asks": [ask] })
}

async fn ask(service: &Service, question: &Value) -> Option<Leases> {
    let answer = service.node(Method::POST, "/node/v1/leases").json(question).send().await.unwrap();
    let is_good = answer.status() == 200;
    let bytes = answer.bytes().await.unwrap();
    is_good.then(|| Leases::open(&bytes, 7, &node_token()).unwrap())
}

async fn refused(service: &Service, question: &Value) -> Answer {
    answer(service.node(Method::POST, "/node/v1/leases").json(question)).await
}

#[tokio::test]
async fn two_services_on_one_valkey_lend_one_quota() {
    let valkey = Valkey::start().await.unwrap();
    let one = service_on(&valkey.url(), Folder::new()).await;
    let other = service_on(&valkey.url(), Folder::new()).await;
    assert_eq!(ask(&one, &question("a", 1, 0, 60)).await.unwrap().lent[0].granted, 60);
    let rest = ask(&other, &question("b", 1, 0, 40)).await.unwrap();
    assert_eq!((rest.lent[0].granted, rest.lent[0].left), (40, 0));
}

#[tokio::test]
async fn without_its_valkey_a_service_is_ready_and_lends_nothing_until_it_is_back_and_all_is_settled() {
    let mut valkey = Valkey::start().await.unwrap();
    let url = valkey.url();
    valkey.kill().unwrap();
    let service = service_on(&url.replace("redis://", "redis://:hunter2-hunter2@"), Folder::new()).await;
    let away = refused(&service, &question("a", 1, 0, 1)).await;
    away.refused(503, "quota_store_unavailable");
    assert!(away.headers.contains_key("retry-after"));
    assert_eq!(service.bare(Method::GET, "/readyz").send().await.unwrap().status(), 200);
    let (_, folder) = service.stop().await;
    assert!(!std::fs::read_to_string(folder.path().join("log")).unwrap().contains("hunter2"));

    valkey.restart().await.unwrap();
    let service = service_on(&url, folder).await;
    assert_eq!(ask(&service, &question("a", 2, 0, 60)).await.unwrap().lent[0].granted, 60);
    valkey.kill().unwrap();
    refused(&service, &question("a", 3, 60, 1)).await.refused(503, "quota_store_unavailable");
    let counted =
        ask(&service, &json!({ "node": "a", "instance": "default", "nonce": 7, "unanswered_ms": 0, "asks": [] })).await;
    assert_eq!(counted.map(|leases| leases.nodes), Some(1), "how many nodes there are is told all the same");
    valkey.restart().await.unwrap();
    let asked = Instant::now();
    let back = ask(&service, &question("a", 4, 60, 1)).await.unwrap();
    assert!(back.only_settles);
    assert_eq!((back.lent[0].granted, back.lent[0].left), (60, 0), "memory is lost, and nobody gets a fresh quota");
    let mut seq = 4;
    eventually("tokens are lent again", async || {
        seq += 1;
        ask(&service, &question("a", seq, 60, 1)).await.filter(|leases| !leases.only_settles)
    })
    .await;
    let told = Duration::from_millis(back.lent[0].wait_ms);
    assert!(
        told > Duration::ZERO && asked.elapsed() >= told,
        "nothing was lent before the time that was told: {told:?}"
    );
}

#[tokio::test]
async fn an_outage_counts_also_if_no_node_waits_for_its_answer() {
    let mut valkey = Valkey::start().await.unwrap();
    let service = service_on(&valkey.url(), Folder::new()).await;
    assert!(!ask(&service, &question("a", 1, 0, 1)).await.unwrap().only_settles);
    valkey.pause().unwrap();
    let impatient = service.node(Method::POST, "/node/v1/leases").timeout(Duration::from_millis(100));
    assert!(impatient.json(&question("a", 2, 1, 60)).send().await.unwrap_err().is_timeout());
    eventually("the service has given up, too", async || {
        let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        (metric(&metrics, "keyservice_quota_store_calls_total{outcome=\"failed\"}") == 1).then_some(())
    })
    .await;
    valkey.resume().unwrap();
    assert!(ask(&service, &question("a", 3, 1, 60)).await.unwrap().only_settles);
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_without_being_repeated() {
    let folder = Folder::new();
    for url in ["rediss://:hunter2@127.0.0.1", "http://:hunter2@127.0.0.1", "redis://:hunter2@127.0.0.1:99999"] {
        let refused = serve_in(&folder).env("TOLLKEEPER_QUOTA_STORE", url).output().unwrap();
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && told.contains("TOLLKEEPER_QUOTA_STORE"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
