//! Books against plain models that share no code with them: exact fractions for a bucket, all spends for a window.

use proptest::prelude::*;
use tollkeeper_contract::lease::{Account, Ask, Promise};

use super::super::{Book, Claim, Lending, Opening, TERM_MS};
use super::node::{Node, Terms};

/// A bucket in exact fractions: tokens times the window in milliseconds.
struct ExactBucket {
    level: i128,
    at: u64,
    terms: Terms,
}

impl ExactBucket {
    fn full(terms: Terms, at: u64) -> Self {
        Self { level: i128::from(terms.limit) * window(terms), at, terms }
    }

    fn at(&mut self, clock: u64) {
        let elapsed = clock.saturating_sub(self.at);
        self.at = self.at.max(clock);
        self.level += i128::from(elapsed) * i128::from(self.terms.limit);
        self.level = self.level.min(i128::from(self.terms.limit) * window(self.terms));
    }

    fn change(&mut self, terms: Terms) {
        self.level = (self.level * window(terms) / window(self.terms)).min(i128::from(terms.limit) * window(terms));
        self.terms = terms;
    }

    fn spend(&mut self, tokens: u64) {
        self.level -= i128::from(tokens) * window(self.terms);
    }

    /// Milliseconds until so many tokens are there.
    fn wait(&self, tokens: u32) -> u64 {
        let missing = (i128::from(tokens) * window(self.terms) - self.level).max(0);
        let limit = i128::from(self.terms.limit);
        u64::try_from((missing + limit - 1) / limit).unwrap()
    }
}

fn window(terms: Terms) -> i128 {
    i128::from(terms.window) * 1000
}

/// From 1 an hour to a million a second, and the edges of both numbers.
fn rates() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![
        Just((1, 3600)),
        Just((1_000_000, 1)),
        Just((u32::MAX, 2_678_400)),
        Just((u32::MAX, 1)),
        Just((1, 2_678_400)),
        Just((300, 300)),
        (1..50_u32, 1..10_u32),
    ]
}

/// How a clock goes on: it stands, runs, jumps an hour, or goes back.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 0..50_i64, 0..2_000_i64, Just(3_600_000), -5_000..0_i64, Just(-3_600_000)]
}

/// Where a clock begins: at 0, today, and at the edges of what doubles and whole numbers hold.
fn beginnings() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1_700_000_000_000), Just((1 << 53) - 1_000), Just((1 << 63) - 1_000), Just(1 << 63)]
}

proptest! {
    /// One node that settles at once: it gets a token when, and only when, an exact bucket has one.
    #[test]
    fn a_lone_node_gets_exactly_what_an_exact_bucket_has(
        (limit, window) in rates(), begin in beginnings(),
        steps in proptest::collection::vec((steps(), 0..100_u32, 0..100_u32), 1..150),
        changes in proptest::collection::vec((0..150_usize, rates()), 0..3),
    ) {
        let mut terms = Terms { limit, window, promise: Promise::Bucket };
        let mut node = Node::new("a");
        let mut book = Book::open(&node.claim(terms, 0, 0), Opening::Full, begin);
        let mut exact = ExactBucket::full(terms, begin);
        let mut clock = begin;
        for (index, (step, share, extra)) in steps.into_iter().enumerate() {
            clock = clock.saturating_add_signed(step);
            exact.at(clock);
            if let Some((_, (limit, window))) = changes.iter().find(|(at, _)| *at == index) {
                terms = Terms { limit: *limit, window: *window, ..terms };
                exact.change(terms);
            }
            let cost = u32::try_from(u64::from(terms.limit) * u64::from(share) / 99).unwrap();
            let cost = cost.saturating_add(extra % 3).min(terms.limit);
            let wait = exact.wait(cost);
            let told = node.needs(&mut book, terms, cost, clock);
            // A clock that went back has to catch up first.
            let behind = if wait > 0 { exact.at - clock.min(exact.at) } else { 0 };
            if cost < terms.limit || wait == 0 {
                prop_assert_eq!(told, wait + behind, "{} of {:?}", cost, terms);
            }
            prop_assert!(told >= wait + behind, "{} of {:?}", cost, terms);
            if wait == 0 {
                exact.spend(cost.into());
                node.spends(cost.into());
            }
            node.returns(node.balance());
            node.asks(&mut book, terms, 0, 0, clock);
            prop_assert_eq!(book.granted("a"), node.granted);
        }
    }

    /// One node that settles at once: never more than the limit in any window; tokens come back at most a 64th late.
    #[test]
    fn a_lone_node_gets_what_a_window_has_at_most_a_64th_late(
        (limit, window) in prop_oneof![(1..40_u32, 1..4_u32), Just((1_000_000, 1)), Just((1, 3600)), Just((u32::MAX, 60))],
        begin in beginnings(),
        steps in proptest::collection::vec((steps(), 1..100_u32), 1..150),
    ) {
        let terms = Terms { limit, window, promise: Promise::Strict };
        let length = u64::from(window) * 1000;
        let mut node = Node::new("a");
        let mut book = Book::open(&node.claim(terms, 0, 0), Opening::Full, begin);
        let (mut clock, mut latest) = (begin, begin);
        let mut spends: Vec<(u64, u64)> = Vec::new();
        for (step, share) in steps {
            clock = clock.saturating_add_signed(step);
            latest = latest.max(clock);
            let cost = u32::try_from((u64::from(limit) * u64::from(share) / 99).clamp(1, limit.into())).unwrap();
            let within = |length: u64, spends: &[(u64, u64)]| -> u64 {
                spends.iter().filter(|(at, _)| latest - at <= length).map(|(_, tokens)| tokens).sum()
            };
            if node.needs(&mut book, terms, cost, clock) == 0 {
                node.spends(cost.into());
                spends.push((latest, cost.into()));
                prop_assert!(within(length, &spends) <= limit.into());
            } else {
                let late = length + length / 64 + 1;
                prop_assert!(within(late, &spends) + u64::from(cost) > limit.into(), "it was there");
            }
            node.returns(node.balance());
            node.asks(&mut book, terms, 0, 0, clock);
        }
    }

    /// Whoever waits as told gets it; without other nodes, not a millisecond earlier.
    #[test]
    fn whoever_waits_as_told_gets_it(
        strict: bool, limit in 1..60_u32, window in 1..20_u32, others in 0..3_usize,
        steps in proptest::collection::vec((0..3_000_u64, 0..4_usize, 0..60_u32, 0..100_u64), 1..60),
    ) {
        let promise = if strict { Promise::Strict } else { Promise::Bucket };
        let terms = Terms { limit, window, promise };
        let mut nodes: Vec<_> = ["a", "b", "c", "d"].into_iter().take(others + 1).map(Node::new).collect();
        let mut book = Book::open(&nodes[0].claim(terms, 0, 0), Opening::Full, 0);
        let mut clock = 0;
        for (step, who, cost, share) in steps {
            clock += step;
            let node = &mut nodes[who % (others + 1)];
            let cost = cost.clamp(1, limit);
            let wait = node.needs(&mut book, terms, cost, clock);
            if wait == 0 {
                node.spends(node.balance() * share / 100);
                continue;
            }
            // The client comes back to this node or to another; what a node has once its lease ended, it gives back.
            let nodes = nodes.clone();
            let later = |index: usize, wait: u64| {
                let (mut node, mut book) = (nodes[index].clone(), book.clone());
                if wait >= TERM_MS.into() {
                    node.returns(node.balance());
                }
                node.needs(&mut book, terms, cost, clock + wait) == 0
            };
            for index in 0..nodes.len() {
                prop_assert!(later(index, wait), "{} at {:?}", index, &book);
            }
            if others == 0 && nodes[0].balance() == 0 {
                prop_assert!(!later(0, wait - 1));
            }
        }
    }

    /// Many nodes, whose answers are lost and whose questions come twice and late: never more than was promised.
    #[test]
    fn nothing_that_happens_on_the_way_makes_a_token(
        strict: bool, limit in 1..60_u32, window in 1..20_u32, begin in beginnings().prop_filter("room", |at| *at < 1 << 62),
        steps in proptest::collection::vec((0..9_u8, 0..3_usize, 0..4_000_u64, 0..70_u32), 1..250),
    ) {
        let promise = if strict { Promise::Strict } else { Promise::Bucket };
        let terms = Terms { limit, window, promise };
        let mut fleet = Fleet::new(terms, begin);
        for (event, who, amount, need) in steps {
            fleet.live(event, who, amount, need)?;
        }
    }

    /// A changed limit gives nobody fresh tokens: all that is ever spent was there at first, or came back since.
    #[test]
    fn a_changed_limit_makes_no_tokens(
        first in 1..60_u32, window in 1..20_u32,
        steps in proptest::collection::vec((0..9_u8, 0..3_usize, 0..4_000_u64, 1..70_u32, 1..20_u32), 1..250),
    ) {
        let terms = Terms { limit: first, window, promise: Promise::Bucket };
        let mut fleet = Fleet::new(terms, 0);
        let (mut total, mut since) = (i128::from(first) * 1_000_000, 0);
        for (event, who, amount, need, window) in steps {
            if event == 8 {
                // In millionths, rounded up.
                total += 1 + i128::from(fleet.clock - since) * i128::from(fleet.terms.limit) * 1_000
                    / i128::from(fleet.terms.window);
                since = fleet.clock;
                fleet.terms = Terms { limit: need, window, ..terms };
                fleet.ask(who, 0, 0);
                continue;
            }
            fleet.act(event, who, amount, need);
            let gained = i128::from(fleet.clock - since) * i128::from(fleet.terms.limit) * 1_000
                / i128::from(fleet.terms.window);
            let spent: u64 = fleet.spends.iter().map(|(_, tokens)| tokens).sum();
            prop_assert!(i128::from(spent) * 1_000_000 <= total + gained + 1);
        }
    }

    /// Whatever a node says, at whatever time: an answer, no panic, and nothing beyond the limit.
    #[test]
    fn any_claims_are_survived(
        claims in proptest::collection::vec(
            (any::<[u64; 6]>(), 0..53_u32, any::<[u32; 5]>(), any::<bool>(), any::<u64>(), 0..3_u8), 1..40,
        ),
        begin: u64,
    ) {
        let mut book = None;
        for (counts, bits, [need, want, least, limit, window], strict, clock, who) in claims {
            let [granted, void, spent, returned, overdrawn, settled] = counts.map(|count| count >> (64 - bits).min(63));
            let ask = Ask {
                account: Account::Team("acme".into()), since: 7, seq: clock.max(1), granted, void, spent, returned, overdrawn, settled,
                need, want, least, limit, window: window % 2_678_401,
                promise: if strict { Promise::Strict } else { Promise::Bucket },
            };
            let Ok(claim) = Claim::read(ask) else { continue };
            let book = book.get_or_insert_with(|| Book::open(&claim, Opening::EmptySince(begin), clock));
            let name = who.to_string();
            let before = book.granted(&name).max(granted);
            let lent = book.settle(&claim, &name, clock, Lending::Lends);
            prop_assert!(lent.granted.saturating_sub(before) <= limit.into());
            prop_assert!(lent.left <= limit.into() || clock.max(1) <= lent.seq);
        }
    }
}

/// Three nodes that do as nodes do, on one book. Time is the engine's: it may stand or jump ahead, for nodes alike.
struct Fleet {
    terms: Terms,
    clock: u64,
    book: Book,
    nodes: Vec<(Node, u64)>,
    /// Questions that may come again.
    sent: Vec<(u64, String, Claim)>,
    spends: Vec<(u64, u64)>,
    exact: ExactBucket,
    born: u32,
}

impl Fleet {
    fn new(terms: Terms, clock: u64) -> Self {
        let nodes: Vec<_> = ["a", "b", "c"].into_iter().map(|name| (Node::new(name), 0)).collect();
        let book = Book::open(&Node::new("x").claim(terms, 0, 0), Opening::Full, clock);
        let exact = ExactBucket::full(terms, clock);
        Self { terms, clock, book, nodes, sent: Vec::new(), spends: Vec::new(), exact, born: 0 }
    }

    fn live(&mut self, event: u8, who: usize, amount: u64, need: u32) -> Result<(), TestCaseError> {
        let before = self.spends.len();
        self.act(event, who, amount, need);
        self.exact.at(self.clock);
        for (_, tokens) in self.spends.iter().skip(before) {
            self.exact.spend(*tokens);
        }
        match self.terms.promise {
            Promise::Bucket => prop_assert!(self.exact.level >= 0, "more than an exact bucket has"),
            Promise::Strict => {
                let length = u64::from(self.terms.window) * 1000;
                let within = self.spends.iter().filter(|(at, _)| self.clock - at <= length);
                prop_assert!(within.map(|(_, tokens)| tokens).sum::<u64>() <= self.terms.limit.into());
            }
        }
        Ok(())
    }

    fn act(&mut self, event: u8, who: usize, amount: u64, need: u32) {
        match event {
            0 => self.clock += if amount > 3_990 { 3_600_000 } else { amount },
            1 => self.clock += amount / 100,
            2 | 3 => self.ask(who, need, 0),
            // The answer is lost.
            4 => self.ask(who, need, u64::MAX),
            5 => self.again(usize::try_from(amount).unwrap()),
            6 => self.restart(who),
            _ => self.spend(who, amount),
        }
    }

    /// A node asks, and gets the answer unless `loss` is not 0.
    fn ask(&mut self, who: usize, need: u32, loss: u64) {
        let (node, until) = &mut self.nodes[who];
        if self.clock >= *until {
            node.returns(node.balance());
        }
        let claim = node.claim(self.terms, need, need);
        self.sent.push((self.clock, node.name.clone(), claim.clone()));
        let lent = self.book.settle(&claim, &node.name, self.clock, Lending::Lends);
        if loss == 0 {
            node.learns(&lent);
            *until = self.clock + u64::from(TERM_MS);
        }
    }

    /// A question of the last ten minutes comes once more; nobody hears the answer.
    fn again(&mut self, which: usize) {
        self.sent.retain(|(at, ..)| self.clock - at < 600_000);
        if let Some((_, name, claim)) = self.sent.get(which % self.sent.len().max(1)) {
            self.book.settle(claim, name, self.clock, Lending::Lends);
        }
    }

    /// A node dies with what it has, and another takes its place.
    fn restart(&mut self, who: usize) {
        self.born += 1;
        self.nodes[who] = (Node::new(&format!("n{}", self.born)), 0);
    }

    fn spend(&mut self, who: usize, amount: u64) {
        let (node, until) = &mut self.nodes[who];
        let tokens = amount.min(node.balance());
        if self.clock < *until && tokens > 0 {
            node.spends(tokens);
            self.spends.push((self.clock, tokens));
        }
    }
}
