//! Runs a plan: everything that happens, one thing after the other, in an order that follows from the seed.

mod network;
mod requests;
mod trouble;

use std::collections::BTreeMap;

use tollkeeper_contract::{
    Quota,
    lease::{self, Lent},
};

use crate::{config::Promise, principal::Account, steward::Errand};

use network::Pending;

use super::{
    judge::Judge,
    node::{Clock, Node, Vm},
    plan::{Network, Plan, Trouble},
    random::Random,
    service::Service,
};

/// How often a VM ticks, and looks after requests that wait, in milliseconds.
const TICK: u64 = 100;
const SOON: u64 = 5;

/// After everything is well again, how long until leases have ended; then each node serves one request more.
const CALM: u64 = 12_000;

/// After that, how long until everything is settled.
const QUIET: u64 = 14_000;

/// A request of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    client: Option<usize>,
    team: usize,
    cost: u32,
    /// Whether it has waited for as long as it was told.
    waited: bool,
}

/// A VM: which node, which life of it, and which VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    node: usize,
    life: u64,
    vm: usize,
}

#[derive(Debug)]
enum Event {
    Send {
        client: usize,
        again: Option<u32>,
    },
    Tick(Place),
    Message(Place),
    LookAfter {
        node: usize,
        life: u64,
    },
    Question {
        place: Place,
        number: u64,
        errand: Errand,
        body: Vec<u8>,
    },
    Answer {
        place: Place,
        number: u64,
        errand: Errand,
        body: Result<Vec<u8>, u16>,
    },
    Settle {
        question: lease::Question,
        pending: Pending,
    },
    Reply {
        pending: Pending,
        lent: Vec<Lent>,
    },
    Trouble(Trouble),
    Record {
        node: usize,
        team: usize,
        quota: Option<Quota>,
    },
    Promise {
        node: usize,
        promise: Promise,
    },
    Start {
        node: usize,
    },
    StartVm(Place),
    /// The service goes on.
    Thaw,
}

pub(super) struct World {
    now: u64,
    plan: Plan,
    random: Random,
    events: BTreeMap<(u64, u64), Event>,
    number: u64,
    nodes: Vec<Option<Node<Request>>>,
    lives: Vec<u64>,
    cut_until: Vec<u64>,
    /// Until when books cannot be kept, and until when there is no service at all.
    down_until: u64,
    gone_until: u64,
    frozen_until: u64,
    /// How long each answer takes until then, in milliseconds.
    slowness: u64,
    slow_until: u64,
    quotas: Vec<Option<Quota>>,
    /// The node to which each client sends requests, if it stays.
    stays_at: Vec<usize>,
    pub(super) service: Service,
    pub(super) judge: Judge,
    /// Nothing goes wrong, and whoever waits as told must be let through.
    pub(super) is_lone: bool,
}

impl World {
    pub(super) fn new(plan: Plan, random: Random) -> Self {
        let (nodes, teams) = (plan.nodes, plan.teams);
        let mut world = Self {
            now: 0,
            random,
            events: BTreeMap::new(),
            number: 0,
            nodes: (0..nodes).map(|_| None).collect(),
            lives: vec![0; nodes],
            cut_until: vec![0; nodes],
            down_until: 0,
            gone_until: 0,
            frozen_until: 0,
            slowness: 0,
            slow_until: 0,
            quotas: vec![Some(plan.limit.quota); teams],
            stays_at: vec![0; plan.clients.len()],
            service: Service::new(),
            judge: Judge::new(teams),
            is_lone: false,
            plan,
        };
        for node in 0..nodes {
            match world.plan.late.iter().find(|(late, _)| *late == node).copied() {
                Some((_, time)) => world.at(time, Event::Start { node }),
                None => world.start(node),
            }
        }
        for client in 0..world.plan.clients.len() {
            let first = world.plan.clients[client].from + world.random.between(0, 1000);
            world.at(first, Event::Send { client, again: None });
        }
        for (time, trouble) in world.plan.trouble.clone() {
            world.at(time, Event::Trouble(trouble));
        }
        world
    }

    /// Runs to the end of the plan.
    pub(super) fn run(&mut self) {
        self.run_until(self.plan.end);
    }

    /// Lets everything become well and quiet, and compares the books.
    pub(super) fn conclude(&mut self) {
        let end = self.plan.end;
        self.plan.network = Network { slowest: 20, lost: 0, doubled: 0, late: 0 };
        // The second in case that nobody was steward at the first.
        for time in [end + CALM, end + CALM + 2000] {
            self.run_until(time);
            for number in 0..self.nodes.len() * self.plan.teams {
                let (node, team) = (number / self.plan.teams, number % self.plan.teams);
                self.ask(node, Request { client: None, team, cost: 1, waited: false });
            }
        }
        self.run_until(end + CALM + QUIET);
        for node in self.nodes.iter().flatten() {
            for team in 0..self.plan.teams {
                let part = (node.counter(&account(team), self.now), team);
                self.judge.compare_books(&self.service, &part, &(&account(team)).into());
            }
        }
    }

    pub(super) fn run_until(&mut self, end: u64) {
        while let Some(first) = self.events.first_entry().filter(|first| first.key().0 <= end) {
            let ((time, _), event) = first.remove_entry();
            self.now = time;
            self.happen(event);
        }
        self.now = end;
    }

    fn at(&mut self, time: u64, event: Event) {
        self.number += 1;
        self.events.insert((time, self.number), event);
    }

    fn soon(&mut self, most: u64, event: Event) {
        let time = self.now + self.random.between(0, most);
        self.at(time, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { client, again } => self.send(client, again),
            Event::Tick(place) => self.tick(place),
            Event::Message(place) => self.wake(place),
            Event::LookAfter { node, life } => self.look_after(node, life),
            Event::Question { place, number, errand, body } => self.hear(place, number, errand, &body),
            Event::Answer { place, number, errand, body } => self.answer(place, number, errand, body),
            Event::Settle { question, pending } => self.settle_slowly(&question, pending),
            Event::Reply { pending, lent } => self.reply(&pending, lent),
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Record { node, team, quota } => {
                if let Some(node) = &mut self.nodes[node] {
                    node.set_team(&id(team), quota, self.now);
                }
            }
            Event::Promise { node, promise } => self.nodes[node].iter_mut().for_each(|node| node.set_promise(promise)),
            Event::Start { node } => self.start(node),
            Event::StartVm(place) => self.start_vm(place),
            Event::Thaw => self.service.beat(self.now),
        }
    }

    fn start(&mut self, node: usize) {
        self.lives[node] += 1;
        let life = self.lives[node];
        let drift = self.plan.drift;
        let pace = self.random.between(1000 - drift, 1000 + drift);
        let clock = Clock { ahead: self.random.between(1_000_000, 9_000_000), pace };
        // Named after its process, or after its place: then the next process there has the same name.
        let name = if self.random.chance(50) { format!("node-{node}#{life}") } else { format!("node-{node}") };
        if self.cut_until[node].max(self.frozen_until).max(self.gone_until) <= self.now {
            self.service.see(&name, self.now);
        }
        let mut made = Node::new(name, clock, self.plan.limit, self.plan.fleet, self.plan.vms);
        for (team, quota) in self.quotas.iter().enumerate() {
            made.set_team(&id(team), *quota, self.now);
        }
        self.nodes[node] = Some(made);
        (0..self.plan.vms).for_each(|vm| self.start_vm(Place { node, life, vm }));
    }

    fn start_vm(&mut self, place: Place) {
        let (holder, now) = (self.random.number() | 1, self.now);
        if let Some(node) = self.living(place) {
            node.start(place.vm, holder, now);
            self.soon(TICK, Event::Tick(place));
        }
    }

    fn living(&mut self, place: Place) -> Option<&mut Node<Request>> {
        if self.lives[place.node] == place.life { self.nodes[place.node].as_mut() } else { None }
    }

    /// The VM, unless it is gone; if it is stalled, `event` happens when it goes on.
    fn awake(&mut self, place: Place, event: impl FnOnce() -> Event) -> bool {
        let now = self.now;
        let Some(Vm { stalled_until, .. }) = self.living(place).and_then(|node| node.vms[place.vm].as_ref()) else {
            return false;
        };
        let until = *stalled_until;
        if until > now {
            self.at(until, event());
        }
        until <= now
    }

    fn tick(&mut self, place: Place) {
        if self.awake(place, || Event::Tick(place)) {
            self.serve(place);
            self.at(self.now + TICK, Event::Tick(place));
        }
    }

    fn wake(&mut self, place: Place) {
        if self.awake(place, || Event::Message(place)) {
            self.serve(place);
        }
    }

    fn serve(&mut self, place: Place) {
        let now = self.now;
        let calls = self.living(place).map(|node| node.serve(place.vm, now)).unwrap_or_default();
        for call in calls {
            self.dispatch(place, call);
        }
    }
}

fn id(team: usize) -> String {
    format!("team-{team}")
}

pub(super) fn account(team: usize) -> Account {
    Account::Team(id(team))
}

fn number_of(account: &lease::Account) -> usize {
    let (lease::Account::Team(id) | lease::Account::Enterprise(id)) = account;
    id.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap()
}
