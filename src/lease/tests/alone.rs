//! What a node does when nobody answers, or nobody lends.

use std::num::NonZeroU32;

use super::{FLEET, TAKEN, TERM, answer, ask, cold, holding, lent, limit, take};
use crate::{
    config::Fallback,
    lease::{Basis, Fleet, Lease, Patience, Reply, Signal, Taking},
    limiter::Limit,
    time::Monotonic,
};

#[test]
fn where_nobody_answers_a_node_has_its_share_and_begins_with_nothing() {
    let mut lease = cold();
    assert_eq!(take(&mut lease, 0, 1).0, Taking::Wait);
    assert_eq!(take(&mut lease, 499, 1).0, Taking::Wait);
    // 100 tokens in 300 seconds: one in three.
    assert_eq!(take(&mut lease, 500, 1).0, Taking::Refused { wait: 3000, basis: Basis::Share });
    assert_eq!(take(&mut lease, 3499, 1).0, Taking::Refused { wait: 1, basis: Basis::Share });
    assert_eq!(take(&mut lease, 3500, 1), (Taking::Taken(Basis::Share), Signal::Silent));
    assert_eq!(
        take(&mut lease, 3500, 101).0,
        Taking::Unavailable,
        "more than the share is, and no more than the quota"
    );
    let (draft, question) = ask(&mut lease, 3600);
    assert_eq!((question.overdrawn, question.settled, question.spent), (1, 0, 0));
    answer(&mut lease, draft, &lent(&question, 5, 0), 3600, 3610);
    assert_eq!(take(&mut lease, 3610, 1).0, TAKEN);
    assert_eq!(ask(&mut lease, 3700).1.settled, 1);
}

#[test]
fn without_a_share_nothing_is_spent() {
    for fleet in [Fleet { fallback: Fallback::Refuse, ..FLEET }, Fleet { nodes: None, ..FLEET }] {
        let mut lease = cold();
        let mut take = |now| lease.take(limit(), fleet, Monotonic(now), 1, Patience::New).0;
        assert_eq!(take(0), Taking::Wait);
        assert_eq!(take(500), Taking::Unavailable);
    }
}

#[test]
fn a_share_of_less_than_one_token_is_one_in_a_longer_time() {
    let fleet = Fleet { nodes: NonZeroU32::new(7), ..FLEET };
    let mut lease = Lease::cold(Limit::bucket(2, 10), Monotonic(0));
    let mut take = |now| lease.take(Limit::bucket(2, 10), fleet, Monotonic(now), 1, Patience::New).0;
    take(0);
    for now in (500..32_000).step_by(500) {
        assert_eq!(take(now), Taking::Refused { wait: 5000, basis: Basis::Share });
    }
    assert_eq!(take(36_499), Taking::Refused { wait: 1, basis: Basis::Share });
    assert_eq!(take(36_500), Taking::Taken(Basis::Share));
}

#[test]
fn who_has_waited_long_enough_is_refused_also_if_answers_come() {
    let mut lease = cold();
    let taking = lease.take(limit(), FLEET, Monotonic(490), 1, Patience::Over(Monotonic(0))).0;
    assert_eq!(taking, Taking::Refused { wait: 1000, basis: Basis::Quota });
}

#[test]
fn who_has_waited_without_an_answer_has_the_share_also_a_moment_too_early() {
    for fallback in [Fallback::Share, Fallback::Refuse] {
        let (mut lease, fleet) = (cold(), Fleet { fallback, ..FLEET });
        assert_eq!(lease.take(limit(), fleet, Monotonic(7), 1, Patience::New).0, Taking::Wait);
        let taking = lease.take(limit(), fleet, Monotonic(500), 1, Patience::Over(Monotonic(7))).0;
        let expected = match fallback {
            Fallback::Share => Taking::Refused { wait: 3000, basis: Basis::Share },
            Fallback::Refuse => Taking::Unavailable,
        };
        assert_eq!(taking, expected);
    }
}

#[test]
fn an_answer_that_only_settles_ends_no_waiting() {
    let mut lease = cold();
    let _ = take(&mut lease, 0, 1);
    let (draft, question) = ask(&mut lease, 0);
    let lent = lent(&question, 0, 0);
    let reply = Reply { draft, sent: Monotonic(0), lent: &lent, term: TERM, only_settles: true };
    lease.take_in(reply, Monotonic(5));
    assert!(!lease.has_news(Monotonic(5)));
    assert!(matches!(take(&mut lease, 500, 1).0, Taking::Refused { basis: Basis::Share, .. }));
}

#[test]
fn what_comes_while_nobody_lends_goes_back() {
    let mut lease = holding(8);
    assert_eq!(take(&mut lease, 20, 1).0, TAKEN);
    let (draft, question) = ask(&mut lease, 30);
    let lent = lent(&question, 50, 0);
    lease.take_in(Reply { draft, sent: Monotonic(30), lent: &lent, term: TERM, only_settles: true }, Monotonic(40));
    assert_eq!(lease.balance(Monotonic(50)), 7);
    assert_eq!(ask(&mut lease, 50).1.returned, 42);
}

#[test]
fn the_steward_is_reminded_and_after_a_long_silence_asked_anew() {
    let mut lease = cold();
    let _ = take(&mut lease, 0, 1);
    assert_eq!(take(&mut lease, 249, 1).1, Signal::Silent);
    assert_eq!(take(&mut lease, 250, 1).1, Signal::Ask);
    assert_eq!(take(&mut lease, 10_250, 1), (Taking::Wait, Signal::Ask));
}

#[test]
fn a_steward_that_was_asked_ahead_is_reminded_while_there_is_still_something_to_spend() {
    let mut lease = holding(8);
    let signals: Vec<_> = (20..25).map(|now| take(&mut lease, now, 1)).collect();
    assert!(signals.contains(&(TAKEN, Signal::Ask)), "{signals:?}");
    assert_eq!(take(&mut lease, 200, 1), (TAKEN, Signal::Silent));
    assert_eq!(take(&mut lease, 300, 1), (TAKEN, Signal::Ask));
}
