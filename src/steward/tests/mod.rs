//! The steward against a small key service in memory.

mod leases;
mod node;
mod presence;
mod replacement;
mod service;

use std::time::Duration;

use proptest::prelude::*;
use tollkeeper_contract::{Quota, page::ServiceId};

use super::{Answer, Call, Standing, SyncError};
use crate::refusal::Fault;

use node::{Node, steward};
use service::Service;

#[test]
fn a_node_that_starts_takes_a_snapshot_and_then_waits_for_changes() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.sync(&service);
    node.assert_mirrors(&service);
    let call = node.ask().unwrap();
    assert!(call.path.starts_with("/node/v1/changes?after=11&wait=20&"), "{}", call.path);
    assert_eq!(call.timeout, Duration::from_secs(25));
}

#[test]
fn nothing_is_served_before_the_snapshot_and_the_changes_made_meanwhile_are_in() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    for change in 10..13 {
        assert_eq!(node.usable(), Err(Fault::NotSynced));
        node.step(&service).unwrap();
        service.put_key(change, "late");
    }
    while node.revision().is_none() {
        node.step(&service).unwrap();
    }
    assert_eq!(node.usable(), Err(Fault::NotSynced), "the changes made during the snapshot are not in yet");
    node.sync(&service);
    node.assert_mirrors(&service);
}

#[test]
fn a_revoked_key_is_gone_with_the_next_answer() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    assert!(node.key_id(1).is_some());
    service.remove_key(1);
    node.step(&service).unwrap();
    assert_eq!(node.key_id(1), None);
}

#[test]
fn a_changed_quota_is_multiplied_by_the_factor_from_the_moment_of_the_change() {
    let (mut service, mut node) = (Service::new(), Node::new());
    let quota = |limit| Some(Quota::new(limit, 1000).unwrap());
    service.put_team(quota(10));
    service.put_factor(500);
    node.sync(&service);
    assert_eq!(node.spend(), 5);
    service.put_team(quota(20));
    node.step(&service).unwrap();
    // Half a window of the ten that the factor leaves of twenty.
    node.clock.set(node.clock.get() + 500_000);
    assert_eq!(node.spend(), 5);
}

#[test]
fn an_answer_that_was_cut_anywhere_is_refused_whole() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "old");
    node.sync(&service);
    service.put_key(1, "new");
    let body_of = |call: &Call| service.answer(call).1;
    let length = body_of(&node.ask().unwrap()).len();
    for cut in 0..length {
        node.steward.sync.abandon();
        node.clock.set(node.clock.get() + 2000);
        let call = node.ask().unwrap();
        assert_eq!(node.tell(call.errand, 200, &body_of(&call)[..cut]), Err(SyncError::Broken), "cut at {cut}");
        assert_eq!(node.key_id(1).as_deref(), Some("old"));
    }
    node.clock.set(node.clock.get() + 2000);
    node.sync(&service);
    assert_eq!(node.key_id(1).as_deref(), Some("new"));
}

#[test]
fn what_is_not_the_key_services_answer_changes_nothing() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    for (status, body) in [(200, "[]"), (200, ""), (200, "<html>"), (500, ""), (404, "{}"), (401, "")] {
        node.clock.set(node.clock.get() + 2000);
        let call = node.ask().unwrap();
        assert!(node.tell(call.errand, status, body.as_bytes()).is_err(), "{status} {body}");
    }
    for answer in [Answer::Nothing, Answer::Stranger { status: 503 }] {
        node.clock.set(node.clock.get() + 2000);
        let (errand, now) = (node.ask().unwrap().errand, node.now());
        assert!(matches!(
            node.steward.on_answer(&node.shared, errand, answer, now),
            Err(SyncError::Unreachable { .. })
        ));
    }
    node.assert_mirrors(&service);
}

#[test]
fn an_answer_to_an_earlier_question_is_refused() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    let (_, old) = service.answer(&node.ask().unwrap());
    node.steward.sync.abandon();
    service.remove_key(1);
    let call = node.ask().unwrap();
    assert_eq!(node.tell(call.errand, 200, &old), Err(SyncError::OtherQuestion));
}

#[test]
fn a_key_service_that_went_back_or_is_another_is_refused() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);

    let restored = Service::new();
    assert_eq!(node.step(&restored), Err(SyncError::WentBack));

    let mut other = Service { id: ServiceId([2; 16]), ..Service::new() };
    (2..9).for_each(|name| other.put_key(name, "k"));
    node.clock.set(node.clock.get() + 2000);
    assert_eq!(node.step(&other), Err(SyncError::OtherDatabase));
    other.history_from = other.revision;
    node.clock.set(node.clock.get() + 2000);
    node.step(&other).unwrap();
    assert_eq!(node.step(&other), Err(SyncError::OtherDatabase), "nor does its snapshot replace the table");
    node.assert_mirrors(&service);
}

#[test]
fn a_node_that_missed_too_much_takes_a_snapshot_and_serves_meanwhile() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.sync(&service);
    (0..5).for_each(|name| service.remove_key(name));
    (20..30).for_each(|name| service.put_key(name, "k"));
    service.history_from = service.revision;
    while node.revision() != Some(service.revision) {
        node.step(&service).unwrap();
        assert_eq!(node.usable(), Ok(()));
    }
    node.assert_mirrors(&service);
}

#[test]
fn a_snapshot_goes_on_where_it_was_when_an_answer_fails_to_come() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.step(&service).unwrap();
    let call = node.ask().unwrap();
    assert!(call.path.contains("after="), "{}", call.path);
    assert!(node.tell(call.errand, 503, b"").is_err());
    node.clock.set(node.clock.get() + 2000);
    let again = node.ask().unwrap();
    assert_eq!(again.path.split('&').next(), call.path.split('&').next());
}

#[test]
fn only_the_steward_asks() {
    let (service, mut node) = (Service::new(), Node::new());
    node.sync(&service);
    let mut other = steward(&node.names, 2);
    let now = node.now();
    let standing = other.stand(&node.shared, now.monotonic).unwrap();
    assert_eq!(standing, Standing::Other);
    assert_eq!(other.calls(&node.shared, now.monotonic, standing).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_meanwhile_the_table_ends_as_the_database(
        events in proptest::collection::vec((0..12_u8, 0..20_u8), 1..80),
    ) {
        let (mut service, mut node) = (Service::new(), Node::new());
        for (event, name) in events {
            match event {
                0..=3 => service.put_key(name, &format!("k{event}")),
                4 => service.remove_key(name),
                5 => service.history_from = service.revision,
                6 => {
                    node.replace_steward(u64::from(name) + 2);
                }
                7 => {
                    // The answer is lost.
                    node.ask();
                    node.clock.set(node.clock.get() + 40_000);
                }
                8 => {
                    if let Some(call) = node.ask() {
                        let _ = node.tell(call.errand, 200, b"nonsense");
                        node.clock.set(node.clock.get() + 2000);
                    }
                }
                9 => {
                    node.shared.conflict_next(1);
                    let _ = node.step(&service);
                    node.shared.conflict_next(0);
                    node.clock.set(node.clock.get() + 2000);
                }
                _ => node.step(&service).unwrap(),
            }
        }
        node.clock.set(node.clock.get() + 40_000);
        node.sync(&service);
        node.assert_mirrors(&service);
    }
}
