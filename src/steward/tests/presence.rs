//! Nodes ask how many they are, also when they want nothing, and say for how long they were not answered.

use tollkeeper_contract::lease::{self, Question};

use super::leases::{Node, TAKEN, answer, leases, leases_under, teams, token};
use crate::{config::Fallback, steward::Answer};

#[test]
fn a_question_tells_for_how_long_none_was_answered() {
    // Where nothing is spent without a lease, that is of no interest.
    for (fallback, expected) in [(Fallback::Share, [0, 1_000, 2_000, 3_000, 0]), (Fallback::Refuse, [0; 5])] {
        let mut node = Node::new();
        node.leases = leases_under(fallback, &node.names, 1);
        node.want(&["a"]);
        let mut told = Vec::new();
        for _ in 0..3 {
            let question = node.question();
            told.push(question.unanswered_ms);
            node.tell(question.nonce, Answer::Service { status: 503, body: b"" });
            node.now += 1_000;
        }
        let question = node.question();
        told.push(question.unanswered_ms);
        node.lend(&question, 2);
        node.want(&["b"]);
        told.push(node.question().unanswered_ms);
        assert_eq!(told, expected);
    }
}

#[test]
fn how_many_nodes_there_are_is_asked_also_if_nothing_else_is() {
    let mut node = Node::new();
    let question = node.question();
    assert_eq!(teams(&question), Vec::<&str>::new());
    node.lend(&question, 0);
    assert_eq!(node.known(), Some(3));
    node.now += 10_000;
    node.question();
}

#[test]
fn whoever_is_steward_after_another_that_asked_in_vain_says_so() {
    let mut node = Node::new();
    node.counts();
    for (silence, expected) in [(799, 0), (800, 800)] {
        node.now += silence;
        node.leases = leases(&node.names, silence);
        let question = node.question();
        assert_eq!(question.unanswered_ms, expected);
        node.lend(&question, 0);
    }
}

#[test]
fn as_long_as_an_outage_is_settled_there_are_no_fewer_nodes_than_before() {
    let mut node = Node::new();
    node.counts();
    for (only_settles, told, expected) in [(true, 1, 3), (true, 4, 4), (false, 1, 4), (false, 1, 1), (false, 2, 2)] {
        node.now += 1_000;
        let question = node.question();
        let answer = lease::Answer { nodes: told, ..answer(&[], 0, only_settles) };
        let body = answer.seal(question.nonce, &token("a-token-for-nodes")).unwrap();
        node.tell(question.nonce, Answer::Service { status: 200, body: &body });
        assert_eq!(node.known(), Some(expected));
    }
}

#[test]
fn a_new_node_has_a_share_once_all_others_have_been_told_of_it() {
    for (nodes, time) in [(1, 0), (2, 2_500), (40, 2_500), (300, 4_500), (5_000, 11_500)] {
        let mut node = Node { nodes, ..Node::new() };
        assert_eq!(node.fallback(), Fallback::Refuse);
        node.counts();
        let begin = node.now;
        while node.fallback() == Fallback::Refuse {
            node.now += 1;
            if node.call().is_some() {
                // Only what is heard counts, not the time that goes by.
                assert_eq!(node.fallback(), Fallback::Refuse);
                node.leases = leases(&node.names, node.now);
                node.counts();
                assert_eq!(node.known(), Some(nodes));
            }
        }
        let waited = node.now - begin;
        assert!((time..=2 * time).contains(&waited), "{nodes} nodes: {waited} ms");
    }
}

#[test]
fn a_node_that_others_may_not_know_of_any_more_or_yet_is_new_again() {
    // After how long it is heard of again: when it was new, then, and when nobody was heard meanwhile.
    let cases = [
        (false, 1_900, false, Fallback::Refuse),
        (false, 1_901, false, Fallback::Refuse),
        (true, 14_999, false, Fallback::Share),
        (true, 15_000, false, Fallback::Refuse),
        (true, 15_000, true, Fallback::Share),
    ];
    for (is_known, silence, only_settles, expected) in cases {
        let mut node = Node::new();
        node.counts();
        while is_known && node.fallback() == Fallback::Refuse {
            node.now += 400;
            node.counts();
        }
        let known_from = node.company().known_from;
        node.now += silence;
        let question = node.question();
        let answer = lease::Answer { nodes: 3, ..answer(&[], 0, only_settles) };
        let body = answer.seal(question.nonce, &token("a-token-for-nodes")).unwrap();
        node.tell(question.nonce, Answer::Service { status: 200, body: &body });
        assert_eq!(node.fallback(), expected, "{silence} ms");
        let is_as_before = expected == Fallback::Share || silence == 1_900;
        assert_eq!(node.company().known_from == known_from, is_as_before, "{silence} ms");
    }
}

#[test]
fn beside_others_that_have_shares_a_node_asks_so_often_that_an_absence_of_a_second_is_noticed() {
    let share = [(1, 1_000), (2, 400), (40, 400), (41, 410), (100, 1_000), (1_000, 10_000), (5_000, 10_000)];
    let cases = share.map(|(nodes, every)| (Fallback::Share, nodes, every));
    for (fallback, nodes, every) in cases.into_iter().chain([(Fallback::Refuse, 2, 10_000)]) {
        let mut node = Node { nodes, ..Node::new() };
        node.leases = leases_under(fallback, &node.names, 1);
        node.counts();
        node.now += every - 1;
        assert_eq!(node.call(), None, "{nodes} nodes, {fallback:?}");
        node.now += 1;
        node.counts();
    }
}

#[test]
fn how_many_nodes_there_are_is_heard_also_while_nothing_can_be_said_of_accounts() {
    let mut node = Node::new();
    node.want(&["a"]);
    let mut heard = 0;
    for _ in 0..50 {
        if let Some(call) = node.call() {
            let question: Question = serde_json::from_slice(&call.body.unwrap()).unwrap();
            if question.asks.is_empty() {
                heard += 1;
                node.lend(&question, 0);
                assert_eq!(node.known(), Some(3));
            } else {
                node.tell(question.nonce, Answer::Service { status: 503, body: b"" });
            }
        }
        node.now += 100;
    }
    assert!((4..=5).contains(&heard), "once a second: {heard} times");
    node.now += 1_000;
    node.counts();
    let question = node.question();
    assert_eq!(teams(&question), ["a"], "that goes on being asked");
    node.lend(&question, 5);
    assert_eq!(node.take("a"), TAKEN);
    node.now += 399;
    assert_eq!(node.call(), None, "all is well");
}
