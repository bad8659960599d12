//! What a lone client is told about the fleet's quota is true.

use std::time::Duration;

use lab::edge::Edge;
use serde_json::json;
use tokio::time::sleep;

use super::{Fleet, PATH, fleet, record::Quota};
use crate::scene::{self, Outcome};

/// `r` of `RateLimit`.
fn left(outcome: &Outcome) -> u32 {
    outcome.header("ratelimit").split(['=', ';']).nth(2).unwrap().parse().unwrap()
}

/// Sends requests to a node until it refuses.
async fn refused(node: &Edge, key: &str) -> Outcome {
    loop {
        let outcome = scene::get(node, PATH, key).await;
        if outcome.status() != 200 {
            return outcome;
        }
    }
}

/// The client goes from node to node, so that what it waits for may lie with another one.
async fn waits_as_told_and_is_admitted(promise: &str) {
    let quota = Quota { limit: 3, window: Duration::from_secs(3) };
    let fleet = fleet(quota, json!({ "promise": promise, "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    for node in fleet.nodes().iter().cycle().take(4) {
        let refused = refused(node, &key).await;
        refused.is_refused(429, "quota_exhausted");
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        // To wait as long as one was told is what this is about.
        sleep(Duration::from_secs(seconds)).await;
        let again = scene::get(node, PATH, &key).await;
        assert_eq!(again.status(), 200, "told to wait {seconds} s: {refused:?} {again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_client_that_waits_as_told_is_admitted() {
    waits_as_told_and_is_admitted("bucket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_client_that_waits_as_told_is_admitted_under_a_strict_quota() {
    waits_as_told_and_is_admitted("strict").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_left_is_the_fleets_as_the_node_last_knew_it() {
    // Nothing comes back while the test runs.
    let quota = Quota { limit: 60, window: Duration::from_secs(2_678_400) };
    let fleet = fleet(quota, json!({ "wait_ms": 10_000 })).await;
    let key = fleet.key("acme").await;
    let mut admitted = 0;
    for node in fleet.nodes() {
        for _ in 0..10 {
            let outcome = scene::get(node, PATH, &key).await;
            if outcome.status() != 200 {
                // The nodes before have not given back yet what they do not need.
                assert_eq!((outcome.status(), left(&outcome)), (429, 0), "{outcome:?}");
                break;
            }
            admitted += 1;
            // Whoever asked last knows all, and the others are not asked at the same time.
            assert!(left(&outcome) <= quota.limit - admitted, "{admitted} admitted: {outcome:?}");
        }
    }
    let mut refusals = 0;
    for node in fleet.nodes().iter().cycle() {
        let outcome = scene::get(node, PATH, &key).await;
        if outcome.status() == 200 {
            (admitted, refusals) = (admitted + 1, 0);
            continue;
        }
        assert_eq!((outcome.status(), left(&outcome)), (429, 0), "{outcome:?}");
        refusals += 1;
        if refusals == 2 * fleet.nodes().len() {
            break;
        }
    }
    assert_eq!(admitted, quota.limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_left_of_a_lease_is_never_more_than_is_left_however_fast_other_nodes_are() {
    // Nothing comes back while the test runs.
    let quota = Quota { limit: 300, window: Duration::from_secs(2_678_400) };
    let fleet = fleet(quota, json!({ "remaining": "lease" })).await;
    let key = fleet.key("acme").await;
    let mut admitted = 0;
    // The first node is asked a little, the second drains the quota as fast as it can, and the first is asked again.
    for (node, count) in [(0, 5), (1, 285), (0, 20)] {
        for _ in 0..count {
            let outcome = scene::get(&fleet.nodes()[node], PATH, &key).await;
            match outcome.status() {
                200 => admitted += 1,
                _ => outcome.is_refused(429, "quota_exhausted"),
            }
            assert!(left(&outcome) <= quota.limit - admitted, "{admitted} admitted: {outcome:?}");
            assert!(admitted > 1 || left(&outcome) < 150, "not of what the fleet has left: {outcome:?}");
        }
    }
}

/// The other nodes were asked once, and hold more than they need: so many were admitted.
async fn others_were_asked(fleet: &Fleet, key: &str) -> u32 {
    let others = &fleet.nodes()[1..];
    for other in others {
        assert_eq!(scene::get(other, PATH, key).await.status(), 200);
    }
    others.len() as u32
}

/// Of which nothing comes back while a test runs.
const HUNDRED: Quota = Quota { limit: 100, window: Duration::from_secs(2_678_400) };

async fn a_lone_client_gets_the_last_token(promise: &str) {
    let fleet = fleet(HUNDRED, json!({ "promise": promise, "wait_ms": 5_000 })).await;
    let key = fleet.key("acme").await;
    let mut admitted = others_were_asked(&fleet, &key).await;
    let refused = loop {
        let outcome = scene::get(&fleet.nodes()[0], PATH, &key).await;
        match outcome.status() {
            200 => admitted += 1,
            _ => break outcome,
        }
    };
    refused.is_refused(429, "quota_exhausted");
    assert_eq!(admitted, HUNDRED.limit);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_client_gets_the_last_token_at_one_node_though_it_asked_others_before() {
    a_lone_client_gets_the_last_token("bucket").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_client_gets_the_last_token_of_a_strict_quota_though_it_asked_other_nodes_before() {
    a_lone_client_gets_the_last_token("strict").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_a_time_get_what_other_nodes_hold() {
    let fleet = fleet(HUNDRED, json!({ "wait_ms": 5_000 })).await;
    let key = fleet.key("acme").await;
    let mut admitted = others_were_asked(&fleet, &key).await;
    let get = || scene::get(&fleet.nodes()[0], PATH, &key);
    let mut told = 0;
    while admitted < HUNDRED.limit {
        let (one, other) = tokio::join!(get(), get());
        let refused: Vec<_> = [one, other].into_iter().filter(|outcome| outcome.status() != 200).collect();
        admitted += 2 - refused.len() as u32;
        let [first, _] = &refused[..] else { continue };
        first.is_refused(429, "quota_exhausted");
        // A crowd waits for the others once. If some of them were slow, it is told when to come for what they held.
        let seconds: u64 = first.header("retry-after").parse().unwrap();
        told += 1;
        assert!(seconds <= 6 && told <= 2, "{admitted} admitted, told {told} times: {first:?}");
        sleep(Duration::from_secs(seconds)).await;
    }
    assert_eq!(admitted, HUNDRED.limit);
    get().await.is_refused(429, "quota_exhausted");
}
