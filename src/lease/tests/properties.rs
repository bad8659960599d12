//! Lives of a lease at random, with a lender who keeps books by the sums that it is told.

use proptest::prelude::*;
use tollkeeper_contract::lease::{Account, Ask, Lent};

use super::{FLEET, TAKEN, TERM, answer, ask, cold, lent, limit, take};
use crate::{
    config::Fallback,
    lease::{Draft, Fleet, Lease, Patience},
    time::Monotonic,
};

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
                    if lease.take(limit(), Fleet { fallback: Fallback::Refuse, ..FLEET }, Monotonic(now), cost, Patience::New).0 == TAKEN {
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
            let _ = lease.take(limit(), FLEET, Monotonic(now), 1, Patience::New);
            let draft = lease.ask(Monotonic(now));
            let question = lease.to_ask(Account::Team("a".into()), draft);
            answer(&mut lease, draft, &lent(&question, u64::MAX, u64::MAX), now, now);
            let _ = (lease.left(Monotonic(now), FLEET), lease.is_at_rest());
        }
    }
}
