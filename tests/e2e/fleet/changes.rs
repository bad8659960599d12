//! Configurations and quotas that change while three nodes are asked for more than there is.

use std::time::Duration;

use lab::{edge::Fleet, key_service::KeyService};
use serde_json::{Value, json};

use super::{
    NODES, PATH,
    demand::{Demand, Wish},
    record::{Quota, Record, Seen},
};
use crate::scene;

const WINDOW: Duration = Duration::from_secs(10);
const HIGH: Quota = Quota { limit: 200, window: WINDOW };
const LOW: Quota = Quota { limit: 100, window: WINDOW };

/// Three nodes that have nothing left and are asked for more.
async fn drained() -> (Fleet, String, Demand) {
    let fleet = super::fleet(HIGH, json!({ "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_each("every node refuses", NODES, Duration::ZERO, 5, |seen| !seen.is_admitted()).await;
    (fleet, key, demand)
}

/// Waits until every node tells its clients of this limit.
async fn holds_everywhere(fleet: &Fleet, key: &str, quota: Quota) {
    let policy = format!("q={};", quota.limit);
    for node in fleet.nodes() {
        let told = async || {
            let outcome = scene::get(node, PATH, key).await;
            outcome.header("ratelimit-policy").contains(&policy).then_some(())
        };
        node.wait_until("clients are told of the changed limit", Duration::from_secs(20), told).await;
    }
}

#[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
fn report(quota: Quota, after: Duration) {
    println!("measured: {} ms after the change was made, {} held on {NODES} nodes", after.as_millis(), quota.limit);
}

/// A drained bucket's refill was used.
fn refills(record: &Record, quota: Quota) {
    let times = record.seen().iter().map(|seen| seen.sent);
    let took = record.end() - times.min().unwrap();
    let due = quota.within(took) - u64::from(quota.limit);
    assert!(record.admitted() * 100 >= due * 85, "{} of {due}: {:?}", record.admitted(), record.summary());
}

/// The quota is lowered and raised again by `change`, which returns the answer of the key service.
async fn lowered_and_raised(change: impl AsyncFn(&KeyService, Quota) -> Value) {
    let (fleet, key, demand) = drained().await;
    let change = async |quota: Quota| {
        let began = demand.now();
        change(fleet.key_service(), quota).await;
        let changed = demand.now();
        holds_everywhere(&fleet, &key, quota).await;
        report(quota, demand.now() - changed);
        (began, demand.now())
    };
    let (_, lowered) = change(LOW).await;
    demand.until_age(lowered + WINDOW / 2).await;
    let (raise, raised) = change(HIGH).await;
    demand.until_age(raised + WINDOW / 2).await;
    let record = demand.stop().await;
    record.assert_decided();
    record.assert_never_over(HIGH);
    let low = record.part(|seen| seen.sent >= lowered && seen.answered < raise);
    low.assert_never_over(LOW);
    refills(&low, LOW);
    let high = record.part(|seen| seen.sent >= raised);
    refills(&high, HIGH);
    assert!(high.admitted() < u64::from(HIGH.limit), "no fresh bucket: {:?}", high.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_changes_under_load_holds_at_once_and_gives_nobody_a_fresh_bucket() {
    lowered_and_raised(async |key_service, quota| {
        let changes = json!({ "quota": { "limit": quota.limit, "window_seconds": quota.window.as_secs() } });
        key_service.patch_team("acme", &changes).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factor_that_changes_under_load_holds_at_once_and_gives_nobody_a_fresh_bucket() {
    lowered_and_raised(async |key_service, quota| {
        let factor = f64::from(quota.limit) / f64::from(HIGH.limit);
        key_service.put("/v1/limits", &json!({ "factor": factor })).await.unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_pushed_under_load_with_other_quotas_make_it_no_more_than_the_highest() {
    let (mut fleet, _, demand) = drained().await;
    let settings: [fn(&mut Value); 4] = [
        |quota| quota["wait_ms"] = json!(700),
        |quota| quota["limit"] = json!(LOW.limit),
        |quota| quota["promise"] = json!("strict"),
        |quota| {
            quota["limit"] = json!(HIGH.limit);
            quota["promise"] = json!("bucket");
        },
    ];
    for change in settings {
        fleet.push_filter(|filter| change(&mut filter["quota"])).await;
        let pushed = demand.now();
        let answered = |seen: &Seen| seen.status != 0;
        demand.until_each("every node decides", NODES, pushed, 50, answered).await;
    }
    let restored = demand.now();
    demand.until_each("every node admits", NODES, restored, 5, Seen::is_admitted).await;
    let record = demand.stop().await;
    record.assert_decided();
    record.assert_never_over(HIGH);
    assert_eq!(fleet.hits(), record.admitted());
}
