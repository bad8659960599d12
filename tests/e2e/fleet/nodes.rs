//! Nodes that die, freeze and come while they hold leases.

use std::time::Duration;

use lab::edge::Fleet;
use serde_json::json;

use super::{
    NODES, PATH,
    demand::{Demand, Wish},
    fleet,
    record::{Quota, Seen},
};

/// Ten a second, after the first 200.
const QUOTA: Quota = Quota { limit: 200, window: Duration::from_secs(20) };
/// When every lease of a dead node has ended.
const LEASES_ENDED: Duration = Duration::from_secs(6);

async fn demanding() -> (Fleet, Demand) {
    let fleet = fleet(QUOTA, json!({ "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until("half of the bucket is spent", |seen| admitted(seen) * 2 >= QUOTA.limit as usize).await;
    (fleet, demand)
}

fn admitted(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| seen.is_admitted()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_while_it_holds_leases_never_makes_it_more_and_the_others_soon_have_it_all() {
    let (mut fleet, demand) = demanding().await;
    fleet.kill_last_node();
    let killed = demand.now();
    demand.until_age(killed + LEASES_ENDED).await;
    let from = demand.now();
    demand.until_age(from + QUOTA.window / 2).await;
    let hits = fleet.hits();
    let record = demand.stop().await;
    record.assert_never_over(QUOTA);
    assert!(fleet.hits() <= QUOTA.within(record.end()), "{hits}");
    let later = record.count(|seen| seen.is_admitted() && seen.sent >= from);
    let due = u64::from(QUOTA.limit) / 2;
    assert!(later * 100 >= due * 90, "{later} of {due} that came back: {:?}", record.summary());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_freezes_until_its_leases_have_ended_spends_none_of_them() {
    let (mut fleet, demand) = demanding().await;
    fleet.nodes_mut()[0].pause_envoy();
    let paused = demand.now();
    demand.until_age(paused + LEASES_ENDED).await;
    fleet.nodes_mut()[0].resume_envoy();
    let resumed = demand.now();
    demand.until_each("every node admits again", NODES, resumed, 5, Seen::is_admitted).await;
    let record = demand.stop().await;
    record.assert_never_over(QUOTA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_new_gets_its_part_and_makes_it_no_more() {
    let (mut fleet, mut demand) = demanding().await;
    fleet.add_node().await;
    let since = demand.now();
    demand.reach(NODES, &fleet.nodes()[NODES]);
    demand.until_each("every node admits", NODES + 1, since, 5, Seen::is_admitted).await;
    let record = demand.stop().await;
    record.assert_never_over(QUOTA);
    let due = QUOTA.within(record.end());
    assert!(record.admitted() * 100 >= due * 95, "{} of {due}: {:?}", record.admitted(), record.summary());
}
