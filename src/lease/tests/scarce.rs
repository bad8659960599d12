//! What a node does where other nodes may hold what it needs.

use std::num::NonZeroU32;

use tollkeeper_contract::lease::{Ask, Lent};

use super::{FLEET, TAKEN, answer, ask, cold, holding, lent, limit, take};
use crate::{
    config::Promise,
    lease::{Basis, Fleet, Lease, Patience, Signal, Taking},
    limiter::Limit,
    time::Monotonic,
};

const DAY: u64 = 86_400_000;
const FRESH: u64 = 400;

fn nothing_yet(ask: &Ask) -> Lent {
    Lent { left: 0, held: 3, ..lent(ask, 0, DAY) }
}

/// Somebody waits since the time 10, and was told at 20 that other nodes may give something back.
fn hoping() -> Lease {
    let mut lease = cold();
    assert_eq!(take(&mut lease, 10, 1), (Taking::Wait, Signal::Ask));
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &nothing_yet(&question), 10, 20);
    lease
}

fn last_chance(lease: &mut Lease, now: u64) -> Taking {
    lease.take(limit(), FLEET, Monotonic(now), 1, Patience::Over(Monotonic(10))).0
}

#[test]
fn who_needs_what_others_hold_waits_and_has_it_when_they_give_it_back() {
    let mut lease = hoping();
    assert!(!lease.has_news(Monotonic(21)));
    assert_eq!(take(&mut lease, 21, 1), (Taking::Wait, Signal::Silent));
    assert_eq!(lease.settles_after(Monotonic(20), FRESH), 200, "then it is asked again");
    let (draft, question) = ask(&mut lease, 320);
    assert_eq!((question.need, question.least), (1, 1));
    answer(&mut lease, draft, &lent(&question, 1, 0), 320, 325);
    assert!(lease.has_news(Monotonic(376)));
    assert_eq!(last_chance(&mut lease, 376), TAKEN);
}

#[test]
fn who_needs_what_others_keep_is_told_when_their_leases_have_ended() {
    let mut lease = hoping();
    assert_eq!(last_chance(&mut lease, 509), Taking::Refused { wait: DAY - 489, basis: Basis::Quota });
    assert_eq!(take(&mut lease, 510, 1), (Taking::Refused { wait: DAY - 490, basis: Basis::Quota }, Signal::Silent));
    assert_eq!(take(&mut lease, 2520, 1), (Taking::Wait, Signal::Ask), "what they keep they may give back later");
}

#[test]
fn as_soon_as_others_hold_nothing_any_more_it_is_told_when_tokens_come() {
    let mut lease = hoping();
    let (draft, question) = ask(&mut lease, 320);
    answer(&mut lease, draft, &lent(&question, 0, 5000), 320, 325);
    assert_eq!(take(&mut lease, 376, 1).0, Taking::Refused { wait: 4949, basis: Basis::Quota });
}

#[test]
fn requests_wait_for_what_others_may_give_back_if_that_suffices_for_all_of_them() {
    let mut lease = cold();
    for _ in 0..3 {
        let _ = take(&mut lease, 10, 1);
    }
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &nothing_yet(&question), 10, 20);
    assert!(!lease.has_news(Monotonic(21)));
    let (draft, question) = ask(&mut lease, 320);
    answer(&mut lease, draft, &lent(&question, 3, 0), 320, 325);
    for _ in 0..3 {
        assert_eq!(last_chance(&mut lease, 326), TAKEN);
    }
    for (now, taking) in [(400, Taking::Refused { wait: 5000, basis: Basis::Quota }), (10_030, Taking::Wait)] {
        assert_eq!((take(&mut lease, now, 1).0, take(&mut lease, now, 1).0), (Taking::Wait, Taking::Wait));
        let (draft, question) = ask(&mut lease, now);
        answer(&mut lease, draft, &Lent { granted: 3, ..nothing_yet(&question) }, now, now);
        assert_eq!(take(&mut lease, now, 1).0, taking, "not again and again");
    }
}

#[test]
fn a_crowd_that_was_given_much_waits_again_for_what_others_may_still_hold() {
    for (given, taking) in [(17, Taking::Refused { wait: 5000, basis: Basis::Quota }), (18, Taking::Wait)] {
        let mut lease = cold();
        assert_eq!((take(&mut lease, 10, 1).0, take(&mut lease, 10, 1).0), (Taking::Wait, Taking::Wait));
        let (draft, question) = ask(&mut lease, 10);
        answer(&mut lease, draft, &nothing_yet(&question), 10, 20);
        let (draft, question) = ask(&mut lease, 320);
        answer(&mut lease, draft, &lent(&question, given, 0), 320, 325);
        for _ in 0..given {
            assert_eq!(last_chance(&mut lease, 326), TAKEN);
        }
        assert_eq!((take(&mut lease, 400, 1).0, take(&mut lease, 400, 1).0), (Taking::Wait, Taking::Wait));
        let (draft, question) = ask(&mut lease, 400);
        answer(&mut lease, draft, &Lent { granted: given, ..nothing_yet(&question) }, 400, 400);
        assert_eq!(take(&mut lease, 400, 1).0, taking, "after {given} of 300");
    }
}

#[test]
fn a_greater_crowd_does_not_wait_for_that_and_is_told_to_come_soon() {
    let mut lease = cold();
    for _ in 0..4 {
        let _ = take(&mut lease, 10, 1);
    }
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &nothing_yet(&question), 10, 20);
    assert_eq!(take(&mut lease, 20, 1).0, Taking::Refused { wait: 5000, basis: Basis::Quota });
}

#[test]
fn a_request_that_costs_more_than_was_asked_about_is_told_no_time_that_is_too_early() {
    let mut lease = holding(2);
    assert_eq!((take(&mut lease, 15, 1).0, take(&mut lease, 20, 5).0), (TAKEN, Taking::Wait));
    let (draft, question) = ask(&mut lease, 20);
    assert_eq!(question.least, 1);
    answer(&mut lease, draft, &Lent { granted: 2, wait_ms: 700, ..nothing_yet(&question) }, 20, 30);
    let patience = Patience::Over(Monotonic(20));
    let told = lease.take(limit(), FLEET, Monotonic(30), 5, patience).0;
    assert_eq!(told, Taking::Refused { wait: 700 + 4 * 1000, basis: Basis::Quota });
}

const THREE: u32 = 3;

/// Somebody who waited alone was told at 20 that three tokens come in 700 ms, on one of so many nodes.
fn told_of_three(nodes: u32) -> (Lease, Fleet) {
    let (mut lease, fleet) = (cold(), Fleet { nodes: NonZeroU32::new(nodes), ..FLEET });
    let _ = take(&mut lease, 10, THREE);
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &lent(&question, 0, 700), 10, 20);
    let told = lease.take(limit(), fleet, Monotonic(20), THREE, Patience::Left);
    assert_eq!(told, (Taking::Refused { wait: 700, basis: Basis::Quota }, Signal::Silent));
    (lease, fleet)
}

#[test]
fn what_was_said_of_several_tokens_is_told_to_nobody_else_because_other_nodes_may_have_lent_a_few_since() {
    let (mut lease, fleet) = told_of_three(2);
    let next = lease.take(limit(), fleet, Monotonic(21), THREE, Patience::New);
    assert_eq!(next, (Taking::Wait, Signal::Ask));
    let (mut lease, alone) = told_of_three(1);
    let next = lease.take(limit(), alone, Monotonic(21), THREE, Patience::New).0;
    assert_eq!(next, Taking::Refused { wait: 699, basis: Basis::Quota });
}

#[test]
fn what_was_said_to_a_crowd_of_several_tokens_is_told_to_all_and_nobody_asks() {
    let mut lease = cold();
    for _ in 0..2 {
        let _ = take(&mut lease, 10, THREE);
    }
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &lent(&question, 0, 700), 10, 20);
    assert!(matches!(take(&mut lease, 21, THREE), (Taking::Refused { basis: Basis::Quota, .. }, Signal::Silent)));
}

#[test]
fn a_cost_between_two_that_were_asked_about_is_asked_about_too() {
    let (mut lease, alone) = told_of_three(1);
    let dear = |lease: &mut Lease, cost, patience| lease.take(limit(), alone, Monotonic(20), cost, patience).0;
    assert_eq!(dear(&mut lease, 9, Patience::New), Taking::Wait);
    let (draft, question) = ask(&mut lease, 20);
    answer(&mut lease, draft, &lent(&question, 0, 6700), 20, 20);
    assert_eq!(dear(&mut lease, 9, Patience::Left), Taking::Refused { wait: 6700, basis: Basis::Quota });
    assert_eq!(dear(&mut lease, THREE, Patience::New), Taking::Refused { wait: 700, basis: Basis::Quota });
    assert_eq!(dear(&mut lease, 4, Patience::New), Taking::Wait);
}

#[test]
fn whoever_holds_something_hears_again_how_much_is_left_and_then_gives_back_what_is_not_in_use() {
    let mut lease = holding(9);
    assert_eq!(take(&mut lease, 20, 1).0, TAKEN);
    assert_eq!(lease.settles_after(Monotonic(20), FRESH), FRESH - 8);
    let (draft, question) = ask(&mut lease, 412);
    assert_eq!((question.spent, question.returned), (1, 0));
    // Others were quick.
    answer(&mut lease, draft, &Lent { left: 2, ..lent(&question, 9, 0) }, 412, 414);
    assert_eq!(lease.settles_after(Monotonic(414), FRESH), 100, "only just heard");
    let (_, question) = ask(&mut lease, 514);
    assert_eq!((question.returned, question.want), (8, 0));
}

const PATIENT: Fleet = Fleet { wait: 1000, ..FLEET };

/// A node that asked for more than its one token at 20, in vain.
fn in_vain(limit: Limit) -> Lease {
    let mut lease = holding(2);
    assert_eq!(lease.take(limit, PATIENT, Monotonic(20), 1, Patience::New), (TAKEN, Signal::Ask));
    let (draft, question) = ask(&mut lease, 20);
    answer(&mut lease, draft, &Lent { left: 0, ..lent(&question, 2, 0) }, 20, 25);
    assert_eq!(lease.take(limit, PATIENT, Monotonic(30), 1, Patience::New), (TAKEN, Signal::Silent));
    lease
}

#[test]
fn who_comes_just_after_nothing_was_found_waits_and_is_asked_for_once_others_had_time_to_give_back() {
    let mut lease = in_vain(limit());
    let needy = |lease: &mut Lease, now| lease.take(limit(), PATIENT, Monotonic(now), 1, Patience::New);
    assert_eq!(needy(&mut lease, 30), (Taking::Wait, Signal::Silent));
    assert_eq!(needy(&mut lease, 224), (Taking::Wait, Signal::Silent));
    assert_eq!(lease.settles_after(Monotonic(30), FRESH), 195);
    assert_eq!(lease.settles_after(Monotonic(225), FRESH), 0);
    let (draft, question) = ask(&mut lease, 225);
    assert_eq!((question.need, question.least), (1, 1));
    answer(&mut lease, draft, &Lent { granted: 2, ..nothing_yet(&question) }, 225, 230);
    let told = Taking::Refused { wait: 4999, basis: Basis::Quota };
    assert_eq!(needy(&mut lease, 231).0, told, "a crowd has waited for others by now");
}

#[test]
fn a_question_that_was_put_off_and_is_lost_is_put_again() {
    let mut lease = in_vain(limit());
    let needy = |lease: &mut Lease, now| lease.take(limit(), PATIENT, Monotonic(now), 1, Patience::New);
    assert_eq!(needy(&mut lease, 40), (Taking::Wait, Signal::Silent));
    assert!(!lease.has_news(Monotonic(474)));
    assert!(lease.has_news(Monotonic(475)));
    assert_eq!(needy(&mut lease, 475), (Taking::Wait, Signal::Ask));
}

#[test]
fn where_nothing_is_to_be_settled_a_question_is_put_at_once_because_nobody_looks_there() {
    let mut lease = holding(1);
    assert_eq!(lease.take(limit(), PATIENT, Monotonic(20), 1, Patience::New), (TAKEN, Signal::Ask));
    let (draft, question) = ask(&mut lease, 20);
    answer(&mut lease, draft, &Lent { left: 0, ..lent(&question, 1, 0) }, 20, 25);
    assert!(lease.is_at_rest());
    assert_eq!(lease.take(limit(), PATIENT, Monotonic(30), 1, Patience::New), (Taking::Wait, Signal::Ask));
}

#[test]
fn a_lone_node_asks_at_once_because_nobody_could_give_anything_back() {
    let mut lease = in_vain(limit());
    let alone = Fleet { nodes: NonZeroU32::new(1), ..PATIENT };
    assert_eq!(lease.take(limit(), alone, Monotonic(40), 1, Patience::New), (Taking::Wait, Signal::Ask));
}

#[test]
fn a_crowd_whose_question_was_put_off_hopes_where_others_hold_twice_what_it_needs() {
    for (held, taking) in [(3, Taking::Refused { wait: 4999, basis: Basis::Quota }), (4, Taking::Wait)] {
        let mut lease = in_vain(limit());
        for _ in 0..2 {
            let _ = lease.take(limit(), PATIENT, Monotonic(40), 1, Patience::New);
        }
        let (draft, question) = ask(&mut lease, 225);
        answer(&mut lease, draft, &Lent { granted: 2, held, ..nothing_yet(&question) }, 225, 230);
        assert_eq!(lease.take(limit(), PATIENT, Monotonic(231), 1, Patience::Left).0, taking, "{held}");
    }
}

#[test]
fn who_may_not_wait_for_a_second_is_asked_for_at_once() {
    let mut lease = in_vain(limit());
    let hasty = Fleet { wait: 999, ..FLEET };
    assert_eq!(lease.take(limit(), hasty, Monotonic(40), 1, Patience::New), (Taking::Wait, Signal::Ask));
}

#[test]
fn of_a_short_window_nothing_is_put_off_because_it_would_be_much_of_it() {
    let strict = |window| Limit { promise: Promise::Strict, ..Limit::bucket(300, window) };
    for (window, signal) in [(25, Signal::Ask), (26, Signal::Silent)] {
        let mut lease = in_vain(strict(window));
        let needy = lease.take(strict(window), PATIENT, Monotonic(40), 1, Patience::New);
        assert_eq!(needy, (Taking::Wait, signal), "{window}");
    }
}

#[test]
fn nothing_is_put_off_beyond_the_time_when_tokens_come_back() {
    for (wait_ms, signal) in [(204, Signal::Ask), (205, Signal::Silent)] {
        let mut lease = holding(2);
        let _ = lease.take(limit(), PATIENT, Monotonic(20), 1, Patience::New);
        let (draft, question) = ask(&mut lease, 20);
        answer(&mut lease, draft, &Lent { left: 0, ..lent(&question, 2, wait_ms) }, 20, 25);
        assert_eq!(lease.take(limit(), PATIENT, Monotonic(30), 1, Patience::New).0, TAKEN);
        assert_eq!(lease.take(limit(), PATIENT, Monotonic(40), 1, Patience::New), (Taking::Wait, signal), "{wait_ms}");
    }
}

#[test]
fn a_request_that_has_waited_already_is_not_put_off() {
    let mut lease = in_vain(limit());
    let judged_again = lease.take(limit(), PATIENT, Monotonic(40), 1, Patience::Left);
    assert_eq!(judged_again, (Taking::Wait, Signal::Ask));
}

#[test]
fn a_question_that_was_put_off_is_due_also_if_the_limit_changes_meanwhile() {
    let mut lease = in_vain(limit());
    let _ = lease.take(limit(), PATIENT, Monotonic(40), 1, Patience::New);
    lease.observe(Limit::bucket(400, 300));
    assert_eq!(lease.settles_after(Monotonic(100), FRESH), 125);
}

#[test]
fn a_crowd_that_waits_for_a_late_answer_may_still_hope_for_what_others_hold() {
    let mut lease = cold();
    for _ in 0..2 {
        let _ = lease.take(limit(), PATIENT, Monotonic(10), 1, Patience::New);
    }
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &nothing_yet(&question), 10, 259);
    assert_eq!(lease.take(limit(), PATIENT, Monotonic(260), 1, Patience::Left).0, Taking::Wait);
}

#[test]
fn what_does_not_suffice_for_who_waits_goes_back_while_others_are_hoped_for() {
    let mut lease = holding(2);
    assert_eq!(take(&mut lease, 20, 5).0, Taking::Wait);
    let (draft, question) = ask(&mut lease, 20);
    assert_eq!(question.returned, 0);
    answer(&mut lease, draft, &Lent { granted: 2, ..nothing_yet(&question) }, 20, 30);
    assert_eq!(ask(&mut lease, 330).1.returned, 2);
}

#[test]
fn where_little_is_left_what_is_not_in_use_goes_back_soon() {
    let mut lease = cold();
    let _ = take(&mut lease, 10, 1);
    let (draft, question) = ask(&mut lease, 10);
    answer(&mut lease, draft, &Lent { left: 8, ..lent(&question, 5, 0) }, 10, 20);
    assert_eq!(take(&mut lease, 100, 1).0, TAKEN);
    assert_eq!(lease.settles_after(Monotonic(220), FRESH), 80, "it was in use until 100");
    let question = ask(&mut lease, 300).1;
    assert_eq!((question.spent, question.returned, question.want), (1, 4, 0));
}

#[test]
fn what_was_said_of_a_cheaper_request_while_a_dear_one_waited_is_told_to_nobody() {
    let mut lease = holding(2);
    assert_eq!((take(&mut lease, 15, 1).0, take(&mut lease, 20, 5).0), (TAKEN, Taking::Wait));
    let (draft, question) = ask(&mut lease, 20);
    assert_eq!(question.least, 1);
    answer(&mut lease, draft, &Lent { granted: 2, wait_ms: DAY, ..nothing_yet(&question) }, 20, 30);
    // Others gave back, but not enough.
    let (draft, question) = ask(&mut lease, 220);
    assert_eq!(question.least, 5);
    answer(&mut lease, draft, &Lent { granted: 2, left: 3, ..lent(&question, 2, 9000) }, 220, 230);
    let last = lease.take(limit(), FLEET, Monotonic(230), 5, Patience::Left).0;
    assert_eq!(last, Taking::Refused { wait: 9000, basis: Basis::Quota });
    assert_eq!(take(&mut lease, 240, 1), (Taking::Wait, Signal::Ask));
}

#[test]
fn a_request_that_is_judged_again_is_no_crowd() {
    let fleet = Fleet { wait: 3000, ..FLEET };
    let mut lease = cold();
    assert_eq!(lease.take(limit(), fleet, Monotonic(10), 1, Patience::New).0, Taking::Wait);
    for now in [1010, 2010] {
        let reminded = lease.take(limit(), fleet, Monotonic(now), 1, Patience::Left);
        assert_eq!(reminded, (Taking::Wait, Signal::Ask));
    }
    let (draft, question) = ask(&mut lease, 2011);
    answer(&mut lease, draft, &nothing_yet(&question), 2011, 2020);
    let told = lease.take(limit(), fleet, Monotonic(2510), 1, Patience::Over(Monotonic(10))).0;
    let taking = lease.take(limit(), fleet, Monotonic(3010), 1, Patience::Over(Monotonic(10))).0;
    assert_eq!(told, Taking::Refused { wait: DAY - 490, basis: Basis::Quota });
    assert_eq!(taking, Taking::Refused { wait: DAY - 990, basis: Basis::Quota });
}

#[test]
fn a_client_that_comes_again_while_nobody_answers_is_no_crowd() {
    let mut lease = cold();
    assert_eq!(take(&mut lease, 10, 1).0, Taking::Wait);
    let share = |wait| Taking::Refused { wait, basis: Basis::Share };
    assert_eq!(last_chance(&mut lease, 510), share(3000));
    assert_eq!(take(&mut lease, 1510, 1).0, share(2000));
    let (draft, question) = ask(&mut lease, 1600);
    answer(&mut lease, draft, &Lent { held: 0, ..nothing_yet(&question) }, 1600, 1610);
    assert_eq!(take(&mut lease, 1610, 1).0, Taking::Refused { wait: DAY, basis: Basis::Quota });
}

#[test]
fn an_outage_while_others_are_hoped_for_is_one() {
    let fleet = Fleet { wait: 9000, ..FLEET };
    let mut lease = hoping();
    let told = lease.take(limit(), fleet, Monotonic(9010), 1, Patience::Over(Monotonic(10))).0;
    assert_eq!(told, Taking::Refused { wait: 3000, basis: Basis::Share });
}

#[test]
fn of_what_was_left_a_second_ago_nothing_is_told_unless_the_node_is_alone() {
    let lease = holding(9);
    let told = |now, nodes| lease.left(Monotonic(now), Fleet { nodes: NonZeroU32::new(nodes), ..FLEET }).tokens;
    assert_eq!((told(1011, 2), told(1012, 2)), (9 + 100 - 38, 9));
    assert_eq!((told(4000, 1), told(4000, 0)), (109, 9));
}
