//! The steward asks for leases, and puts what is lent into the cells.

use std::time::Duration;

use tollkeeper_contract::{
    Digest, Hosts, TeamRecord, TenantState,
    lease::{self, Ask, Lent, Question},
    page::{Cursor, Entry, NodeToken, Table},
};

use crate::{
    config::{Fallback, FleetQuotas, Remaining},
    lease::{Fleet, Patience, Taking},
    limiter::Limit,
    policy::Terms,
    principal::Account,
    purse::Scope,
    refusal::Denial,
    shared::memory::Memory,
    steward::{Answer, Call, Errand, Holder, Settings, leases::Leases},
    table::{Company, KeyTable, Names, Order},
    time::Monotonic,
};

const TERM: u32 = 5000;

pub(super) struct Node {
    pub(super) shared: Memory,
    pub(super) names: Names,
    pub(super) leases: Leases,
    pub(super) now: u64,
    /// How many there are.
    pub(super) nodes: u32,
}

pub(super) fn token(text: &str) -> NodeToken {
    NodeToken::parse(text).unwrap()
}

pub(super) fn leases(names: &Names, holder: u64) -> Leases {
    leases_under(Fallback::Share, names, holder)
}

pub(super) fn leases_under(fallback: Fallback, names: &Names, holder: u64) -> Leases {
    let (poll, timeout) = (Duration::from_secs(20), Duration::from_secs(5));
    let (token, node, instance) = (token("a-token-for-nodes"), "n".to_owned(), names.meta());
    let fleet = Some(FleetQuotas { wait_ms: 500, fallback, remaining: Remaining::Fleet });
    let default_limit = Limit::bucket(300, 300);
    Leases::new(Settings { poll, timeout, token, node, instance, default_limit, fleet }, Holder(holder))
}

impl Node {
    /// With the teams `a` to `e`.
    pub(super) fn new() -> Self {
        let names = Names::new("test");
        let node = Self { shared: Memory::default(), leases: leases(&names, 1), names, now: 1000, nodes: 3 };
        for id in ["a", "b", "c", "d", "e"] {
            let mut record = Vec::new();
            let (state, hosts) = (TenantState::Active, Hosts::Shared);
            TeamRecord { id, state, quota: None, enterprise: None, hosts }.encode(&mut record);
            let cursor = Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) };
            node.table().apply(&[Entry { cursor, record: Some(&record) }]).unwrap();
        }
        node
    }

    pub(super) fn table(&self) -> KeyTable<'_, Memory> {
        let limits = Limit::bucket(300, 300).into();
        KeyTable { shared: &self.shared, names: &self.names, limits, now: Monotonic(self.now) }
    }

    /// A request of the team, for one token.
    pub(super) fn take(&self, team: &str) -> Taking {
        const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };
        let scope =
            Scope::Fleet(Fleet { wait: 500, fallback: Fallback::Share, remaining: Remaining::Fleet, nodes: None });
        let order = Order { cost: 1, scope, patience: Patience::New };
        self.table().charge(&Account::Team(team.into()), &TERMS, order).unwrap().taking
    }

    /// Requests of these teams, which find nothing; and the steward hears of them.
    pub(super) fn want(&mut self, teams: &[&str]) {
        for team in teams {
            assert_eq!(self.take(team), Taking::Wait);
            self.leases.ask_for([Account::Team((*team).into())]);
        }
    }

    pub(super) fn call(&mut self) -> Option<Call> {
        let limits = Limit::bucket(300, 300).into();
        let table = KeyTable { shared: &self.shared, names: &self.names, limits, now: Monotonic(self.now) };
        self.leases.next_call(&table)
    }

    pub(super) fn question(&mut self) -> Question {
        let call = self.call().expect("a question");
        assert_eq!((call.method, call.path.as_str()), ("POST", "/node/v1/leases"));
        let question: Question = serde_json::from_slice(&call.body.unwrap()).unwrap();
        assert_eq!(call.errand, Errand::Lend { nonce: question.nonce });
        question
    }

    /// It asks how many nodes there are, and is told.
    pub(super) fn counts(&mut self) {
        let question = self.question();
        assert_eq!(teams(&question), Vec::<&str>::new());
        self.lend(&question, 0);
    }

    pub(super) fn tell(&mut self, nonce: u64, answer: Answer<'_>) {
        let limits = Limit::bucket(300, 300).into();
        let table = KeyTable { shared: &self.shared, names: &self.names, limits, now: Monotonic(self.now) };
        self.leases.on_answer(&table, nonce, &answer).unwrap();
    }

    /// How many nodes there are, as all VMs know.
    pub(super) fn known(&self) -> Option<u32> {
        Company::read(&self.shared, &self.names).unwrap().map(|company| company.nodes.get())
    }

    pub(super) fn company(&self) -> Company {
        Company::read(&self.shared, &self.names).unwrap().unwrap()
    }

    /// What becomes of requests when nobody answers.
    pub(super) fn fallback(&self) -> Fallback {
        let quotas = FleetQuotas { wait_ms: 500, fallback: Fallback::Share, remaining: Remaining::Fleet };
        Company::fleet(Company::read(&self.shared, &self.names).unwrap(), quotas).fallback
    }

    /// An answer that lends as many to each of those asked for.
    pub(super) fn lend(&mut self, question: &Question, granted: u64) {
        let answer = lease::Answer { nodes: self.nodes, ..answer(&question.asks, granted, false) };
        let body = answer.seal(question.nonce, &token("a-token-for-nodes")).unwrap();
        self.tell(question.nonce, Answer::Service { status: 200, body: &body });
    }
}

pub(super) fn answer(asks: &[Ask], granted: u64, only_settles: bool) -> lease::Answer {
    let lent = |ask: &Ask| {
        let (account, seq) = (ask.account.clone(), ask.seq);
        Lent { account, seq, granted, void: 0, left: 100, wait_ms: 0, held: 0 }
    };
    lease::Answer { nodes: 3, term_ms: TERM, only_settles, lent: asks.iter().map(lent).collect() }
}

pub(super) fn teams(question: &Question) -> Vec<&str> {
    let id = |ask: &'_ Ask| match &ask.account {
        lease::Account::Team(id) => id.clone(),
        lease::Account::Enterprise(id) => panic!("{id}"),
    };
    question
        .asks
        .iter()
        .map(id)
        .map(|id| ["a", "b", "c", "d", "e"].into_iter().find(|known| *known == id).unwrap())
        .collect()
}

pub(super) const TAKEN: Taking = Taking::Taken(crate::lease::Basis::Quota);

#[test]
fn all_teams_are_asked_for_in_one_question_and_what_comes_up_meanwhile_in_the_next() {
    let mut node = Node::new();
    node.want(&["a", "b"]);
    let first = node.question();
    assert_eq!(teams(&first), ["a", "b"]);
    node.want(&["c"]);
    assert_eq!(node.call(), None, "one at a time");
    node.lend(&first, 2);
    assert_eq!((node.take("a"), node.take("b"), node.take("c")), (TAKEN, TAKEN, Taking::Wait));
    let second = node.question();
    assert_eq!(teams(&second), ["c"]);
}

#[test]
fn a_question_that_is_refused_or_lost_is_put_again_and_tells_the_sums_of_then() {
    let mut node = Node::new();
    node.want(&["a"]);
    let first = node.question();
    node.lend(&first, 2);
    assert_eq!(node.take("a"), TAKEN);
    node.leases.ask_for([Account::Team("a".into())]);
    let second = node.question();
    assert_eq!((second.asks[0].granted, second.asks[0].spent), (2, 1));
    node.tell(second.nonce, Answer::Service { status: 503, body: b"" });
    assert_eq!(node.call(), None, "not at once");
    assert_eq!(node.take("a"), TAKEN);
    node.now += 100;
    let third = node.question();
    assert_eq!((third.asks[0].spent, third.asks[0].seq), (2, 3));
    // Its answer never comes.
    node.now += 1999;
    assert_eq!(node.call(), None);
    node.now += 1;
    node.counts();
    assert_eq!(node.question().asks[0].seq, 4);
    // Now it comes, too late.
    node.lend(&third, 9);
    assert_ne!(node.take("a"), TAKEN);
}

#[test]
fn an_answer_counts_only_under_the_node_token_and_for_this_very_question() {
    let mut node = Node::new();
    node.want(&["a"]);
    let question = node.question();
    let whole = answer(&question.asks, 5, false);
    let token = token("another-token-for-nodes");
    let forged = whole.seal(question.nonce, &token).unwrap();
    node.tell(question.nonce.wrapping_add(1), Answer::Service { status: 200, body: &forged });
    assert_eq!(node.call(), None, "the question is still under way");
    node.tell(question.nonce, Answer::Service { status: 200, body: &forged });
    assert_eq!(node.take("a"), Taking::Wait);
    node.now += 100;
    node.counts();
    assert_eq!(teams(&node.question()), ["a"]);
}

#[test]
fn a_team_that_the_key_service_does_not_know_is_asked_for_when_it_is_wanted_again_and_not_before() {
    let mut node = Node::new();
    node.want(&["a", "b"]);
    let mut question = node.question();
    question.asks.remove(0);
    node.lend(&question, 5);
    assert_eq!((node.take("a"), node.take("b")), (Taking::Wait, TAKEN));
    node.now += 399;
    assert_eq!(node.call(), None);
    node.want(&["a"]);
    assert_eq!(teams(&node.question()), ["a"]);
}

#[test]
fn while_the_key_service_only_settles_it_is_asked_again_soon() {
    let mut node = Node::new();
    node.want(&["a"]);
    let question = node.question();
    let body = answer(&question.asks, 0, true).seal(question.nonce, &token("a-token-for-nodes")).unwrap();
    node.tell(question.nonce, Answer::Service { status: 200, body: &body });
    node.now += 249;
    assert_eq!(node.call(), None);
    node.now += 1;
    assert_eq!(teams(&node.question()), ["a"]);
}

#[test]
fn a_lone_node_renews_a_lease_before_it_ends_and_gives_it_back_when_it_is_not_in_use() {
    let mut node = Node { nodes: 1, ..Node::new() };
    node.want(&["a"]);
    let question = node.question();
    node.lend(&question, 5);
    assert_eq!(node.take("a"), TAKEN);
    node.now += u64::from(TERM) / 2 - 1;
    node.counts();
    node.now += 1;
    let renewed = node.question();
    assert_eq!((renewed.asks[0].spent, renewed.asks[0].returned), (1, 0));
    node.lend(&renewed, 5);
    node.now += 500;
    let idle = node.question();
    assert_eq!((idle.asks[0].spent, idle.asks[0].returned, idle.asks[0].want), (1, 4, 0));
    node.lend(&idle, 5);
    node.now += u64::from(TERM);
    // Nothing is left to settle.
    node.counts();
}

#[test]
fn beside_others_a_node_hears_again_and_again_what_is_left_of_all_that_it_holds() {
    let mut node = Node::new();
    node.want(&["a", "b"]);
    let question = node.question();
    node.lend(&question, 5);
    for _ in 0..5 {
        assert_eq!(node.take("a"), TAKEN);
        node.now += 399;
        assert_eq!(node.call(), None);
        node.now += 1;
        let question = node.question();
        assert_eq!(teams(&question), ["a", "b"]);
        node.lend(&question, 5);
    }
}

#[test]
fn accounts_that_are_due_at_about_the_same_time_are_settled_together() {
    let mut node = Node::new();
    for team in ["a", "b", "c"] {
        node.want(&[team]);
        let question = node.question();
        node.lend(&question, 5);
        assert_eq!(node.take(team), TAKEN);
        node.now += 15;
    }
    node.now += 355;
    let question = node.question();
    assert_eq!(teams(&question), ["a"]);
    node.lend(&question, 5);
    node.now += 49;
    assert_eq!(node.call(), None);
    node.now += 1;
    assert_eq!(teams(&node.question()), ["b", "c"]);
}

#[test]
fn a_successor_is_told_of_everybody_who_holds_a_lease_or_wants_one() {
    let mut node = Node::new();
    node.want(&["a", "b"]);
    let question = node.question();
    node.lend(&question, 5);
    node.want(&["c"]);
    let told = node.leases.give_up();
    node.leases = leases(&node.names, 77);
    node.leases.ask_for(told);
    assert_eq!(teams(&node.question()), ["a", "b", "c"]);
}
