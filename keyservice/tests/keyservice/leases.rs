//! Leases that nodes ask for.

use std::{fs, time::Duration};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::sleep;
use tollkeeper_contract::lease::{Account, Answer as Leases, Ask, Lent, MAX_ASKS, Promise, Question};

use crate::{
    behaviours::fleet::poll,
    harness::{Service, answer, eventually, metric, node_token},
};

const NONCE: u64 = u64::MAX;

pub(crate) fn ask(team: &str) -> Ask {
    Ask {
        account: Account::Team(team.into()),
        since: 7,
        seq: 1,
        granted: 0,
        void: 0,
        spent: 0,
        returned: 0,
        overdrawn: 0,
        settled: 0,
        need: 1,
        want: 10,
        least: 1,
        limit: 100,
        window: 100,
        promise: Promise::Bucket,
    }
}

pub(crate) fn question(asks: Vec<Ask>) -> Question {
    Question { node: "edge-1".into(), instance: "default".into(), nonce: NONCE, unanswered_ms: 0, asks }
}

pub(crate) async fn lent(service: &Service, asks: Vec<Ask>) -> Leases {
    answered(service, &question(asks)).await
}

async fn answered(service: &Service, question: &Question) -> Leases {
    let sent = service.node(Method::POST, "/node/v1/leases").json(question).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    Leases::open(&sent.bytes().await.unwrap(), NONCE, &node_token()).unwrap()
}

/// A service with two teams and an enterprise.
pub(crate) async fn with_teams() -> Service {
    let service = Service::start().await;
    service.team("acme").await;
    service.team("other").await;
    service.enterprise("acme").await;
    service
}

async fn metrics(service: &Service) -> String {
    service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_node_is_lent_what_it_wants_and_told_how_many_nodes_there_are() {
    let service = with_teams().await;
    let leases =
        lent(&service, vec![ask("acme"), Ask { account: Account::Enterprise("acme".into()), ..ask("") }]).await;
    assert_eq!((leases.nodes, leases.term_ms, leases.only_settles), (1, 5000, false));
    let granted: Vec<_> = leases.lent.iter().map(|lent| (lent.granted, lent.left, lent.wait_ms)).collect();
    assert_eq!(granted, [(10, 90, 0), (10, 90, 0)]);
    assert_eq!(lent(&service, vec![]).await.lent, []);
    assert_eq!(metric(&metrics(&service).await, "keyservice_lease_tokens_granted_total"), 20);
    assert_eq!(metric(&metrics(&service).await, "keyservice_lease_questions_total{outcome=\"lent\"}"), 2);
}

/// Asks until tokens are lent again.
async fn lent_again(service: &Service, ask: Ask) -> Lent {
    let mut seq = ask.seq;
    eventually("tokens are lent again", async || {
        seq += 1;
        let leases = lent(service, vec![Ask { seq, ..ask.clone() }]).await;
        leases.lent.into_iter().next().filter(|_| !leases.only_settles)
    })
    .await
}

async fn is_as_after_a_crash(service: &Service) {
    let leases = lent(service, vec![ask("acme"), ask("other")]).await;
    assert!(leases.only_settles);
    assert!(leases.lent.iter().all(|lent| lent.granted == 0 && lent.left < 50), "{leases:?}");
    assert!(leases.lent.iter().all(|lent| (1..=3000).contains(&lent.wait_ms)), "{leases:?}");
}

#[tokio::test]
async fn after_a_crash_a_service_only_settles_and_knows_of_no_tokens() {
    let mut service = with_teams().await;
    lent(&service, vec![ask("acme")]).await;
    service.signal(Signal::KILL);
    service.ended().await;
    let service = Service::start_in(service.leave_folder()).await;
    is_as_after_a_crash(&service).await;
}

#[tokio::test]
async fn a_service_that_ends_in_good_order_leaves_what_teams_have_left_to_the_next() {
    let service = with_teams().await;
    // Nothing to speak of comes back meanwhile.
    let slow = |team: &str| Ask { window: 1_000_000, ..ask(team) };
    assert_eq!(lent(&service, vec![Ask { need: 60, ..slow("acme") }]).await.lent[0].granted, 60);
    let (status, folder) = service.stop().await;
    assert!(status.success());
    let service = Service::start_in(folder).await;
    let spent = Ask { seq: 2, granted: 60, spent: 60, ..slow("acme") };
    assert!(lent(&service, vec![spent.clone()]).await.only_settles, "nodes first say what they spent meanwhile");
    assert_eq!(lent_again(&service, Ask { need: 40, ..spent.clone() }).await.granted, 100);
    let more = Ask { seq: 1000, granted: 100, spent: 100, ..spent };
    assert_eq!(lent(&service, vec![more]).await.lent[0].granted, 100, "never more than the limit");
    assert_eq!(lent_again(&service, Ask { need: 100, ..slow("other") }).await.granted, 100);
}

#[tokio::test]
async fn while_a_service_is_away_tokens_come_back_as_ever() {
    let service = with_teams().await;
    let fast = Ask { need: 100, window: 2, ..ask("acme") };
    assert_eq!(lent(&service, vec![fast.clone()]).await.lent[0].granted, 100);
    assert_eq!(
        lent(&service, vec![Ask { seq: 2, granted: 100, spent: 100, ..fast.clone() }]).await.lent[0].granted,
        100
    );
    let (_, folder) = service.stop().await;
    let service = Service::start_in(folder).await;
    let lent = lent_again(&service, Ask { seq: 3, granted: 100, spent: 100, ..fast }).await;
    assert_eq!(lent.granted, 200);
}

#[tokio::test]
async fn books_that_were_left_are_taken_once() {
    let service = with_teams().await;
    lent(&service, vec![ask("acme")]).await;
    let (_, folder) = service.stop().await;
    let mut service = Service::start_in(folder).await;
    lent(&service, vec![ask("acme")]).await;
    service.signal(Signal::KILL);
    service.ended().await;
    let service = Service::start_in(service.leave_folder()).await;
    is_as_after_a_crash(&service).await;
}

/// Nothing is answered for longer than nodes wait; the question that was asked meanwhile is read afterwards.
async fn freeze(service: &Service) {
    service.signal(Signal::STOP);
    let threads = format!("/proc/{}/task", service.pid().as_raw_nonzero());
    eventually("every thread has stopped", async || {
        let stats =
            fs::read_dir(&threads).unwrap().map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")));
        stats.into_iter().all(|stat| stat.is_ok_and(|stat| stat.contains(") T "))).then_some(())
    })
    .await;
    let unheard = service.node(Method::POST, "/node/v1/leases").json(&question(vec![Ask { seq: 2, ..ask("acme") }]));
    assert!(unheard.timeout(Duration::from_millis(1_200)).send().await.unwrap_err().is_timeout());
    service.signal(Signal::CONT);
}

#[tokio::test]
async fn a_service_that_was_frozen_lends_nothing_until_nodes_have_said_what_they_spent_meanwhile() {
    let service = with_teams().await;
    lent(&service, vec![ask("acme")]).await;
    freeze(&service).await;
    assert!(lent(&service, vec![ask("other")]).await.only_settles, "whoever asks first");
    let in_debt = Ask { seq: 3, granted: 10, spent: 10, overdrawn: 5, ..ask("acme") };
    assert!(lent(&service, vec![in_debt.clone()]).await.only_settles);
    assert!(service.log().contains("this service could do nothing for a second or more"), "{}", service.log());
    assert!(service.log().contains("nodes were not answered for a second or more"), "{}", service.log());
    // It is noticed once: who is in debt later is settled like everybody.
    let settled = Ask { settled: 5, ..in_debt };
    assert!(lent_again(&service, settled.clone()).await.left < 90);
    let later = Ask { seq: 1000, overdrawn: 6, ..settled };
    assert!(!lent(&service, vec![later]).await.only_settles);
}

/// That nobody asks for a while is what this is about.
async fn silence() {
    sleep(Duration::from_millis(1_100)).await;
}

#[tokio::test]
async fn a_service_that_was_cut_off_lends_nothing_until_it_has_heard_all_that_asked_in_vain() {
    let service = with_teams().await;
    for node in ["edge-1", "edge-2"] {
        assert_eq!(poll(&service, node, 0, 0).await, 200);
    }
    lent(&service, vec![ask("acme")]).await;
    silence().await;
    let in_vain = Question { unanswered_ms: 1, ..question(vec![ask("other")]) };
    assert!(answered(&service, &in_vain).await.only_settles);
    assert!(lent(&service, vec![Ask { seq: 2, ..ask("acme") }]).await.only_settles);
    lent_again(&service, Ask { seq: 2, ..ask("acme") }).await;
    assert!(service.log().contains("nodes were not answered for a second or more"), "{}", service.log());
}

#[tokio::test]
async fn a_service_that_nobody_asked_for_a_while_lends_at_once() {
    let service = with_teams().await;
    lent(&service, vec![ask("acme")]).await;
    silence().await;
    assert!(!lent(&service, vec![Ask { seq: 2, ..ask("acme") }]).await.only_settles);
    // What a node that is alone has spent, it says itself.
    silence().await;
    let in_vain = Question { unanswered_ms: 5_000, ..question(vec![Ask { seq: 3, ..ask("acme") }]) };
    assert!(!answered(&service, &in_vain).await.only_settles);
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_left_out() {
    let service = with_teams().await;
    let asks = ["nobody", "acme"]
        .map(ask)
        .into_iter()
        .chain([Ask { account: Account::Enterprise("other".into()), ..ask("") }]);
    let leases = lent(&service, asks.collect()).await;
    let accounts: Vec<_> = leases.lent.into_iter().map(|lent| lent.account).collect();
    assert_eq!(accounts, [Account::Team("acme".into())]);
    service.team("nobody").await;
    assert_eq!(
        lent(&service, vec![ask("nobody")]).await.lent[0].granted,
        10,
        "a team that is made later is known at once"
    );
}

#[tokio::test]
async fn a_node_that_begins_anew_with_a_team_does_not_get_again_what_it_was_lent_before() {
    let service = with_teams().await;
    for spent in [0, 10, 20] {
        let sums = Ask { seq: 1 + spent, granted: spent, spent, ..ask("acme") };
        lent(&service, vec![sums]).await;
    }
    let leases = lent(&service, vec![Ask { since: 8, ..ask("acme") }]).await;
    assert_eq!(leases.lent[0].granted, 10);
}

#[tokio::test]
async fn instances_have_quotas_of_their_own() {
    let service = with_teams().await;
    lent(&service, vec![Ask { need: 100, ..ask("acme") }]).await;
    let other = Question { instance: "other".into(), ..question(vec![Ask { need: 100, ..ask("acme") }]) };
    let sent = service.node(Method::POST, "/node/v1/leases").json(&other).send().await.unwrap();
    let leases = Leases::open(&sent.bytes().await.unwrap(), NONCE, &node_token()).unwrap();
    assert_eq!(leases.lent[0].granted, 100);
}

#[tokio::test]
async fn a_question_that_breaks_a_rule_is_refused_with_its_field() {
    let service = Service::start().await;
    let refused = async |change: fn(&mut Value), field: &str| {
        let mut body = serde_json::to_value(question(vec![ask("a"), ask("b")])).unwrap();
        change(&mut body);
        let refused = answer(service.node(Method::POST, "/node/v1/leases").json(&body)).await;
        assert_eq!((refused.status.as_u16(), &refused.body["field"]), (400, &json!(field)), "{:?}", refused.body);
    };
    refused(|body| body["node"] = json!(""), "node").await;
    refused(|body| body["instance"] = json!("a b"), "instance").await;
    refused(|body| body["asks"][1]["limit"] = json!(0), "asks[1].limit").await;
    refused(|body| body["asks"][1]["account"] = json!({"team": "a"}), "asks[1].account").await;
    refused(|body| body["asks"][0]["account"] = json!({"team": "a/b"}), "asks[0].account").await;
    refused(|body| body["asks"][0]["spent"] = json!(1), "asks[0].spent").await;
    refused(|body| body["asks"][0]["seq"] = json!(-1), "asks[0].seq").await;
    refused(|body| body["more"] = json!(1), "more").await;
    refused(|body| body["asks"] = json!(vec![body["asks"][0].clone(); MAX_ASKS + 1]), "asks").await;
    assert_eq!(metric(&metrics(&service).await, "keyservice_lease_questions_total{outcome=\"refused\"}"), 9);
}
