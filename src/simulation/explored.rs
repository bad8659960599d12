//! A few of them at once, in every order: workers, stewards, and a record that changes.

use std::sync::Mutex;

use tollkeeper_contract::{
    Digest, Factor, Hosts, Quota, TeamRecord, TenantState,
    lease::{Ask, Lent, Question},
    page::{Cursor, Entry, Table},
};

use crate::{
    config::{Fallback, Promise, Remaining},
    lease::{Draft, Fleet, Patience, Reply, Taking},
    limiter::Limit,
    principal::Account,
    purse::Scope,
    shared::{SharedData, memory::Memory},
    table::{KeyTable, Limits, Names, Order},
    time::Monotonic,
};

use super::{
    node::TERMS,
    orders::{self, Access, Actor, Stepped, Turns},
    service::Service,
};

const SCOPE: Scope =
    Scope::Fleet(Fleet { wait: 1000, fallback: Fallback::Refuse, remaining: Remaining::Fleet, nodes: None });

/// What the actors share.
struct Scene {
    memory: Mutex<Memory>,
    service: Mutex<Service>,
    names: Names,
    taken: Mutex<u64>,
    /// As late as it is: a question that comes late is heard late, also from somebody who has not looked at the clock since.
    clock: Mutex<u64>,
    turns: Turns,
}

impl Scene {
    /// As late as it is for somebody for whom it is `now`.
    fn latest(&self, now: u64) -> u64 {
        let mut clock = self.clock.lock().unwrap();
        *clock = now.max(*clock);
        *clock
    }

    fn hear(&self, ask: Ask, now: u64) -> Lent {
        let question =
            Question { node: "n".to_owned(), instance: "i".to_owned(), nonce: 0, unanswered_ms: 0, asks: vec![ask] };
        let answer = self.service.lock().unwrap().hear(&question, self.latest(now));
        answer.lent.into_iter().next().unwrap()
    }
}

type Seen<'a> = orders::Seen<'a, Scene>;

/// How old what is known may become, in milliseconds.
const FRESH: u64 = 400;

/// When every lease of the beginning has ended.
const LATER: u64 = 6_000;

fn account() -> Account {
    Account::Team("acme".into())
}

fn table<'a, Shared: SharedData>(scene: &'a Scene, shared: &'a Shared, now: u64) -> KeyTable<'a, Shared> {
    KeyTable { shared, names: &scene.names, limits: Limit::bucket(10, 60).into(), now: Monotonic(now) }
}

fn take(seen: &Seen<'_>, cost: u32) {
    take_under(Limit::bucket(10, 60).into(), seen, cost);
}

fn take_under(limits: Limits, seen: &Seen<'_>, cost: u32) {
    let order = Order { cost, scope: SCOPE, patience: Patience::New };
    let charge = KeyTable { limits, ..table(seen.scene, seen, 20) }.charge(&account(), &TERMS, order).unwrap();
    if let Taking::Taken(_) = charge.taking {
        *seen.scene.taken.lock().unwrap() += u64::from(cost);
    }
}

/// One exchange with the key service; the answer arrives later.
fn exchange(seen: &Seen<'_>) {
    exchange_at(seen, 30);
}

/// Another one, once the lease of the first has ended.
fn exchange_later(seen: &Seen<'_>) {
    exchange_at(seen, LATER);
}

/// One whose question was sent before anything else happened.
fn late_answer(seen: &Seen<'_>) {
    let asked = table(seen.scene, &*seen.scene.memory.lock().unwrap(), 30).ask(&account()).unwrap();
    hear_of(seen, 30, asked.unwrap());
}

fn exchange_at(seen: &Seen<'_>, now: u64) {
    if let Some(asked) = table(seen.scene, seen, now).ask(&account()).unwrap() {
        hear_of(seen, now, asked);
    }
}

fn hear_of(seen: &Seen<'_>, now: u64, (draft, ask): (Draft, Ask)) {
    seen.scene.latest(now);
    seen.wait(Access::Question);
    let lent = seen.scene.hear(ask, now);
    let table = table(seen.scene, seen, now);
    let reply = Reply { draft, sent: table.now, lent: &lent, term: 5000, only_settles: false };
    let _ = table.take_in(&account(), reply, FRESH).unwrap();
}

fn write(scene: &Scene, shared: &impl SharedData, limit: u32) {
    let mut record = Vec::new();
    let (state, quota) = (TenantState::Active, Quota::new(limit, 60).ok());
    TeamRecord { id: "acme", state, quota, enterprise: None, hosts: Hosts::Shared }.encode(&mut record);
    let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
    table(scene, shared, 20).apply(&[Entry { cursor, record: Some(&record) }]).unwrap();
}

impl Stepped for Scene {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn memory(&self) -> &Mutex<Memory> {
        &self.memory
    }
}

/// Lets these act in every order; gives how many there are.
fn explore(actors: &[Actor<Scene>], check: impl Fn(&Scene, &[usize])) -> u64 {
    orders::explore(prepared, actors, check)
}

/// A team with a lease of some tokens.
fn prepared() -> Scene {
    let scene = Scene {
        memory: Mutex::default(),
        service: Mutex::new(Service::new()),
        names: Names::new("test"),
        taken: Mutex::default(),
        clock: Mutex::default(),
        turns: Turns::default(),
    };
    {
        let memory = scene.memory.lock().unwrap();
        write(&scene, &*memory, 10);
        let table = table(&scene, &*memory, 10);
        let order = Order { cost: 2, scope: SCOPE, patience: Patience::New };
        assert_eq!(table.charge(&account(), &TERMS, order).unwrap().taking, Taking::Wait);
        let (draft, ask) = table.ask(&account()).unwrap().unwrap();
        let lent = scene.hear(ask, 10);
        let reply = Reply { draft, sent: table.now, lent: &lent, term: 5000, only_settles: false };
        let _ = table.take_in(&account(), reply, FRESH).unwrap();
    }
    scene
}

/// Whatever the node may still spend, the key service knows to be lent.
fn nothing_that_lapsed_is_spent(scene: &Scene, turns: &[usize]) {
    let memory = scene.memory.lock().unwrap();
    let lease = table(scene, &*memory, LATER).lease(&account()).unwrap();
    let service = scene.service.lock().unwrap();
    let counter = format!("n@{}", lease.since().0);
    let lent = service.lent_to(&counter, &(&account()).into(), LATER);
    assert!(lease.balance(Monotonic(LATER)) <= lent, "{turns:?}");
}

/// When all is over, one exchange brings the books together, and nothing is left that nobody gave.
fn books_agree(scene: &Scene, turns: &[usize]) {
    let taken = *scene.taken.lock().unwrap();
    let memory = scene.memory.lock().unwrap();
    let mut balance = 0;
    for now in [40, 50] {
        let table = table(scene, &*memory, now);
        let (draft, ask) = table.ask(&account()).unwrap().unwrap();
        assert_eq!(ask.spent, taken, "{turns:?}");
        let lent = scene.hear(ask.clone(), now);
        let reply = Reply { draft, sent: table.now, lent: &lent, term: 5000, only_settles: false };
        let _ = table.take_in(&account(), reply, FRESH).unwrap();
        balance = table.lease(&account()).unwrap().balance(Monotonic(now));
        assert_eq!(lent.granted, ask.spent + ask.returned + lent.void + balance, "{turns:?}");
    }
    assert!(taken + balance <= 10, "{turns:?}");
}

#[test]
fn two_workers_and_a_steward_lose_and_mint_nothing_in_any_order() {
    let orders = explore(&[|seen| take(seen, 2), |seen| take(seen, 3), exchange], books_agree);
    println!("measured: {orders} orders of two workers and a steward");
    assert!(orders >= 4_000);
}

#[test]
fn two_stewards_and_a_worker_lose_and_mint_nothing_in_any_order() {
    let orders = explore(&[|seen| take(seen, 2), exchange, late_answer], books_agree);
    println!("measured: {orders} orders of a worker and two stewards");
    assert!(orders >= 5_000);
}

#[test]
fn a_limit_that_changes_under_a_worker_and_a_steward_mints_nothing_in_any_order() {
    let change: Actor<Scene> = |seen| write(seen.scene, seen, 5);
    let orders = explore(&[|seen| take(seen, 2), exchange, change], |scene, turns| {
        books_agree(scene, turns);
        let memory = scene.memory.lock().unwrap();
        let lease = table(scene, &*memory, 60).lease(&account()).unwrap();
        assert_eq!(lease.limit().quota.limit().get(), 5, "{turns:?}");
        assert!(lease.balance(Monotonic(60)) <= 5, "{turns:?}");
    });
    println!("measured: {orders} orders of a worker, a steward and a change of the limit");
    assert!(orders >= 5_000);
}

#[test]
fn a_factor_that_only_some_know_yet_mints_nothing_in_any_order() {
    let halved: Actor<Scene> = |seen| {
        let factor = Factor::from_thousandths(500).unwrap();
        take_under(Limits { factor, ..Limit::bucket(10, 60).into() }, seen, 1);
    };
    let orders = explore(&[|seen| take(seen, 2), exchange, halved], books_agree);
    println!("measured: {orders} orders of a worker, a steward and a worker with another factor");
    assert!(orders >= 4_000);
}

#[test]
fn a_promise_that_only_some_know_yet_mints_nothing_in_any_order() {
    let strict: Actor<Scene> = |seen| {
        let default = Limit { promise: Promise::Strict, ..Limit::bucket(10, 60) };
        take_under(default.into(), seen, 1);
    };
    let orders = explore(&[|seen| take(seen, 2), exchange, strict], books_agree);
    println!("measured: {orders} orders of a worker, a steward and a worker with another promise");
    assert!(orders >= 4_000);
}

#[test]
fn a_record_that_changes_meanwhile_is_in_the_cell_in_the_end_in_any_order() {
    let change: Actor<Scene> = |seen| write(seen.scene, seen, 5);
    let orders = explore(&[|seen| take(seen, 2), change], |scene, turns| {
        let memory = scene.memory.lock().unwrap();
        assert_eq!(table(scene, &*memory, 40).lease(&account()).unwrap().limit().quota.limit().get(), 5, "{turns:?}");
        drop(memory);
        books_agree(scene, turns);
    });
    println!("measured: {orders} orders of a worker and a change");
    assert!(orders >= 4);
}

#[test]
fn a_steward_that_is_replaced_and_goes_on_loses_and_mints_nothing_in_any_order() {
    let orders = explore(&[exchange, exchange], books_agree);
    println!("measured: {orders} orders of two stewards");
    assert!(orders >= 100);
}

#[test]
fn a_steward_whose_answer_comes_when_its_lease_has_lapsed_gives_the_node_nothing_in_any_order() {
    let demanding: Actor<Scene> = |seen| {
        take(seen, 1);
        exchange(seen);
    };
    let orders = explore(&[demanding, exchange_later], nothing_that_lapsed_is_spent);
    println!("measured: {orders} orders of two stewards, one of them late");
    assert!(orders >= 800);
}
