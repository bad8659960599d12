//! Runs a plan: everything that happens, one thing after the other, in an order that follows from the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tollkeeper_contract::{Quota, lease};

use crate::{
    config::Promise,
    lease::{Basis, Patience, Signal, Taking},
    principal::Account,
    steward::{Answer, Call, Errand},
    table::Charge,
};

use super::{
    judge::{Judge, Part},
    node::{Clock, Node, Vm, Waiter, token},
    plan::{Manner, Network, Plan, Trouble},
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
    Send { client: usize, waited: bool },
    Tick(Place),
    Message(Place),
    LookAfter { node: usize, life: u64 },
    Question { place: Place, number: u64, errand: Errand, body: Vec<u8> },
    Answer { place: Place, number: u64, errand: Errand, body: Result<Vec<u8>, u16> },
    Trouble(Trouble),
    Record { node: usize, team: usize, quota: Option<Quota> },
    Promise { node: usize, promise: Promise },
    Start { node: usize },
    StartVm(Place),
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
    down_until: u64,
    quotas: Vec<Option<Quota>>,
    remade: BTreeSet<usize>,
    pub(super) service: Service,
    pub(super) judge: Judge,
    /// Nothing goes wrong, and whoever waits as told must be let through.
    pub(super) is_lone: bool,
    /// Whether it is looked at each request how much is left.
    pub(super) measures_left: bool,
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
            quotas: vec![Some(plan.limit.quota); teams],
            remade: BTreeSet::new(),
            service: Service::new(nodes as u32),
            judge: Judge::new(teams),
            is_lone: false,
            measures_left: false,
            plan,
        };
        (0..nodes).for_each(|node| world.start(node));
        for client in 0..world.plan.clients.len() {
            let first = world.random.between(0, 1000);
            world.at(first, Event::Send { client, waited: false });
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
        // Of nodes that were there all the time.
        for node in self.nodes.iter().flatten().filter(|node| node.name.ends_with("#1")) {
            for team in (0..self.plan.teams).filter(|team| !self.remade.contains(team)) {
                let account = lease::Account::from(&account(team));
                self.judge.compare_books(&self.service, &(node.name.clone(), team), &account);
            }
        }
    }

    fn run_until(&mut self, end: u64) {
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
            Event::Send { client, waited } => self.send(client, waited),
            Event::Tick(place) => self.tick(place),
            Event::Message(place) => self.wake(place),
            Event::LookAfter { node, life } => self.look_after(node, life),
            Event::Question { place, number, errand, body } => self.hear(place, number, errand, &body),
            Event::Answer { place, number, errand, body } => self.answer(place, number, errand, body),
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Record { node, team, quota } => {
                if let Some(node) = &mut self.nodes[node] {
                    node.set_team(&id(team), quota, self.now);
                }
            }
            Event::Promise { node, promise } => self.nodes[node].iter_mut().for_each(|node| node.set_promise(promise)),
            Event::Start { node } => self.start(node),
            Event::StartVm(place) => self.start_vm(place),
        }
    }

    fn start(&mut self, node: usize) {
        self.lives[node] += 1;
        let life = self.lives[node];
        let drift = self.plan.drift;
        let pace = self.random.between(1000 - drift, 1000 + drift);
        let clock = Clock { ahead: self.random.between(1_000_000, 9_000_000), pace };
        let name = format!("node-{node}#{life}");
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

    fn dispatch(&mut self, place: Place, call: Call) {
        self.number += 1;
        let (number, errand) = (self.number, call.errand);
        let Some(vm) = self.living(place).and_then(|node| node.vms[place.vm].as_mut()) else { return };
        vm.calls.insert(number, errand);
        let lost = u64::try_from(call.timeout.as_millis()).unwrap();
        self.at(self.now + lost, Event::Answer { place, number, errand, body: Err(504) });
        if let (Errand::Lend { .. }, Some(body)) = (errand, call.body) {
            for _ in 0..self.copies(place.node) {
                let time = self.now + self.delay();
                self.at(time, Event::Question { place, number, errand, body: body.clone() });
            }
        }
    }

    /// How often a message arrives.
    fn copies(&mut self, node: usize) -> u64 {
        let Network { lost, doubled, .. } = self.plan.network;
        if self.cut_until[node] > self.now || self.random.chance(lost) {
            return 0;
        }
        if self.random.chance(doubled) { 2 } else { 1 }
    }

    fn delay(&mut self) -> u64 {
        let Network { slowest, late, .. } = self.plan.network;
        let late = if self.random.chance(late) { self.random.between(0, 8000) } else { 0 };
        late + self.random.between(1, slowest)
    }

    fn hear(&mut self, place: Place, number: u64, errand: Errand, body: &[u8]) {
        let now = self.now;
        let body = if self.down_until > now {
            Err(503)
        } else {
            let question: lease::Question = serde_json::from_slice(body).unwrap();
            let (answer, news) = self.service.hear(&question, now);
            for (ask, born) in news {
                self.judge.note_settled(number_of(&ask.account), &ask, born, now);
            }
            Ok(answer.seal(question.nonce, &token()).unwrap())
        };
        for _ in 0..self.copies(place.node) {
            let time = now + self.delay();
            self.at(time, Event::Answer { place, number, errand, body: body.clone() });
        }
    }

    /// Envoy hands on one answer to a call. Here also a second and a late one are, which must do no harm.
    fn answer(&mut self, place: Place, number: u64, errand: Errand, body: Result<Vec<u8>, u16>) {
        if !self.awake(place, || Event::Answer { place, number, errand, body: body.clone() }) {
            return;
        }
        let now = self.now;
        let Some(node) = self.living(place) else { return };
        let Some(vm) = &mut node.vms[place.vm] else { return };
        let is_first = vm.calls.remove(&number).is_some();
        let answer = match &body {
            Ok(body) => Answer::Service { status: 200, body },
            Err(503) => Answer::Service { status: 503, body: &[] },
            Err(_) if !is_first => return,
            Err(status) => Answer::Stranger { status: *status },
        };
        node.take_answer(place.vm, errand, answer, now);
        self.note_shares(place.node);
        self.serve(place);
    }

    fn note_shares(&mut self, number: usize) {
        let Some(node) = &self.nodes[number] else { return };
        for team in 0..self.plan.teams {
            let lease = node.lease(&account(team), self.now);
            let part = (node.name.clone(), team);
            if lease.is_none_or(|lease| !lease.has_share()) {
                self.judge.note_share(&part, None, self.now);
            }
        }
    }

    fn send(&mut self, number: usize, waited: bool) {
        if self.now >= self.plan.end {
            return;
        }
        let client = self.plan.clients[number];
        let count = match client.manner {
            Manner::Bursts { count, pause } => {
                self.soon(2 * pause, Event::Send { client: number, waited: false });
                count
            }
            Manner::AsTold => 1,
        };
        for _ in 0..count {
            let node = client.node.unwrap_or_else(|| self.random.number() as usize % self.nodes.len());
            let cost = self.random.between(client.least.into(), client.most.into()) as u32;
            self.ask(node, Request { client: Some(number), team: client.team, cost, waited });
        }
    }

    fn ask(&mut self, node: usize, request: Request) {
        if !self.judge_request(node, request, Patience::Left) {
            let (now, life, wait) = (self.now, self.lives[node], self.plan.fleet.wait_ms);
            let Some(node_there) = &mut self.nodes[node] else { return };
            let since = node_there.clock.at(now);
            let until = since.after(wait);
            if node_there.waiting.is_empty() {
                self.soon(SOON, Event::LookAfter { node, life });
            }
            let Some(node) = &mut self.nodes[node] else { return };
            node.waiting.entry(account(request.team)).or_default().push_back(Waiter { request, since, until });
        }
    }

    /// As the filter does it at each of its fast ticks.
    fn look_after(&mut self, number: usize, life: u64) {
        let (now, place) = (self.now, Place { node: number, life, vm: 0 });
        let Some(node) = self.living(place) else { return };
        let soon = node.clock.at(now).after(SOON);
        for (account, waiters) in std::mem::take(&mut node.waiting) {
            let Some(node) = &self.nodes[number] else { return };
            let mut has_news = node.table(now).has_news(&account).unwrap();
            let mut left = VecDeque::new();
            for waiter in waiters {
                let patience = if waiter.until < soon { Patience::Over(waiter.since) } else { Patience::Left };
                if !has_news && patience == Patience::Left {
                    left.push_back(waiter);
                } else if !self.judge_request(number, waiter.request, patience) {
                    has_news = false;
                    left.push_back(waiter);
                }
            }
            if let (Some(node), false) = (&mut self.nodes[number], left.is_empty()) {
                node.waiting.entry(account).or_default().extend(left);
            }
        }
        if self.nodes[number].as_ref().is_some_and(|node| !node.waiting.is_empty()) {
            self.at(now + SOON, Event::LookAfter { node: number, life });
        }
    }

    /// Judges a request; whether it is decided.
    fn judge_request(&mut self, number: usize, request: Request, patience: Patience) -> bool {
        let (now, account) = (self.now, account(request.team));
        let Some(node) = &mut self.nodes[number] else { return true };
        let Ok(charge) = node.charge(&account, request.cost, patience, now) else { return true };
        let part = (node.name.clone(), request.team);
        if charge.signal == Signal::Ask
            && node.tell_steward(&account, now)
            && let Some(vm) = node.listener()
        {
            let life = self.lives[number];
            self.soon(3, Event::Message(Place { node: number, life, vm }));
        }
        self.note_share(number, &part, charge);
        self.measure_left(request, charge);
        self.decide(&part, request, charge.taking)
    }

    fn note_share(&mut self, number: usize, part: &Part, charge: Charge) {
        let Some(node) = &self.nodes[number] else { return };
        let has_share = node.lease(&account(part.1), self.now).is_some_and(|lease| lease.has_share());
        let nodes = node.fleet().nodes.filter(|_| has_share);
        let (shares, now) = (nodes.map(|nodes| (charge.limit, nodes.get())), node.clock.at(self.now));
        self.judge.note_share(part, shares, now.0);
    }

    fn measure_left(&mut self, request: Request, charge: Charge) {
        let is_told =
            matches!(charge.taking, Taking::Taken(Basis::Quota) | Taking::Refused { basis: Basis::Quota, .. });
        if !self.measures_left || !is_told {
            return;
        }
        let account = account(request.team);
        let lent: u64 = self
            .nodes
            .iter()
            .flatten()
            .filter_map(|node| Some(node.lease(&account, self.now)?.balance(node.clock.at(self.now))))
            .sum();
        let Some(told) = self.service.told.values().find(|told| told.ask.account == (&account).into()) else { return };
        let left = self.service.left(&told.ask, self.now);
        self.judge.note_left(charge.left, left.saturating_add(lent));
    }

    fn decide(&mut self, part: &Part, request: Request, taking: Taking) -> bool {
        let now = self.now;
        let next = match taking {
            Taking::Wait => return false,
            Taking::Taken(basis) => {
                self.judge.admit(part.clone(), basis, request.cost, now);
                Some(1)
            }
            Taking::Refused { wait, basis } => {
                self.judge.counts.refused += 1;
                if request.waited && self.is_lone {
                    let what =
                        format!("{now} ms: {part:?} {request:?} waited as told, and is to wait {wait} ms ({basis:?})");
                    self.judge.complaints.push(what);
                }
                (wait < u64::MAX).then_some(wait)
            }
            Taking::Unavailable => {
                self.judge.counts.unavailable += 1;
                Some(1000)
            }
        };
        if let (Some(next), Some(client)) = (next, request.client)
            && self.plan.clients[client].manner == Manner::AsTold
        {
            let waited = matches!(taking, Taking::Refused { .. });
            self.at(now + next, Event::Send { client, waited });
        }
        true
    }

    fn trouble(&mut self, trouble: Trouble) {
        let now = self.now;
        match trouble {
            Trouble::Kill { node, back_after } => {
                self.nodes[node] = None;
                self.lives[node] += 1;
                back_after.into_iter().for_each(|after| self.at(now + after, Event::Start { node }));
            }
            Trouble::Cut { node, time } => self.cut_until[node] = now + time,
            Trouble::Trap { node, vm } => self.trap(node, vm),
            Trouble::Stall { node, vm, time } => {
                if let Some(Some(vm)) = self.nodes[node].as_mut().map(|node| node.vms[vm].as_mut()) {
                    vm.stalled_until = now + time;
                }
            }
            Trouble::Fail { time } => self.fail(time),
            Trouble::Forget { time } => {
                self.fail(time);
                self.service.forget(self.down_until);
            }
            Trouble::Quota { team, quota, within } => self.publish(team, Some(quota), within),
            Trouble::Remake { team, after } => self.remake(team, after),
            Trouble::Promise { promise, within } => {
                (0..self.nodes.len()).for_each(|node| self.soon(within, Event::Promise { node, promise }));
            }
            Trouble::Contention { node } => {
                let count = self.random.between(1, 5) as u32;
                self.nodes[node].iter().for_each(|node| node.shared.conflict_next(count));
            }
        }
    }

    fn trap(&mut self, number: usize, vm: usize) {
        // Then nobody is steward any more.
        if self.plan.vms == 1 {
            return;
        }
        let life = self.lives[number];
        if let Some(node) = &mut self.nodes[number] {
            node.vms[vm] = None;
            if vm > 0 {
                self.soon(500, Event::StartVm(Place { node: number, life, vm }));
            }
        }
    }

    fn fail(&mut self, time: u64) {
        self.down_until = self.down_until.max(self.now + time);
        self.service.works_again(self.down_until);
    }

    fn publish(&mut self, team: usize, quota: Option<Quota>, within: u64) {
        self.quotas[team] = quota;
        (0..self.nodes.len()).for_each(|node| self.soon(within, Event::Record { node, team, quota }));
    }

    fn remake(&mut self, team: usize, after: u64) {
        self.remade.insert(team);
        let Some(quota) = self.quotas[team] else { return };
        for node in 0..self.nodes.len() {
            self.at(self.now, Event::Record { node, team, quota: None });
            self.at(self.now + after, Event::Record { node, team, quota: Some(quota) });
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
