//! What a node does with what it is lent.
//!
//! * here: while the key service answers
//! * `alone`: when it does not, or lends nothing
//! * `scarce`: when other nodes may hold what it needs
//! * `properties`: whatever is lost, doubled or overtaken, and whatever a cell holds

mod alone;
mod properties;
mod scarce;

use std::num::NonZeroU32;

use tollkeeper_contract::lease::{Account, Ask, Lent};

use super::{Basis, Draft, Fleet, Lease, Patience, Reply, Signal, Taking};
use crate::{
    config::{Fallback, Remaining},
    limiter::Limit,
    time::Monotonic,
};

const TERM: u64 = 5000;
const FLEET: Fleet =
    Fleet { wait: 500, fallback: Fallback::Share, remaining: Remaining::Fleet, nodes: NonZeroU32::new(3) };

fn limit() -> Limit {
    Limit::bucket(300, 300)
}

fn cold() -> Lease {
    Lease::cold(limit(), Monotonic(0))
}

fn take(lease: &mut Lease, now: u64, cost: u32) -> (Taking, Signal) {
    lease.take(limit(), FLEET, Monotonic(now), cost, Patience::New)
}

fn ask(lease: &mut Lease, now: u64) -> (Draft, Ask) {
    let draft = lease.ask(Monotonic(now));
    (draft, lease.to_ask(Account::Team("acme".into()), draft))
}

fn lent(ask: &Ask, granted: u64, wait_ms: u64) -> Lent {
    Lent { account: ask.account.clone(), seq: ask.seq, granted, void: ask.void, left: 100, wait_ms, held: 0 }
}

fn answer(lease: &mut Lease, draft: Draft, lent: &Lent, sent: u64, now: u64) {
    let sent = Monotonic(sent);
    lease.take_in(Reply { draft, sent, lent, term: TERM, only_settles: false }, Monotonic(now));
}

/// A lease of `tokens` since the time 10.
fn holding(tokens: u64) -> Lease {
    let mut lease = cold();
    let _ = take(&mut lease, 10, 1);
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &lent(&question, tokens, 0), 10, 12);
    lease
}

const TAKEN: Taking = Taking::Taken(Basis::Quota);

#[test]
fn of_one_request_no_great_demand_follows_whatever_it_costs_and_of_several_as_much_more_as_they_are_closer() {
    let wanted = |requests: u64, cost| {
        let mut lease = cold();
        for time in 0..requests {
            let _ = take(&mut lease, 10 + time, cost);
        }
        ask(&mut lease, 10 + requests).1.want
    };
    let demands = [(1, 1), (1, 4), (2, 1), (2, 4), (5, 1)].map(|(requests, cost)| wanted(requests, cost));
    assert_eq!(demands, [10, 40, 40, 160, 250]);
}

#[test]
fn the_first_request_of_a_cold_team_asks_and_all_wait() {
    let mut lease = cold();
    assert_eq!(take(&mut lease, 10, 1), (Taking::Wait, Signal::Ask));
    assert_eq!(take(&mut lease, 11, 2), (Taking::Wait, Signal::Silent));
    let (draft, question) = ask(&mut lease, 12);
    assert_eq!((question.need, question.want), (2, 30), "three tokens in a tenth of a second are 30 in a second");
    answer(&mut lease, draft, &lent(&question, 3, 0), 12, 15);
    assert_eq!(take(&mut lease, 15, 1), (TAKEN, Signal::Silent));
    assert_eq!(take(&mut lease, 15, 2), (TAKEN, Signal::Ask));
    assert_eq!(take(&mut lease, 16, 1), (Taking::Wait, Signal::Silent));
}

#[test]
fn more_is_asked_for_before_a_lease_is_used_up() {
    let mut lease = holding(8);
    for _ in 0..3 {
        assert_eq!(take(&mut lease, 20, 1), (TAKEN, Signal::Silent));
    }
    assert_eq!(take(&mut lease, 20, 1), (TAKEN, Signal::Ask));
    assert_eq!(take(&mut lease, 20, 1), (TAKEN, Signal::Silent));
    let (_, question) = ask(&mut lease, 1012);
    assert_eq!((question.spent, question.want), (5, 9));
}

#[test]
fn a_lease_ends_a_term_after_it_was_asked_for() {
    let mut lease = holding(8);
    assert_eq!(take(&mut lease, 10 + TERM - 1, 1).0, TAKEN);
    assert_eq!(take(&mut lease, 10 + TERM, 1).0, Taking::Wait);
    let (_, question) = ask(&mut lease, 10 + TERM);
    assert_eq!((question.spent, question.returned), (1, 7));
}

#[test]
fn what_nobody_wanted_is_given_back() {
    let mut lease = holding(8);
    assert_eq!(take(&mut lease, 20, 1).0, TAKEN);
    let (draft, question) = ask(&mut lease, 3019);
    assert_eq!((question.spent, question.returned), (1, 0));
    answer(&mut lease, draft, &lent(&question, 8, 0), 3019, 3021);
    let (draft, question) = ask(&mut lease, 3121);
    assert_eq!((question.spent, question.returned, question.want), (1, 7, 0));
    answer(&mut lease, draft, &lent(&question, 8, 0), 3121, 3123);
    assert!(lease.is_at_rest());
}

#[test]
fn where_nothing_is_left_all_are_told_when_there_will_be_and_nobody_asks_until_then() {
    let mut lease = cold();
    let _ = take(&mut lease, 10, 1);
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &lent(&question, 0, 700), 10, 20);
    let refused = |wait| (Taking::Refused { wait, basis: Basis::Quota }, Signal::Silent);
    assert_eq!(take(&mut lease, 20, 1), refused(700));
    assert_eq!(take(&mut lease, 709, 1), refused(11));
    // It may have been said when the question was put: for whom another node told to come now, the answer may be better.
    assert_eq!(take(&mut lease, 710, 1), (Taking::Wait, Signal::Ask));
    assert_eq!(take(&mut lease, 720, 301), refused(u64::MAX));
    // What was said 2.5 s ago may have changed, when another node has given back what it did not need.
    let mut other = cold();
    let _ = take(&mut other, 10, 1);
    let (draft, question) = ask(&mut other, 10);
    answer(&mut other, draft, &lent(&question, 0, 70_000), 10, 20);
    assert_eq!(take(&mut other, 2519, 1), refused(67_501));
    assert_eq!(take(&mut other, 2520, 1), (Taking::Wait, Signal::Ask));
    // What is said of an old limit does not hold for a new one.
    answer(&mut lease, draft, &lent(&question, 0, 700), 10, 20);
    let taking = lease.take(Limit::bucket(600, 300), FLEET, Monotonic(30), 1, Patience::New);
    assert_eq!(taking.0, Taking::Wait);
}

#[test]
fn when_a_limit_falls_all_that_was_lent_goes_back() {
    let mut lease = holding(8);
    assert_eq!(take(&mut lease, 20, 1).0, TAKEN);
    lease.observe(Limit::bucket(150, 300));
    assert_eq!(lease.balance(Monotonic(20)), 0);
    lease.observe(Limit::bucket(300, 300));
    assert_eq!(lease.balance(Monotonic(20)), 0, "and does not come back when it rises again");
    assert_eq!(ask(&mut lease, 20).1.returned, 7);
}

#[test]
fn what_has_only_just_come_is_not_given_back() {
    let mut lease = cold();
    let _ = take(&mut lease, 10, 1);
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &Lent { left: 0, ..lent(&question, 8, 0) }, 10, 412);
    assert_eq!(ask(&mut lease, 511).1.returned, 0);
    assert_eq!(ask(&mut lease, 512).1.returned, 8);
}

#[test]
fn what_was_asked_for_under_a_higher_limit_goes_back() {
    let mut lease = cold();
    let _ = take(&mut lease, 10, 1);
    let (draft, question) = ask(&mut lease, 10);
    lease.observe(Limit::bucket(30, 300));
    answer(&mut lease, draft, &lent(&question, 100, 0), 10, 12);
    assert_eq!(lease.balance(Monotonic(20)), 0);
}

#[test]
fn what_must_not_be_spent_any_more_is_given_back_at_once_and_once_only() {
    let mut lease = holding(8);
    assert_eq!(take(&mut lease, 20, 1).0, TAKEN);
    let (draft, question) = ask(&mut lease, 30);
    let lapsed = Lent { void: 7, ..lent(&question, 12, 0) };
    answer(&mut lease, draft, &lapsed, 30, 40);
    assert_eq!(lease.balance(Monotonic(50)), 4);
    assert!(!lease.is_at_rest());
    for now in [3100, 3300] {
        let (draft, question) = ask(&mut lease, now);
        assert_eq!((question.spent, question.returned, question.void), (1, 11, 0));
        answer(&mut lease, draft, &lent(&question, 12, 0), now, now + 10);
    }
    assert!(lease.is_at_rest());
}

#[test]
fn a_lease_takes_no_answer_to_one_before_it() {
    let (mut before, mut lease) = (cold(), Lease::cold(limit(), Monotonic(1)));
    let (draft, question) = ask(&mut before, 0);
    let (_, own) = ask(&mut lease, 1);
    assert_ne!(question.since, own.since);
    answer(&mut lease, draft, &lent(&question, 8, 0), 0, 2);
    assert_eq!(lease.balance(Monotonic(3)), 0);
}
