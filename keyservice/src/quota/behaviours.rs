//! What holds of books wherever they are kept: one list, run against each place.

use redis::IntoConnectionInfo;
use tollkeeper_contract::lease::{Account, Promise};

use super::{Asker, Keeper, Memory, Settled, Valkey};
use crate::domain::{
    NodeName,
    quota::{
        Claim, Lending,
        tests::node::{Node, Terms},
    },
};

/// Nothing comes back while a test runs.
const TERMS: Terms = Terms { limit: 100, window: 2_678_400, promise: Promise::Bucket };

macro_rules! behaviours {
    ($($name:ident,)+) => {
        mod in_memory {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(super::Keeper::Memory(super::Memory::new())).await;
                }
            )+
        }

        mod in_valkey {
            $(
                #[tokio::test]
                async fn $name() {
                    let server = lab::valkey::Valkey::start().await.unwrap();
                    let books = super::Valkey::new(super::IntoConnectionInfo::into_connection_info(server.url()).unwrap());
                    super::$name(super::Keeper::Valkey(Box::new(books))).await;
                }
            )+
        }
    };
}

behaviours! {
    a_quota_is_lent_once_over_all_nodes,
    a_strict_quota_is_lent_once_over_all_nodes,
    a_question_that_is_doubled_lends_nothing_more,
    a_question_that_was_overtaken_settles_nothing,
    what_one_node_gives_back_is_lent_to_another,
    what_was_overdrawn_is_debited_and_only_once,
    while_books_are_only_settled_nothing_is_lent,
    a_raised_limit_and_another_promise_give_nobody_a_fresh_quota,
    what_costs_more_than_the_quota_never_comes,
    accounts_and_instances_have_books_of_their_own,
    where_memory_begins_late_everybody_has_nothing,
}

impl Keeper {
    async fn full(self) -> Self {
        match &self {
            Self::Memory(memory) => memory.begin_full(),
            Self::Valkey(valkey) => valkey.begin_full().await.unwrap(),
        }
        self
    }

    async fn settle(&self, instance: &str, node: &str, claims: &[Claim], lending: Lending) -> Vec<Settled> {
        let asker = Asker { instance: instance.into(), node: NodeName::parse(node).unwrap() };
        let books = match self {
            Self::Memory(memory) => memory.settle(&asker, claims, lending).unwrap(),
            Self::Valkey(valkey) => valkey.settle(&asker, claims, lending).await.unwrap(),
        };
        books.settled
    }

    /// The node asks, and hears the answer; says how much was lent by it.
    async fn lend(&self, node: &mut Node, terms: Terms, want: u32) -> u64 {
        let claim = node.claim(terms, 1, want);
        let settled = self.settle("default", &node.name, &[claim], Lending::Lends).await.remove(0);
        node.learns(&settled.lent);
        settled.grant
    }

    /// All that these nodes can get, which they spend at once.
    async fn drain(&self, nodes: &mut [Node], terms: Terms) -> u64 {
        let mut sum = 0;
        for _ in 0..20 {
            for node in &mut *nodes {
                let grant = self.lend(node, terms, 100).await;
                node.spends(grant);
                sum += grant;
            }
        }
        sum
    }
}

fn nodes() -> Vec<Node> {
    ["a", "b", "c"].map(Node::new).to_vec()
}

async fn a_quota_is_lent_once_over_all_nodes(books: Keeper) {
    assert_eq!(books.full().await.drain(&mut nodes(), TERMS).await, 100);
}

async fn a_strict_quota_is_lent_once_over_all_nodes(books: Keeper) {
    let terms = Terms { promise: Promise::Strict, ..TERMS };
    assert_eq!(books.full().await.drain(&mut nodes(), terms).await, 100);
}

async fn a_question_that_is_doubled_lends_nothing_more(books: Keeper) {
    let (books, mut node) = (books.full().await, Node::new("a"));
    let claim = node.claim(TERMS, 1, 10);
    for _ in 0..3 {
        let settled = books.settle("default", "a", std::slice::from_ref(&claim), Lending::Lends).await.remove(0);
        assert_eq!(settled.lent.granted, 10);
    }
    node.granted = 10;
    node.spends(10);
    assert_eq!(books.drain(&mut [node], TERMS).await, 90);
}

async fn a_question_that_was_overtaken_settles_nothing(books: Keeper) {
    let (books, mut node) = (books.full().await, Node::new("a"));
    books.lend(&mut node, TERMS, 10).await;
    let late = node.claim(TERMS, 1, 50);
    node.spends(10);
    assert_eq!(books.lend(&mut node, TERMS, 10).await, 10);
    let settled = books.settle("default", "a", &[late], Lending::Lends).await.remove(0);
    assert_eq!((settled.grant, settled.lent.granted), (0, 20));
}

async fn what_one_node_gives_back_is_lent_to_another(books: Keeper) {
    let (books, mut idle, other) = (books.full().await, Node::new("idle"), Node::new("other"));
    assert_eq!(books.lend(&mut idle, TERMS, 100).await, 50);
    idle.returns(idle.balance());
    let claim = idle.claim(TERMS, 0, 0);
    books.settle("default", "idle", &[claim], Lending::Lends).await;
    assert_eq!(books.drain(&mut [other], TERMS).await, 100);
}

async fn what_was_overdrawn_is_debited_and_only_once(books: Keeper) {
    let (books, mut node) = (books.full().await, Node::new("a"));
    node.overdraws(30);
    let claim = node.claim(TERMS, 0, 0);
    for _ in 0..2 {
        books.settle("default", "a", std::slice::from_ref(&claim), Lending::Lends).await;
    }
    assert_eq!(books.drain(&mut [node, Node::new("b")], TERMS).await, 70);
}

async fn while_books_are_only_settled_nothing_is_lent(books: Keeper) {
    let (books, mut node) = (books.full().await, Node::new("a"));
    books.lend(&mut node, TERMS, 10).await;
    node.spends(10);
    node.overdraws(5);
    let claim = node.claim(TERMS, 1, 10);
    let settled = books.settle("default", "a", &[claim], Lending::OnlySettles).await.remove(0);
    assert_eq!((settled.grant, settled.lent.granted), (0, 10));
    node.learns(&settled.lent);
    assert_eq!(books.drain(&mut [node], TERMS).await, 85);
}

async fn a_raised_limit_and_another_promise_give_nobody_a_fresh_quota(books: Keeper) {
    let (books, mut nodes) = (books.full().await, nodes());
    assert_eq!(books.drain(&mut nodes, TERMS).await, 100);
    let raised = Terms { limit: 1000, ..TERMS };
    assert_eq!(books.drain(&mut nodes, raised).await, 0);
    assert_eq!(books.drain(&mut nodes, Terms { promise: Promise::Strict, ..raised }).await, 0);
    assert_eq!(books.drain(&mut nodes, TERMS).await, 0);
}

async fn what_costs_more_than_the_quota_never_comes(books: Keeper) {
    let (books, mut node) = (books.full().await, Node::new("a"));
    let claim = node.claim(TERMS, 101, 101);
    let lent = books.settle("default", "a", &[claim], Lending::Lends).await.remove(0).lent;
    assert_eq!((lent.granted, lent.wait_ms), (0, u64::MAX));
}

async fn accounts_and_instances_have_books_of_their_own(books: Keeper) {
    let books = books.full().await;
    assert_eq!(books.drain(&mut nodes(), TERMS).await, 100);
    let team = Node::new("a").claim(TERMS, 1, 10);
    let enterprise = {
        let mut ask = team.ask().clone();
        ask.account = Account::Enterprise("acme".into());
        Claim::read(ask).unwrap()
    };
    let settled = books.settle("other", "a", &[enterprise.clone(), team], Lending::Lends).await;
    let names: Vec<_> = settled.iter().map(|settled| settled.lent.account.clone()).collect();
    assert_eq!(names, [Account::Enterprise("acme".into()), Account::Team("acme".into())], "in their order");
    assert!(settled.iter().all(|settled| settled.grant == 10), "{settled:?}");
    let settled = books.settle("default", "a", &[enterprise], Lending::Lends).await;
    assert_eq!(settled[0].grant, 10);
}

async fn where_memory_begins_late_everybody_has_nothing(books: Keeper) {
    assert_eq!(books.drain(&mut nodes(), TERMS).await, 0);
    assert_eq!(books.drain(&mut nodes(), Terms { promise: Promise::Strict, ..TERMS }).await, 0);
}
