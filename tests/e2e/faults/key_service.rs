//! The key service is killed, was never there, or is away for longer than its keys may be trusted.

use lab::edge::{Edge, Setup};
use serde_json::{Value, json};

use super::{Course, becomes, lasting, sorts, sorts_by, survives, with_tokens};

#[tokio::test(flavor = "multi_thread")]
async fn while_the_key_service_is_dead_everything_goes_on_and_afterwards_nothing_is_lost() {
    let mut edge = Edge::synced_start(with_tokens).await;
    let sorts = sorts(&edge).await;
    let kill = async |edge: &mut Edge| edge.kill_key_service();
    survives(&mut edge, "key_service_killed", sorts, kill, async |edge| edge.start_key_service().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_key_service_was_never_up_everybody_is_told_503_and_all_is_well_once_it_comes() {
    let mut edge = Edge::start(|setup| with_tokens(setup).without_key_service()).await;
    let sorts = edge.out_of_reach(async |service| sorts_by(service).await).await;
    let sorts = sorts.into_iter().map(|sort| sort.refused_until_mended("503 not_synced")).collect();
    let mut course = Course::start(&edge, "key_service_never_up", sorts);
    course.is_broken_for(lasting()).await;
    course.is_mended(&mut edge, async |edge| edge.start_key_service().await).await;
    course.ends(&edge).await;
}

/// Of a time such as 2030-01-31T12:00:00Z.
fn second_of_day(time: &Value) -> i64 {
    let clock = time.as_str().unwrap().split(['T', 'Z']).nth(1).unwrap().to_owned();
    clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap())
}

fn trusts_for_ten_seconds(setup: Setup) -> Setup {
    with_tokens(setup).filter(|filter| {
        filter["key_service"]["poll_seconds"] = json!(1);
        filter["key_service"]["max_age_seconds"] = json!(10);
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_older_than_the_configured_age_are_not_trusted_until_the_key_service_is_back() {
    let mut edge = Edge::synced_start(trusts_for_ten_seconds).await;
    let key = edge.key("acme", &["read"]).await;
    // The key service knows for how long: it names a node that may still serve when somebody waits for a change.
    let fleet = edge.key_service().get("/v1/fleet").await.unwrap();
    let [seen, until] = ["last_seen", "serves_until"].map(|field| second_of_day(&fleet["nodes"][0][field]));
    // One second of polling, fifteen of grace, ten of age.
    assert_eq!((until - seen).rem_euclid(86_400), 26, "{fleet}");

    let sorts = sorts(&edge).await.into_iter().map(|sort| sort.refused_meanwhile("503 table_stale"));
    let stale = async |edge: &mut Edge| {
        edge.kill_key_service();
        becomes(edge, &key, "503 table_stale").await;
    };
    let sorts = sorts.collect();
    let start = async |edge: &mut Edge| edge.start_key_service().await;
    survives(&mut edge, "key_service_away_past_the_age", sorts, stale, start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_that_is_frozen_holds_up_nobody() {
    let mut edge = Edge::synced_start(with_tokens).await;
    let sorts = sorts(&edge).await;
    let freeze = async |edge: &mut Edge| edge.key_service_process().process().unwrap().pause().unwrap();
    let thaw = async |edge: &mut Edge| edge.key_service_process().process().unwrap().resume().unwrap();
    survives(&mut edge, "key_service_frozen", sorts, freeze, thaw).await;
}
