//! The script against the arithmetic that it repeats, and what happens when Valkey is not there.

use std::{collections::BTreeMap, time::Instant};

use redis::IntoConnectionInfo;
use tollkeeper_contract::lease::Promise;

use super::{Call, PATIENCE, SCRIPT, Valkey, arguments, read};
use crate::{
    domain::{
        NodeName,
        quota::{
            Book, Claim, Lending, Opening,
            tests::node::{Node, Terms},
        },
    },
    quota::{Asker, Books, Settled},
};

const TERMS: Terms = Terms { limit: 100, window: 100, promise: Promise::Bucket };

/// A Valkey that runs, and books there.
async fn started() -> (lab::valkey::Valkey, Valkey) {
    let server = lab::valkey::Valkey::start().await.unwrap();
    let books = Valkey::new(server.url().into_connection_info().unwrap());
    (server, books)
}

fn asker(node: &str) -> Asker {
    Asker { instance: "default".into(), node: NodeName::parse(node).unwrap() }
}

async fn asks(books: &Valkey, node: &mut Node, need: u32) -> Result<Settled, String> {
    let claim = node.claim(TERMS, need, need);
    let settled = books.settle(&asker(&node.name), &[claim], Lending::Lends).await?.settled.remove(0);
    node.learns(&settled.lent);
    Ok(settled)
}

/// Books whose clock is told with each claim; the script is otherwise the same.
struct Timed(Valkey);

impl Timed {
    fn new(server: &lab::valkey::Valkey) -> Self {
        const CLOCK: &str = "local now = redis.call('TIME')\n";
        assert_eq!(SCRIPT.matches(CLOCK).count(), 1);
        let source = SCRIPT.replace(CLOCK, "local now = { ARGV[16], ARGV[17] }\n");
        Self(Valkey::running(server.url().into_connection_info().unwrap(), source))
    }

    async fn settle(&self, node: &str, claim: &Claim, clock: u64, lending: Lending) -> Books {
        let mut words = arguments(&asker(node), claim, lending);
        words.push((clock / 1000).to_string().into_bytes());
        words.push((clock % 1000 * 1000).to_string().into_bytes());
        read(std::slice::from_ref(claim), self.0.carry_out(&[Call::Script(words)]).await.unwrap())
    }
}

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// One account's fleet, at random.
struct Fleet {
    dice: Dice,
    clock: u64,
    terms: Terms,
    nodes: Vec<Node>,
    /// Questions that were sent before: the network may bring them again.
    sent: Vec<(String, Claim)>,
}

impl Fleet {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let terms = random_terms(&mut dice);
        let clock = 1_700_000_000_000 + dice.below(1 << 40);
        let nodes = ["a", "b#1", "c:d"].map(Node::new).to_vec();
        Self { dice, clock, terms, nodes, sent: Vec::new() }
    }

    /// Something happens, and a question is on its way.
    fn next(&mut self) -> (usize, String, Claim, Lending) {
        let step = self.dice.of(&[0, 0, 1, 7, 100, 999, 5_499, 5_500, 60_000, 700_000]);
        self.clock += self.dice.below(step + 1);
        if self.dice.below(20) == 0 {
            self.clock -= self.dice.below(10_000);
        }
        if self.dice.below(15) == 0 {
            self.terms = random_terms(&mut self.dice);
        }
        let index = usize::try_from(self.dice.below(3)).unwrap();
        if self.dice.below(5) == 0 && !self.sent.is_empty() {
            let (node, claim) = self.sent[usize::try_from(self.dice.below(self.sent.len() as u64)).unwrap()].clone();
            return (usize::MAX, node, claim, Lending::Lends);
        }
        let dice = &mut self.dice;
        let node = &mut self.nodes[index];
        let spent = dice.below(node.balance() + 1);
        node.spends(spent);
        if dice.below(4) == 0 {
            node.returns(dice.below(node.balance() + 1));
        }
        if dice.below(8) == 0 {
            node.overdraws(dice.below(10));
        }
        let limit = self.terms.limit;
        let most = dice.of(&[1, 3, limit / 4, limit, limit.saturating_add(1)]);
        let need = u32::try_from(dice.below(u64::from(most) + 1)).unwrap();
        let want = u32::try_from(dice.below(u64::from(most) + 1)).unwrap();
        let least = u32::try_from(dice.below(u64::from(need) + 1)).unwrap().max(1);
        let claim = node.claim_from(self.terms, least, need, want);
        self.sent.push((node.name.clone(), claim.clone()));
        let lending = if dice.below(10) == 0 { Lending::OnlySettles } else { Lending::Lends };
        (index, node.name.clone(), claim, lending)
    }
}

fn random_terms(dice: &mut Dice) -> Terms {
    let limit = dice.of(&[1, 2, 7, 300, 1_000_000, u32::MAX]);
    Terms {
        limit,
        window: dice.of(&[1, 60, 300, 3_600, 2_678_400]),
        promise: dice.of(&[Promise::Bucket, Promise::Strict]),
    }
}

#[tokio::test]
async fn the_script_answers_as_the_arithmetic_does_whatever_happens() {
    let server = lab::valkey::Valkey::start().await.unwrap();
    let timed = Timed::new(&server);
    for seed in 0..25 {
        let mut fleet = Fleet::new(seed);
        let is_full = seed % 2 == 0;
        server.command("FLUSHALL").await.unwrap();
        if is_full {
            timed.0.begin_full().await.unwrap();
        }
        let mut book = None;
        for step in 0..200 {
            let (index, name, claim, lending) = fleet.next();
            let opening = if is_full { Opening::Full } else { Opening::EmptySince(fleet.clock) };
            let book = book.get_or_insert_with(|| Book::open(&claim, opening, fleet.clock));
            let before = book.granted(&name).max(claim.ask().granted);
            let lent = book.settle(&claim, &name, fleet.clock, lending);
            let grant = lent.granted.saturating_sub(before);
            let there = timed.settle(&name, &claim, fleet.clock, lending).await;
            let expected = [Settled { lent: lent.clone(), grant }];
            assert_eq!(there.settled, expected, "seed {seed}, step {step}: {claim:?} at {} in {book:?}", fleet.clock);
            assert_eq!(there.begin, !is_full && step == 0);
            // Some answers are lost.
            if index < 3 && fleet.dice.below(6) > 0 {
                fleet.nodes[index].learns(&lent);
            }
        }
    }
}

#[tokio::test]
async fn whoever_finds_its_books_gone_begins_with_nothing() {
    let (mut server, books) = started().await;
    books.begin_full().await.unwrap();
    let mut node = Node::new("a");
    assert_eq!(asks(&books, &mut node, 60).await.unwrap().grant, 60);
    server.restart().await.unwrap();
    let mut other = Node::new("b");
    let settled = asks(&books, &mut other, 50).await.unwrap();
    assert_eq!((settled.grant, settled.lent.left), (0, 0));
    assert!(settled.lent.wait_ms > 45_000, "{settled:?}");
    assert_eq!(asks(&books, &mut node, 60).await.unwrap().lent.void, 0, "it keeps what it was lent");
}

#[tokio::test]
async fn a_valkey_that_is_gone_is_an_error_and_found_again_when_it_is_back() {
    let (mut server, books) = started().await;
    books.begin_full().await.unwrap();
    let mut node = Node::new("a");
    server.kill().unwrap();
    asks(&books, &mut node, 1).await.unwrap_err();
    asks(&books, &mut node, 1).await.unwrap_err();
    server.restart().await.unwrap();
    asks(&books, &mut node, 1).await.unwrap();
}

#[tokio::test]
async fn a_valkey_that_is_silent_is_not_waited_for_long() {
    let (mut server, books) = started().await;
    books.begin_full().await.unwrap();
    let mut node = Node::new("a");
    asks(&books, &mut node, 1).await.unwrap();
    server.pause().unwrap();
    let began = Instant::now();
    asks(&books, &mut node, 5).await.unwrap_err();
    assert!(began.elapsed() < 4 * PATIENCE, "{:?}", began.elapsed());
    server.resume().unwrap();
    // What was sent meanwhile is carried out once, whether or not anybody saw the answer.
    asks(&books, &mut node, 5).await.unwrap();
    assert_eq!(node.granted, 5);
}

#[tokio::test]
async fn books_are_forgotten_by_themselves_and_the_beginning_of_memory_is_not() {
    let (server, books) = started().await;
    books.begin_full().await.unwrap();
    asks(&books, &mut Node::new("a"), 1).await.unwrap();
    let keys = keys(&books).await;
    assert_eq!(keys.len(), 65);
    for key in keys {
        let answer = server.command(&format!("PTTL {key}")).await.unwrap();
        let left: i64 = answer.trim_start_matches(':').parse().unwrap();
        // Two windows and twenty minutes.
        assert!(
            if key.ends_with("born") { left == -1 } else { (1_390_000..=1_400_000).contains(&left) },
            "{key} {left}"
        );
    }
}

#[tokio::test]
async fn in_a_cluster_all_of_an_account_is_in_one_slot() {
    let server = lab::valkey::Valkey::start_with(&["--cluster-enabled", "yes"]).await.unwrap();
    assert_eq!(server.command("CLUSTER ADDSLOTSRANGE 0 16383").await.unwrap(), "+OK");
    let books = Valkey::new(server.url().into_connection_info().unwrap());
    let ready = async || books.begin_full().await.ok();
    lab::poll::wait_until("the cluster is ready", std::time::Duration::from_secs(10), ready).await.unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(asks(&books, &mut Node::new(name), 10).await.unwrap().grant, 10);
    }
    assert!(matches!(books.link().await.unwrap().0, super::Link::Cluster(_)));
}

#[tokio::test]
async fn many_accounts_are_settled_at_the_same_time() {
    let (_server, books) = started().await;
    books.begin_full().await.unwrap();
    let claims: Vec<_> = (0..500)
        .map(|number| {
            let mut ask = Node::new("a").claim(TERMS, 1, 10).ask().clone();
            ask.account = tollkeeper_contract::lease::Account::Team(format!("team-{number}"));
            Claim::read(ask).unwrap()
        })
        .collect();
    let settled = books.settle(&asker("a"), &claims, Lending::Lends).await.unwrap().settled;
    assert!(settled.iter().all(|settled| settled.grant == 10));
    let accounts: BTreeMap<_, _> = settled.iter().map(|settled| (&settled.lent.account, ())).collect();
    assert_eq!(accounts.len(), 500);
}

#[tokio::test]
async fn a_valkey_that_may_forget_is_told_of() {
    let server = lab::valkey::Valkey::start_with(&["--maxmemory-policy", "allkeys-lru"]).await.unwrap();
    let books = Valkey::new(server.url().into_connection_info().unwrap());
    assert!(books.check().await.unwrap_err().contains("allkeys-lru"));
    let (_server, books) = started().await;
    books.check().await.unwrap();
}

async fn keys(books: &Valkey) -> Vec<String> {
    let found: Vec<Vec<String>> =
        books.carry_out(&[Call::Plain(redis::cmd("KEYS").arg("*").to_owned())]).await.unwrap();
    found.into_iter().flatten().collect()
}
