//! The sum over all nodes is what was promised: not one request more, and hardly one less.

use std::time::Duration;

use lab::edge::Fleet;
use serde_json::json;

use super::{
    PATH, calls_for_books, calls_for_leases,
    demand::{Demand, Wish},
    fleet,
    record::{Quota, Record},
};

const REQUESTS: u64 = 5000;
const QUOTA: Quota = Quota { limit: 300, window: Duration::from_secs(300) };

/// 5,000 requests to three nodes, as fast as they go: what came of them, and how many calls for leases it took.
async fn hurried(promise: &str) -> Record {
    let fleet = fleet(QUOTA, json!({ "promise": promise, "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    let before = Calls::of(&fleet).await;
    let record = Demand::start(&fleet, PATH, &key, Wish::at_once(REQUESTS)).ended().await;
    assert_eq!(record.seen().len() as u64, REQUESTS);
    record.assert_decided();
    assert_eq!(fleet.hits(), record.admitted(), "what was refused never reached an upstream");
    let calls = Calls::of(&fleet).await.since(before);
    report(&format!("{REQUESTS} requests at once, {promise}"), QUOTA, &record, calls);
    // Also where nearly all are refused: one in twenty, and each node once a second for what comes back. Nodes also call to tell
    // that they are there, at most three times a second.
    let (admitted, seconds) = (record.admitted(), record.end().as_secs());
    let most = admitted / 20 + 3 * (seconds + 1);
    assert!(calls.of_books <= most, "{calls:?} for {admitted} admitted in {seconds} s");
    assert!(calls.of_nodes <= most + 3 * 3 * (seconds + 3), "{calls:?} in {seconds} s");
    record
}

/// How often nodes called the key service, and it the place where books are kept.
#[derive(Debug, Clone, Copy)]
struct Calls {
    of_nodes: u64,
    of_books: u64,
}

impl Calls {
    async fn of(fleet: &Fleet) -> Self {
        Self { of_nodes: calls_for_leases(fleet.key_service()).await, of_books: calls_for_books(fleet).await }
    }

    fn since(self, before: Self) -> Self {
        Self { of_nodes: self.of_nodes - before.of_nodes, of_books: self.of_books - before.of_books }
    }
}

#[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
fn report(what: &str, quota: Quota, record: &Record, calls: Calls) {
    let admitted = record.admitted();
    println!(
        "measured: {what}, against {} per {} s on 3 nodes: {admitted} admitted within {:.1} s, {} calls of \
         nodes; {} of the books, one for {:.1} admitted and one for {:.1} decided",
        quota.limit,
        quota.window.as_secs(),
        record.end().as_secs_f64(),
        calls.of_nodes,
        calls.of_books,
        admitted as f64 / calls.of_books as f64,
        record.seen().len() as f64 / calls.of_books as f64,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_5000_hurried_requests_to_three_nodes_the_limit_and_its_refill_are_admitted() {
    let record = hurried("bucket").await;
    record.assert_never_over(QUOTA);
    let due = QUOTA.within(record.end());
    assert!(record.admitted() * 100 >= due * 98, "{} of {due}", record.admitted());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_5000_hurried_requests_to_three_nodes_a_strict_quota_admits_its_limit() {
    let record = hurried("strict").await;
    record.assert_never_over_in_any_window(QUOTA);
    let admitted = record.admitted();
    assert!(admitted * 100 >= u64::from(QUOTA.limit) * 98, "{admitted} of {}", QUOTA.limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_one_call_for_leases_serves_at_least_20_admitted_requests() {
    const LOADED: Quota = Quota { limit: 100_000, window: Duration::from_secs(100) };
    let fleet = fleet(LOADED, json!({ "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    let before = Calls::of(&fleet).await;
    let record = Demand::start(&fleet, PATH, &key, Wish::at_once(8_000)).ended().await;
    let calls = Calls::of(&fleet).await.since(before);
    report("8000 requests at once", LOADED, &record, calls);
    record.assert_decided();
    assert!(calls.of_nodes * 20 <= record.admitted(), "{calls:?} for {} admitted", record.admitted());
}
