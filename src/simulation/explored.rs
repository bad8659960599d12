//! Every order in which a few of them can get at shared data: workers, stewards, and a record that changes.
//!
//! Each actor runs in a thread of its own and stops before each access until it is its turn; all turns are tried.

use std::sync::{Condvar, Mutex};

use tollkeeper_contract::{
    Digest, Hosts, Quota, TeamRecord, TenantState,
    lease::Question,
    page::{Cursor, Entry, Table},
};

use crate::{
    config::Fallback,
    lease::{Fleet, Patience, Reply, Taking},
    limiter::Limit,
    principal::Account,
    purse::Scope,
    shared::{Expected, HostFailure, SharedData, Swap, Value, memory::Memory},
    table::{KeyTable, Names, Order},
    time::Monotonic,
};

use super::{node::TERMS, service::Service};

const SCOPE: Scope = Scope::Fleet(Fleet { wait: 1000, fallback: Fallback::Refuse, nodes: None });

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Waiting,
    Done,
}

/// Whose turn it is.
#[derive(Default)]
struct Turns {
    stages: Mutex<Vec<Stage>>,
    changed: Condvar,
}

impl Turns {
    fn set(&self, actor: usize, stage: Stage) {
        self.stages.lock().unwrap()[actor] = stage;
        self.changed.notify_all();
    }

    fn wait(&self, actor: usize) {
        self.set(actor, Stage::Waiting);
        let stages = self.stages.lock().unwrap();
        drop(self.changed.wait_while(stages, |stages| stages[actor] == Stage::Waiting).unwrap());
    }

    /// Who can go on, once all others have stopped; nobody when all are done.
    fn ready(&self) -> Vec<usize> {
        let stages = self.stages.lock().unwrap();
        let stages = self.changed.wait_while(stages, |stages| stages.contains(&Stage::Running)).unwrap();
        (0..stages.len()).filter(|actor| stages[*actor] == Stage::Waiting).collect()
    }
}

/// Marks an actor as done also when it panics.
struct Ended<'a>(&'a Turns, usize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.set(self.1, Stage::Done);
    }
}

/// What the actors share.
struct Scene {
    memory: Mutex<Memory>,
    service: Mutex<Service>,
    names: Names,
    taken: Mutex<u64>,
    turns: Turns,
}

/// Shared data as one actor sees it.
struct Seen<'a> {
    scene: &'a Scene,
    actor: usize,
}

impl SharedData for Seen<'_> {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        self.scene.turns.wait(self.actor);
        self.scene.memory.lock().unwrap().get(name)
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        self.scene.turns.wait(self.actor);
        self.scene.memory.lock().unwrap().swap(name, value, expected)
    }
}

/// When every lease of the beginning has ended.
const LATER: u64 = 6_000;

type Actor = fn(&Seen<'_>);

fn account() -> Account {
    Account::Team("acme".into())
}

fn table<'a, Shared: SharedData>(scene: &'a Scene, shared: &'a Shared, now: u64) -> KeyTable<'a, Shared> {
    KeyTable { shared, names: &scene.names, limits: Limit::bucket(10, 60).into(), now: Monotonic(now) }
}

fn take(seen: &Seen<'_>, cost: u32) {
    let order = Order { cost, scope: SCOPE, patience: Patience::Left };
    let charge = table(seen.scene, seen, 20).charge(&account(), &TERMS, order).unwrap();
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

fn exchange_at(seen: &Seen<'_>, now: u64) {
    let table = table(seen.scene, seen, now);
    let Some((draft, ask)) = table.ask(&account()).unwrap() else { return };
    let question = Question { node: "n".to_owned(), instance: "i".to_owned(), nonce: 0, asks: vec![ask] };
    let (answer, _) = seen.scene.service.lock().unwrap().hear(&question, now);
    let reply = Reply { draft, sent: table.now, lent: &answer.lent[0], term: 5000, only_settles: false };
    let _ = table.take_in(&account(), reply).unwrap();
}

fn write(scene: &Scene, shared: &impl SharedData, limit: u32) {
    let mut record = Vec::new();
    let (state, quota) = (TenantState::Active, Quota::new(limit, 60).ok());
    TeamRecord { id: "acme", state, quota, enterprise: None, hosts: Hosts::Shared }.encode(&mut record);
    let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
    table(scene, shared, 20).apply(&[Entry { cursor, record: Some(&record) }]).unwrap();
}

/// A team with a lease of some tokens.
fn prepared() -> Scene {
    let scene = Scene {
        memory: Mutex::default(),
        service: Mutex::new(Service::new(1)),
        names: Names::new("test"),
        taken: Mutex::default(),
        turns: Turns::default(),
    };
    {
        let memory = scene.memory.lock().unwrap();
        write(&scene, &*memory, 10);
        let table = table(&scene, &*memory, 10);
        let order = Order { cost: 2, scope: SCOPE, patience: Patience::Left };
        assert_eq!(table.charge(&account(), &TERMS, order).unwrap().taking, Taking::Wait);
        let (draft, ask) = table.ask(&account()).unwrap().unwrap();
        let question = Question { node: "n".to_owned(), instance: "i".to_owned(), nonce: 0, asks: vec![ask] };
        let (answer, _) = scene.service.lock().unwrap().hear(&question, 10);
        let reply = Reply { draft, sent: table.now, lent: &answer.lent[0], term: 5000, only_settles: false };
        let _ = table.take_in(&account(), reply).unwrap();
    }
    scene
}

/// One run: the first turns as told, then always the first who can; gives who could and who did at each turn.
fn run(actors: &[Actor], turns: &[usize]) -> (Scene, Vec<(Vec<usize>, usize)>) {
    let scene = prepared();
    *scene.turns.stages.lock().unwrap() = vec![Stage::Running; actors.len()];
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        for (actor, act) in actors.iter().enumerate() {
            let scene = &scene;
            scope.spawn(move || {
                let _ended = Ended(&scene.turns, actor);
                act(&Seen { scene, actor });
            });
        }
        loop {
            let ready = scene.turns.ready();
            if ready.is_empty() {
                return;
            }
            let choice = turns.get(taken.len()).copied().unwrap_or(0);
            scene.turns.set(ready[choice], Stage::Running);
            taken.push((ready, choice));
        }
    });
    (scene, taken)
}

/// Tries every order; gives how many there are.
fn explore(actors: &[Actor], check: impl Fn(&Scene, &[usize])) -> u64 {
    let (mut turns, mut count) = (Vec::new(), 0);
    loop {
        let (scene, taken) = run(actors, &turns);
        turns = taken.iter().map(|(_, choice)| *choice).collect();
        check(&scene, &turns);
        count += 1;
        let Some(last) = taken.iter().rposition(|(ready, choice)| choice + 1 < ready.len()) else { return count };
        turns.truncate(last);
        turns.push(taken[last].1 + 1);
    }
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
    let mut service = scene.service.lock().unwrap();
    let mut balance = 0;
    for now in [40, 50] {
        let table = table(scene, &*memory, now);
        let (draft, ask) = table.ask(&account()).unwrap().unwrap();
        assert_eq!(ask.spent, taken, "{turns:?}");
        let question = Question { node: "n".to_owned(), instance: "i".to_owned(), nonce: 0, asks: vec![ask.clone()] };
        let (answer, _) = service.hear(&question, now);
        let lent = &answer.lent[0];
        let reply = Reply { draft, sent: table.now, lent, term: 5000, only_settles: false };
        let _ = table.take_in(&account(), reply).unwrap();
        balance = table.lease(&account()).unwrap().balance(Monotonic(now));
        assert_eq!(lent.granted, ask.spent + ask.returned + lent.void + balance, "{turns:?}");
    }
    assert!(taken + balance <= 10, "{turns:?}");
}

#[test]
fn two_workers_and_a_steward_lose_and_mint_nothing_in_any_order() {
    let orders = explore(&[|seen| take(seen, 2), |seen| take(seen, 3), exchange], books_agree);
    println!("measured: {orders} orders of two workers and a steward");
    assert!(orders >= 420);
}

#[test]
fn a_record_that_changes_meanwhile_is_in_the_cell_in_the_end_in_any_order() {
    let change: Actor = |seen| write(seen.scene, seen, 5);
    let orders = explore(&[|seen| take(seen, 2), change], |scene, turns| {
        let memory = scene.memory.lock().unwrap();
        assert_eq!(table(scene, &*memory, 40).lease(&account()).unwrap().limit().quota.limit().get(), 5, "{turns:?}");
        drop(memory);
        books_agree(scene, turns);
    });
    println!("measured: {orders} orders of a worker and a change");
}

#[test]
fn a_steward_that_is_replaced_and_goes_on_loses_and_mints_nothing_in_any_order() {
    let orders = explore(&[exchange, exchange], books_agree);
    println!("measured: {orders} orders of two stewards");
}

#[test]
fn a_steward_whose_answer_comes_when_its_lease_has_lapsed_gives_the_node_nothing_in_any_order() {
    let demanding: Actor = |seen| {
        take(seen, 1);
        exchange(seen);
    };
    let orders = explore(&[demanding, exchange_later], nothing_that_lapsed_is_spent);
    println!("measured: {orders} orders of two stewards, one of them late");
}
