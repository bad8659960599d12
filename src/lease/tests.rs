//! What a node does with what it is lent; with a lender who keeps books by the sums that it is told.

use std::num::NonZeroU32;

use proptest::prelude::*;
use tollkeeper_contract::lease::{Account, Ask, Lent};

use super::{Basis, Draft, Fleet, Lease, Patience, Reply, Signal, Taking};
use crate::{config::Fallback, limiter::Limit, time::Monotonic};

const TERM: u64 = 5000;
const FLEET: Fleet = Fleet { wait: 500, fallback: Fallback::Share, nodes: NonZeroU32::new(3) };

fn limit() -> Limit {
    Limit::bucket(300, 300)
}

fn cold() -> Lease {
    Lease::cold(limit(), Monotonic(0))
}

fn take(lease: &mut Lease, now: u64, cost: u32) -> (Taking, Signal) {
    lease.take(limit(), FLEET, Monotonic(now), cost, Patience::Left)
}

fn ask(lease: &mut Lease, now: u64) -> (Draft, Ask) {
    let draft = lease.ask(Monotonic(now));
    (draft, lease.to_ask(Account::Team("acme".into()), draft))
}

fn lent(ask: &Ask, granted: u64, wait_ms: u64) -> Lent {
    Lent { account: ask.account.clone(), seq: ask.seq, granted, void: ask.void, left: 0, wait_ms }
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
    let (draft, question) = ask(&mut lease, 2510);
    assert_eq!((question.spent, question.returned), (1, 0));
    answer(&mut lease, draft, &lent(&question, 8, 0), 2510, 2512);
    let (draft, question) = ask(&mut lease, 5010);
    assert_eq!((question.spent, question.returned, question.want), (1, 7, 0));
    answer(&mut lease, draft, &lent(&question, 8, 0), 5010, 5012);
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
    assert_eq!(take(&mut lease, 719, 1), refused(1));
    assert_eq!(take(&mut lease, 720, 1), (Taking::Wait, Signal::Ask));
    assert_eq!(take(&mut lease, 720, 301), refused(u64::MAX));
    // What was said a second ago may have changed, when another node has given back what it did not need.
    let mut other = cold();
    let _ = take(&mut other, 10, 1);
    let (draft, question) = ask(&mut other, 10);
    answer(&mut other, draft, &lent(&question, 0, 70_000), 10, 20);
    assert_eq!(take(&mut other, 1019, 1), refused(69_001));
    assert_eq!(take(&mut other, 1020, 1), (Taking::Wait, Signal::Ask));
    // What is said of an old limit does not hold for a new one.
    answer(&mut lease, draft, &lent(&question, 0, 700), 10, 20);
    let taking = lease.take(Limit::bucket(600, 300), FLEET, Monotonic(30), 1, Patience::Left);
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
    let mut lease = holding(8);
    assert_eq!(ask(&mut lease, 13).1.returned, 0);
    assert_eq!(ask(&mut lease, 112).1.returned, 8);
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
    for now in [200, 400] {
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
        let mut take = |now| lease.take(limit(), fleet, Monotonic(now), 1, Patience::Left).0;
        assert_eq!(take(0), Taking::Wait);
        assert_eq!(take(500), Taking::Unavailable);
    }
}

#[test]
fn a_share_of_less_than_one_token_is_one_in_a_longer_time() {
    let fleet = Fleet { nodes: NonZeroU32::new(7), ..FLEET };
    let mut lease = Lease::cold(Limit::bucket(2, 10), Monotonic(0));
    let mut take = |now| lease.take(Limit::bucket(2, 10), fleet, Monotonic(now), 1, Patience::Left).0;
    take(0);
    assert_eq!(take(500), Taking::Refused { wait: 36_000, basis: Basis::Share });
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
        assert_eq!(lease.take(limit(), fleet, Monotonic(7), 1, Patience::Left).0, Taking::Wait);
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
    assert_eq!(take(&mut lease, 999, 1).1, Signal::Silent);
    assert_eq!(take(&mut lease, 1000, 1).1, Signal::Ask);
    assert_eq!(take(&mut lease, 11_000, 1), (Taking::Wait, Signal::Ask));
}

/// What is under way between a node and its lender.
enum Message {
    Ask(Draft, Ask, u64),
    Lent(Draft, Lent, u64),
}

#[derive(Debug, Clone)]
enum Step {
    Take(u32),
    Ask,
    /// Something under way arrives, stays under way (and so arrives twice), or is lost.
    Arrive(prop::sample::Index),
    Repeat(prop::sample::Index),
    Lose(prop::sample::Index),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (1..4_u32).prop_map(Step::Take),
        2 => Just(Step::Ask),
        3 => any::<prop::sample::Index>().prop_map(Step::Arrive),
        1 => any::<prop::sample::Index>().prop_map(Step::Repeat),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        2 => (0..3000_u64).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

/// A lender who gives what is wanted, and takes nothing back by itself.
#[derive(Default)]
struct Lender {
    seq: u64,
    granted: u64,
    spent: u64,
    returned: u64,
}

impl Lender {
    fn hear(&mut self, ask: &Ask) -> Lent {
        if ask.seq > self.seq {
            self.seq = ask.seq;
            (self.spent, self.returned) = (ask.spent, ask.returned);
            let outstanding = self.granted - self.spent - self.returned;
            self.granted += u64::from(ask.want.max(ask.need)).saturating_sub(outstanding);
        }
        lent(ask, self.granted, 0)
    }
}

proptest! {
    /// Whatever is lost, doubled or overtaken: what was spent was lent, and the books agree in the end.
    #[test]
    fn messages_that_are_lost_doubled_or_overtaken_neither_mint_nor_lose_tokens(steps in steps()) {
        let (mut lease, mut lender, mut under_way) = (cold(), Lender::default(), Vec::new());
        let (mut now, mut spent) = (0, 0);
        for step in steps {
            match step {
                Step::Pass(time) => now += time,
                Step::Take(cost) => {
                    if lease.take(limit(), Fleet { fallback: Fallback::Refuse, ..FLEET }, Monotonic(now), cost, Patience::Left).0 == TAKEN {
                        spent += u64::from(cost);
                    }
                }
                Step::Ask => {
                    let (draft, question) = ask(&mut lease, now);
                    under_way.push(Message::Ask(draft, question, now));
                }
                Step::Lose(_) | Step::Arrive(_) | Step::Repeat(_) if under_way.is_empty() => {}
                Step::Lose(which) => drop(under_way.swap_remove(which.index(under_way.len()))),
                Step::Arrive(which) | Step::Repeat(which) => {
                    let place = which.index(under_way.len());
                    match &under_way[place] {
                        Message::Ask(draft, question, sent) => {
                            let lent = lender.hear(question);
                            let message = Message::Lent(*draft, lent, *sent);
                            if matches!(step, Step::Arrive(_)) { under_way[place] = message } else { under_way.push(message) }
                        }
                        Message::Lent(draft, lent, sent) => {
                            answer(&mut lease, *draft, lent, *sent, now);
                            if matches!(step, Step::Arrive(_)) { under_way.swap_remove(place); }
                        }
                    }
                }
            }
            prop_assert!(spent + lease.balance(Monotonic(now)) <= lender.granted - lender.returned);
        }
        // When all is quiet, one exchange brings the books together, and another gives everything back.
        for _ in 0..2 {
            now += TERM;
            let (draft, question) = ask(&mut lease, now);
            let lent = lender.hear(&question);
            answer(&mut lease, draft, &lent, now, now);
        }
        let (_, question) = ask(&mut lease, now + 2 * TERM);
        lender.hear(&Ask { want: 0, need: 0, ..question });
        prop_assert_eq!((lender.spent, lender.granted - lender.returned), (spent, spent));
    }

    #[test]
    fn a_lease_comes_back_as_it_went_with_what_follows_it(times in prop::collection::vec(0..900_u64, 1..20)) {
        let mut lease = cold();
        let mut now = 1;
        for (number, time) in times.into_iter().enumerate() {
            now += time;
            let _ = take(&mut lease, now, 1);
            if number % 3 == 0 {
                let (draft, question) = ask(&mut lease, now);
                answer(&mut lease, draft, &lent(&question, 2, time % 2), now, now);
            }
        }
        let mut bytes = Vec::new();
        lease.encode(&mut bytes);
        for cut in 0..bytes.len() {
            prop_assert_eq!(Lease::decode(&bytes[..cut]), None);
        }
        bytes.extend(b"rest");
        prop_assert_eq!(Lease::decode(&bytes), Some((lease, &b"rest"[..])));
    }

    #[test]
    fn any_bytes_are_read_and_used_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 140..220), now: u64) {
        // With a limit and a promise that are some, so that the rest is reached.
        let bytes = [&[9, 0, 0, 0, 9, 0, 0, 0, 0], bytes.as_slice()].concat();
        if let Some((mut lease, _)) = Lease::decode(&bytes) {
            let _ = lease.take(limit(), FLEET, Monotonic(now), 1, Patience::Left);
            let draft = lease.ask(Monotonic(now));
            let question = lease.to_ask(Account::Team("a".into()), draft);
            answer(&mut lease, draft, &lent(&question, u64::MAX, u64::MAX), now, now);
            let _ = (lease.left(Monotonic(now)), lease.is_at_rest());
        }
    }
}
