//! Stewards that are replaced, at whatever moment, noticed or not.

use std::cell::Cell;

use super::{
    node::{Node, steward},
    service::Service,
};
use crate::{
    shared::memory::Interleaved,
    steward::{Answer, SyncError},
    table::WriteError,
    time::{Monotonic, Now},
};

#[test]
fn a_steward_whose_vm_trapped_is_replaced_at_any_moment() {
    for steps in 0..12 {
        let (mut service, mut node) = (Service::new(), Node::new());
        (0..10).for_each(|name| service.put_key(name, "k"));
        for _ in 0..steps {
            node.step(&service).unwrap();
        }
        service.remove_key(3);
        node.replace_steward(2);
        node.sync(&service);
        node.assert_mirrors(&service);
    }
}

#[test]
fn a_steward_that_was_replaced_while_it_waited_writes_nothing() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    service.put_key(2, "k");
    let call = node.ask().unwrap();
    let (status, stale) = service.answer(&call);

    let old = std::mem::replace(&mut node.steward, steward(&node.names, 2));
    node.clock.set(node.clock.get() + 10_000);
    service.remove_key(2);
    node.sync(&service);

    let new = std::mem::replace(&mut node.steward, old);
    assert_eq!(node.tell(call.errand, status, &stale), Err(SyncError::Write(WriteError::Superseded)));
    assert_eq!(node.key_id(2), None, "a removed key must not come back");
    node.steward = new;
    node.assert_mirrors(&service);
}

#[test]
fn a_steward_that_is_replaced_at_any_moment_of_its_writing_undoes_nothing() {
    for moment in 0..20 {
        let (mut service, mut node) = (Service::new(), Node::new());
        service.put_key(1, "k");
        node.sync(&service);
        service.put_key(1, "changed");
        let call = node.ask().unwrap();
        let (status, stale) = service.answer(&call);
        service.remove_key(1);

        let old = std::mem::replace(&mut node.steward, steward(&node.names, 2));
        let mut old_node = Node { steward: old, ..Node::new() };
        std::mem::swap(&mut node.shared, &mut old_node.shared);
        let shared = &old_node.shared;
        let successor = || {
            // Another VM takes over and applies everything, while the old one is stalled.
            let mut successor = Node { clock: Cell::new(node.clock.get() + 10_000), ..Node::new() };
            successor.steward = steward(&node.names, 2);
            for _ in 0..4 {
                let now = successor.now();
                let standing = successor.steward.stand(shared, now.monotonic).unwrap();
                for call in successor.steward.calls(shared, now.monotonic, standing).unwrap() {
                    let (status, body) = service.answer(&call);
                    let answer = Answer::Service { status, body: &body };
                    let _ = successor.steward.on_answer(shared, call.errand, answer, now);
                }
            }
        };
        let interleaved = Interleaved::new(shared, moment, successor);
        let answer = Answer::Service { status, body: &stale };
        let now = Now { unix: 0, monotonic: Monotonic(node.clock.get()) };
        let _ = old_node.steward.on_answer(&interleaved, call.errand, answer, now);
        if interleaved.has_acted() {
            assert_eq!(old_node.key_id(1), None, "replaced before access {moment}");
        }
    }
}
