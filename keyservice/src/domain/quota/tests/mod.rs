//! What nodes see of a book.

mod model;
pub(crate) mod node;

use super::{Book, Claim, Lending, Opening};
use node::{Node, Terms};
use tollkeeper_contract::lease::Promise;

const BUCKET: Terms = Terms { limit: 100, window: 100, promise: Promise::Bucket };
const STRICT: Terms = Terms { promise: Promise::Strict, ..BUCKET };

fn fresh(terms: Terms, clock: u64) -> Book {
    Book::open(&Node::new("n").claim(terms, 0, 0), Opening::Full, clock)
}

#[test]
fn a_lease_shrinks_with_what_is_left_down_to_one() {
    for (limit, expected) in [(100, [50, 25, 13, 6, 6, 0, 0]), (20, [10, 5, 3, 1, 1, 0, 0])] {
        let terms = Terms { limit, ..BUCKET };
        let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
        let sizes = expected.map(|_| {
            node.asks(&mut book, terms, 1, 1000, 0);
            let size = node.balance();
            node.spends(size);
            size
        });
        assert_eq!(sizes, expected);
    }
}

#[test]
fn a_request_that_costs_all_there_is_gets_it() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    assert_eq!(node.asks(&mut book, BUCKET, 100, 100, 0).wait_ms, 0);
    assert_eq!(node.balance(), 100);
}

#[test]
fn what_costs_more_than_the_limit_never_comes_and_is_lent_nothing() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    let lent = node.asks(&mut book, BUCKET, 101, 101, 0);
    assert_eq!((lent.wait_ms, lent.granted), (u64::MAX, 0));
}

#[test]
fn a_doubled_or_overtaken_question_settles_and_grants_nothing() {
    for terms in [BUCKET, STRICT] {
        let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
        node.asks(&mut book, terms, 1, 10, 0);
        node.spends(4);
        node.overdraws(2);
        let old = node.claim(terms, 1, 10);
        let lent = book.settle(&old, "a", 1, Lending::Lends);
        let before = book.clone();
        let again = book.settle(&old, "a", 1, Lending::Lends);
        assert_eq!((again.granted, again.void, &book), (lent.granted, lent.void, &before));
        node.learns(&lent);
        node.asks(&mut book, terms, 1, 10, 2);
        let before = book.clone();
        assert_eq!(book.settle(&old, "a", 2, Lending::Lends).granted, node.granted);
        assert_eq!(book, before);
    }
}

#[test]
fn a_lost_answer_is_made_good_by_the_next() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    let lost = node.claim(BUCKET, 1, 10);
    assert_eq!(book.settle(&lost, "a", 0, Lending::Lends).granted, 10);
    node.asks(&mut book, BUCKET, 1, 10, 1);
    assert_eq!(node.balance(), 10);
}

#[test]
fn what_a_dead_node_was_lent_counts_as_spent_when_its_lease_ends() {
    let (mut book, mut dead, mut node) = (fresh(BUCKET, 0), Node::new("dead"), Node::new("a"));
    dead.asks(&mut book, BUCKET, 100, 100, 0);
    // Nothing comes back before 5.5 s, and from then on bit by bit.
    assert_eq!(node.asks(&mut book, BUCKET, 1, 1, 0).wait_ms, 6_500);
    node.asks(&mut book, BUCKET, 1, 1, 6_499);
    assert_eq!(node.balance(), 0);
    node.asks(&mut book, BUCKET, 1, 1, 6_500);
    assert_eq!(node.balance(), 1);

    let (mut book, mut dead, mut node) = (fresh(STRICT, 0), Node::new("dead"), Node::new("a"));
    dead.asks(&mut book, STRICT, 100, 100, 0);
    assert_eq!(node.asks(&mut book, STRICT, 1, 1, 0).wait_ms, 105_501);
    node.asks(&mut book, STRICT, 1, 1, 105_500);
    assert_eq!(node.balance(), 0);
    node.asks(&mut book, STRICT, 1, 1, 105_501);
    assert_eq!(node.balance(), 1);
}

#[test]
fn what_lapsed_unspent_comes_back_when_the_node_says_so() {
    for terms in [BUCKET, STRICT] {
        let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
        node.asks(&mut book, terms, 80, 80, 0);
        node.spends(30);
        node.returns(50);
        let lent = node.asks(&mut book, terms, 0, 0, 9_000);
        // Since the lease ended, 3.5 s have passed; in a bucket, 3 tokens came back.
        let refilled = if terms == BUCKET { 3 } else { 0 };
        assert_eq!((lent.void, lent.left, node.balance()), (0, 70 + refilled, 0), "{terms:?}");
    }
}

#[test]
fn what_lapsed_is_not_lent_again_by_what_is_spent_later() {
    let terms = Terms { limit: 52, window: 1, ..BUCKET };
    let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
    book.settle(&node.claim(terms, 1, 1), "a", 0, Lending::Lends);
    // The answer was lost, and the bucket is full again.
    node.asks(&mut book, terms, 51, 51, 5_520);
    node.spends(9);
    let lent = node.asks(&mut book, terms, 0, 0, 5_520);
    assert_eq!((lent.void, node.balance() + lent.left), (0, 43));
}

#[test]
fn what_was_refilled_since_it_lapsed_does_not_come_back_too() {
    let terms = Terms { limit: 10, window: 10, ..BUCKET };
    let (mut book, mut node, mut other) = (fresh(terms, 0), Node::new("a"), Node::new("b"));
    node.asks(&mut book, terms, 5, 5, 0);
    other.asks(&mut book, terms, 5, 5, 0);
    other.spends(5);
    other.asks(&mut book, terms, 0, 0, 0);
    // The lease ends after 5.5 s; 2 s later, 2 of its 5 tokens were refilled.
    assert_eq!(other.asks(&mut book, terms, 7, 7, 7_500).wait_ms, 0);
    other.spends(7);
    other.asks(&mut book, terms, 0, 0, 7_500);
    node.returns(5);
    assert_eq!(node.asks(&mut book, terms, 0, 0, 7_500).left, 3);
}

#[test]
fn a_node_is_told_what_lapsed_until_it_says_what_became_of_it() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    node.asks(&mut book, BUCKET, 10, 10, 0);
    node.spends(4);
    let unheard = Node { spent: 0, ..node.clone() }.claim(BUCKET, 0, 0);
    assert_eq!(book.settle(&unheard, "a", 6_000, Lending::Lends).void, 10);
    node.seq += 1;
    let lent = node.asks(&mut book, BUCKET, 0, 0, 6_000);
    assert_eq!((lent.void, node.balance()), (6, 0));
}

#[test]
fn what_was_overdrawn_is_paid_back_first() {
    for (terms, wait) in [(BUCKET, 21_000), (STRICT, 100_001)] {
        let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
        node.asks(&mut book, terms, 100, 100, 0);
        node.spends(100);
        node.overdraws(20);
        assert_eq!(node.asks(&mut book, terms, 1, 1, 0).wait_ms, wait, "{terms:?}");
    }
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    node.overdraws(1 << 50);
    assert_eq!(node.asks(&mut book, BUCKET, 1, 1, 0).wait_ms, 101_000, "no debt is greater than the limit");
}

#[test]
fn while_it_only_settles_nothing_is_lent_and_leases_last() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    node.asks(&mut book, BUCKET, 10, 10, 0);
    node.spends(4);
    let lent = book.settle(&node.claim(BUCKET, 100, 100), "a", 5_000, Lending::OnlySettles);
    assert_eq!((lent.granted, lent.left), (10, 90));
    node.learns(&lent);
    assert_eq!(node.asks(&mut book, BUCKET, 0, 0, 10_499).void, 0);
}

#[test]
fn memory_that_was_lost_gives_nobody_a_fresh_quota() {
    let mut node = Node::new("a");
    node.granted = 60;
    node.spends(20);
    let claim = node.claim(BUCKET, 0, 0);
    let mut book = Book::open(&claim, Opening::EmptySince(1_000), 1_000);
    node.asks(&mut book, BUCKET, 41, 41, 1_000);
    assert_eq!(node.balance(), 40, "it keeps what it has, and gets no more");
    assert_eq!(node.needs(&mut book, BUCKET, 41, 2_000), 0);

    let mut node = Node::new("a");
    let mut book = Book::open(&node.claim(STRICT, 0, 0), Opening::EmptySince(1_000), 1_000);
    assert_eq!(node.asks(&mut book, STRICT, 1, 1, 1_000).wait_ms, 100_001);
}

#[test]
fn memory_that_went_back_debits_what_was_lent_since() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    node.asks(&mut book, BUCKET, 10, 10, 0);
    let older = book.clone();
    node.asks(&mut book, BUCKET, 70, 70, 0);
    node.spends(65);
    let mut book = older;
    let lent = node.asks(&mut book, BUCKET, 0, 0, 0);
    assert_eq!((lent.granted, lent.left, node.balance()), (70, 30, 5));
}

#[test]
fn a_changed_limit_carries_over_what_is_left() {
    for terms in [BUCKET, STRICT] {
        let (mut book, mut node) = (fresh(terms, 0), Node::new("a"));
        node.asks(&mut book, terms, 80, 80, 0);
        node.spends(80);
        let raised = Terms { limit: 200, ..terms };
        let difference = if terms == STRICT { 100 } else { 0 };
        assert_eq!(node.asks(&mut book, raised, 0, 0, 0).left, 20 + difference);
        let lowered = Terms { limit: 10, ..terms };
        assert_eq!(node.asks(&mut book, lowered, 0, 0, 0).left, if terms == STRICT { 0 } else { 10 });
    }
}

#[test]
fn another_promise_gives_nobody_fresh_tokens() {
    for (from, to) in [(BUCKET, STRICT), (STRICT, BUCKET)] {
        let (mut book, mut node) = (fresh(from, 0), Node::new("a"));
        node.asks(&mut book, from, 70, 70, 0);
        node.spends(40);
        assert_eq!(node.asks(&mut book, to, 0, 0, 0).left, 30);
        assert_eq!(node.asks(&mut book, from, 0, 0, 0).left, 30);
        node.overdraws(80);
        node.asks(&mut book, from, 0, 0, 0);
        assert!(node.asks(&mut book, to, 31, 31, 1).wait_ms > 1_000, "a debt is carried over");
    }
}

#[test]
fn another_limit_and_another_promise_at_once_give_nobody_fresh_tokens_in_any_order() {
    let at = |promise, limit| Terms { promise, limit, ..BUCKET };
    for (first, other) in [(Promise::Strict, Promise::Bucket), (Promise::Bucket, Promise::Strict)] {
        for limits in [(300, 100), (100, 300)] {
            let (before, after) = (at(first, limits.0), at(other, limits.1));
            let (mut book, mut node) = (fresh(before, 0), Node::new("a"));
            node.asks(&mut book, before, 70, 70, 0);
            node.spends(70);
            // Nodes that have heard of it and nodes that have not ask by turns.
            for terms in [before, after, before, after] {
                let left = node.asks(&mut book, terms, 0, 0, 0).left;
                assert!(left <= u64::from(limits.0) - 70, "{left} left under {terms:?}");
            }
        }
    }
}

#[test]
fn what_lapsed_under_another_promise_does_not_come_back_twice() {
    let (mut book, mut node) = (fresh(STRICT, 0), Node::new("a"));
    node.asks(&mut book, STRICT, 100, 100, 0);
    // A whole window later all of it has come back by itself.
    assert_eq!(Node::new("b").asks(&mut book, BUCKET, 0, 0, 106_000).left, 100);
    Node::new("c").asks(&mut book, BUCKET, 60, 60, 106_000);
    node.returns(100);
    assert_eq!(node.asks(&mut book, BUCKET, 0, 0, 106_000).left, 0, "40, as far as others do not take them");
}

#[test]
fn what_is_left_is_less_what_the_others_will_take() {
    let (mut book, mut node, mut other) = (fresh(BUCKET, 0), Node::new("a"), Node::new("b"));
    other.asks(&mut book, BUCKET, 1, 5, 0);
    let lent = node.asks(&mut book, BUCKET, 1, 10, 0);
    assert_eq!(lent.left, 100 - 5 - 10 - (4 * 5 - 13), "four times the last, of which the node leaves out 13");
    other.spends(5);
    other.asks(&mut book, BUCKET, 0, 0, 0);
    assert_eq!(node.asks(&mut book, BUCKET, 1, 10, 0).left, 85);
    other.asks(&mut book, BUCKET, 90, 90, 0);
    assert_eq!(node.asks(&mut book, BUCKET, 1, 10, 0).left, 0, "the other waits for whatever comes");
}

#[test]
fn late_questions_are_told_apart_for_ten_minutes_and_then_forgotten() {
    let (mut book, mut node) = (fresh(BUCKET, 0), Node::new("a"));
    node.overdraws(5);
    let old = node.claim(BUCKET, 0, 0);
    node.learns(&book.settle(&old, "a", 0, Lending::Lends));
    node.asks(&mut book, BUCKET, 0, 0, 0);
    let before = book.clone();
    book.settle(&old, "a", 0, Lending::Lends);
    assert_eq!(book, before);
    Node::new("b").asks(&mut book, BUCKET, 0, 0, 605_500);
    node.overdraws(1);
    // The book no longer knows that 5 of the 6 are settled, but the node does.
    assert_eq!(node.asks(&mut book, BUCKET, 0, 0, 605_500).left, 99);
    assert!(!book.is_forgotten(605_500 + 1_400_000 - 1));
    assert!(book.is_forgotten(605_500 + 1_400_000));
}

#[test]
fn a_claim_that_cannot_be_true_is_refused_by_its_field() {
    let good = Node::new("a").claim(BUCKET, 1, 1).ask().clone();
    let field = |change: &dyn Fn(&mut tollkeeper_contract::lease::Ask)| {
        let mut ask = good.clone();
        change(&mut ask);
        Claim::read(ask).map_err(|error| error.field).err()
    };
    assert_eq!(field(&|_| ()), None);
    assert_eq!(field(&|ask| ask.seq = 0), Some("seq"));
    assert_eq!(field(&|ask| ask.spent = 1), Some("spent"));
    assert_eq!(field(&|ask| ask.void = 1), Some("void"));
    assert_eq!(field(&|ask| ask.settled = 1), Some("settled"));
    assert_eq!(field(&|ask| ask.overdrawn = (1 << 52) + 1), Some("overdrawn"));
    assert_eq!(field(&|ask| ask.granted = 1 << 32), Some("granted"));
    assert_eq!(field(&|ask| ask.window = 0), Some("limit"));
    assert_eq!(field(&|ask| ask.account = tollkeeper_contract::lease::Account::Team("a b".into())), Some("account"));
}
