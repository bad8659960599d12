//! Nobody answers for leases: nodes use what they hold, then their share, and say so; afterwards the books are right.

use std::time::Duration;

use lab::edge::Fleet;
use serde_json::json;

use super::{
    NODES, PATH, configured,
    demand::{Demand, Wish},
    fleet,
    record::{Quota, Record, Seen},
};

/// 20 a second, after the first 100.
const QUOTA: Quota = Quota { limit: 100, window: Duration::from_secs(5) };

/// When every node has heard how many there are: leases say so, what they say is a second old at most, and where nothing is
/// left a node asks again after 2.5 s.
const COUNTED: Duration = Duration::from_secs(5);

/// When every node has told what it spent of its share.
const SETTLED: Duration = Duration::from_secs(6);

fn admitted_degraded(seen: &Seen) -> bool {
    seen.is_admitted() && seen.degraded
}

fn admitted_as_ever(seen: &Seen) -> bool {
    seen.is_admitted() && !seen.degraded
}

/// Three nodes under a demand that is above the limit: `breaks` happens when the bucket is drained, `mends` once every
/// node has admitted requests by its share.
async fn survives(
    promise: &str,
    breaks: impl AsyncFnOnce(&mut Fleet),
    mends: impl AsyncFnOnce(&mut Fleet),
    promised: impl FnOnce(&Record),
) {
    let mut fleet = fleet(QUOTA, json!({ "promise": promise })).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_each("every node refuses", NODES, Duration::ZERO, 5, |seen| !seen.is_admitted()).await;
    demand.until_age(COUNTED).await;
    breaks(&mut fleet).await;
    demand.until_each("every node admits its share", NODES, demand.now(), 10, admitted_degraded).await;
    mends(&mut fleet).await;
    let mended = demand.now();
    recovers(&fleet, demand, mended, promise, promised).await;
}

/// Every node has leases again, and all that was admitted is what was promised.
async fn recovers(fleet: &Fleet, demand: Demand, mended: Duration, promise: &str, promised: impl FnOnce(&Record)) {
    demand.until_each("every node has leases again", NODES, mended, 10, admitted_as_ever).await;
    demand.until_age(mended + SETTLED).await;
    let record = demand.stop().await;
    record.assert_decided();
    assert_eq!(fleet.hits(), record.admitted());
    report(&record, over(promise, &record), fleet.vm_traps());
    assert_eq!(fleet.vm_traps(), 0);
    promised(&record);
}

fn over(promise: &str, record: &Record) -> u64 {
    match promise {
        "strict" => record.over_in_any_window(QUOTA),
        _ => record.over(QUOTA),
    }
}

#[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
fn report(record: &Record, over: u64, vm_traps: usize) {
    let thread = std::thread::current();
    let name = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or("quota");
    let again = record.count(|seen| seen.again);
    println!(
        "hold: quota/{name} {} over={over} vm_traps={vm_traps} admitted={} sent_again={again}",
        record.seen().len(),
        record.admitted()
    );
}

/// The key service is frozen.
async fn survives_a_freeze(promise: &str, promised: impl FnOnce(&Record)) {
    let freeze = async |fleet: &mut Fleet| fleet.key_service_process().process().unwrap().pause().unwrap();
    survives(promise, freeze, thaw_the_key_service, promised).await;
}

/// Once nodes have spent the limit over again, of which the service knows nothing.
async fn thaw_the_key_service(fleet: &mut Fleet) {
    let frozen_at = fleet.hits();
    let wait = Duration::from_secs(30);
    lab::poll::wait_until("nodes have spent of their shares", wait, async || {
        fleet.hits().checked_sub(frozen_at + u64::from(QUOTA.limit))
    })
    .await
    .unwrap();
    fleet.key_service_process().process().unwrap().resume().unwrap();
}

fn is_never_over(record: &Record) {
    record.assert_never_over(QUOTA);
}

fn is_never_over_in_any_window(record: &Record) {
    record.assert_never_over_in_any_window(QUOTA);
}

/// Where the books were kept, hardly anything is lost.
fn is_whole(record: &Record) {
    is_never_over(record);
    let (admitted, due) = (record.admitted(), QUOTA.within(record.end()));
    assert!(admitted * 100 >= due * 85, "{admitted} of {due}: {:?}", record.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_valkey_is_frozen_nodes_have_their_share_and_afterwards_the_books_are_right() {
    survives(
        "bucket",
        async |fleet| fleet.valkey().pause().unwrap(),
        async |fleet| fleet.valkey().resume().unwrap(),
        is_whole,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_service_is_dead_nodes_have_their_share_and_afterwards_the_books_are_right() {
    survives(
        "bucket",
        async |fleet| fleet.key_service_process().kill().unwrap(),
        async |fleet| fleet.key_service_process().start().await.unwrap(),
        is_whole,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valkey_that_is_killed_and_comes_back_empty_gives_nobody_a_fresh_bucket() {
    survives(
        "bucket",
        async |fleet| fleet.valkey().kill().unwrap(),
        async |fleet| fleet.valkey().restart().await.unwrap(),
        is_never_over,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_valkey_is_frozen_and_afterwards_no_window_has_more_than_a_strict_quota() {
    survives(
        "strict",
        async |fleet| fleet.valkey().pause().unwrap(),
        async |fleet| fleet.valkey().resume().unwrap(),
        is_never_over_in_any_window,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_service_is_dead_and_afterwards_no_window_has_more_than_a_strict_quota() {
    survives(
        "strict",
        async |fleet| fleet.key_service_process().kill().unwrap(),
        async |fleet| fleet.key_service_process().start().await.unwrap(),
        is_never_over_in_any_window,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_service_is_frozen_and_afterwards_no_window_has_more_than_a_strict_quota() {
    survives_a_freeze("strict", is_never_over_in_any_window).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_service_is_frozen_and_afterwards_nobody_has_more_than_a_bucket() {
    survives_a_freeze("bucket", is_never_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_from_all_nodes_who_was_idle_meanwhile_is_not_lent_what_others_spent_of_a_bucket() {
    comes_back_to_nodes_that_were_idle("bucket", is_never_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cut_from_all_nodes_who_was_idle_meanwhile_is_not_lent_what_others_spent_of_a_strict_quota() {
    comes_back_to_nodes_that_were_idle("strict", is_never_over_in_any_window).await;
}

/// The key service is cut off from all nodes, of which one has spent of its share when others come, just before the end.
async fn comes_back_to_nodes_that_were_idle(promise: &str, promised: impl FnOnce(&Record)) {
    let fleet = Fleet::start_on_a_way(NODES, configured(QUOTA, json!({ "promise": promise }))).await;
    let key = fleet.key("acme").await;
    let mut demand = Demand::at(&fleet.nodes()[..1], PATH, &key, Wish::without_end());
    demand.until_each("the first node refuses", 1, Duration::ZERO, 5, |seen| !seen.is_admitted()).await;
    demand.until_age(COUNTED).await;
    fleet.way().cut();
    demand.until_each("it admits its share", 1, demand.now(), 20, admitted_degraded).await;
    for (index, node) in fleet.nodes().iter().enumerate().skip(1) {
        demand.reach(index, node);
    }
    fleet.way().mend();
    let mended = demand.now();
    recovers(&fleet, demand, mended, promise, promised).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valkey_that_is_killed_and_comes_back_empty_makes_no_window_of_a_strict_quota_too_full() {
    survives(
        "strict",
        async |fleet| fleet.valkey().kill().unwrap(),
        async |fleet| fleet.valkey().restart().await.unwrap(),
        is_never_over_in_any_window,
    )
    .await;
}

/// Three nodes under a demand that is above the limit; Valkey loses its memory, and nobody notices but the script.
async fn is_emptied(promise: &str, promised: impl FnOnce(&Record)) {
    let mut fleet = fleet(QUOTA, json!({ "promise": promise })).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_each("every node refuses", NODES, Duration::ZERO, 5, |seen| !seen.is_admitted()).await;
    fleet.valkey().restart().await.unwrap();
    let emptied = demand.now();
    demand.until_each("every node has leases again", NODES, emptied, 10, admitted_as_ever).await;
    demand.until_age(emptied + SETTLED).await;
    promised(&demand.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valkey_that_is_emptied_between_two_calls_gives_nobody_a_fresh_bucket() {
    is_emptied("bucket", is_never_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valkey_that_is_emptied_between_two_calls_makes_no_window_of_a_strict_quota_too_full() {
    is_emptied("strict", is_never_over_in_any_window).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_come_while_valkey_is_gone_share_the_limit_with_those_that_were_there() {
    const ALL: usize = NODES + 2;
    let mut fleet = fleet(QUOTA, json!({})).await;
    let key = fleet.key("acme").await;
    fleet.valkey().kill().unwrap();
    while fleet.nodes().len() < ALL {
        fleet.add_node().await;
    }
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_each("every node admits its share", ALL, Duration::ZERO, 10, admitted_degraded).await;
    let known = demand.now();
    demand.until_age(known + 2 * QUOTA.window).await;
    let record = demand.stop().await;
    record.assert_never_over(QUOTA);
    // Who is new has a share once all others have heard of it.
    let first = record.part(|seen| seen.sent < known);
    let is_refused = |seen: &Seen| !seen.is_admitted() && seen.degraded;
    assert!(first.seen().iter().all(|seen| admitted_degraded(seen) || is_refused(seen)), "{:?}", first.summary());
    let later = record.part(|seen| seen.sent >= known);
    later.assert_decided();
    let refill = QUOTA.within(record.end() - known) - u64::from(QUOTA.limit);
    // Each may have had a token that it had not spent yet.
    assert!(later.admitted() <= refill + ALL as u64, "{} of {refill}: {:?}", later.admitted(), later.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nodes_are_to_refuse_an_outage_is_said_to_be_one() {
    let mut fleet = fleet(QUOTA, json!({ "fallback": "refuse" })).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_each("every node admits", NODES, Duration::ZERO, 5, Seen::is_admitted).await;
    fleet.valkey().kill().unwrap();
    let unavailable = |seen: &Seen| seen.status == 503 && seen.reason == "quota_unavailable";
    demand.until_each("every node refuses", NODES, demand.now(), 5, unavailable).await;
    let node = &fleet.nodes()[0];
    let refused = crate::scene::get(node, PATH, &key).await;
    assert_eq!((refused.status(), refused.hits), (503, 0), "{refused:?}");
    assert_eq!((refused.header("x-auth-status"), refused.header("x-auth-degraded")), ("fault".into(), "quota".into()));
    assert_ne!(refused.header("retry-after"), "");
    assert_eq!(refused.json()["reason"], "quota_unavailable");
    fleet.valkey().restart().await.unwrap();
    demand.until_each("every node admits again", NODES, demand.now(), 5, Seen::is_admitted).await;
    let record = demand.stop().await;
    record.assert_never_over(QUOTA);
    assert_eq!(record.count(admitted_degraded), 0, "{:?}", record.summary());
}
