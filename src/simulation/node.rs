//! One Envoy process: its shared data, its VMs with their stewards, and the requests that wait.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tollkeeper_contract::{
    Digest, Hosts, Quota, TeamRecord, TenantState,
    page::{Cursor, Entry, NodeToken, Table},
};

use crate::{
    config::{FleetQuotas, Promise},
    lease::{Fleet, Lease as Lent, Patience},
    limiter::Limit,
    policy::Terms,
    principal::Account,
    purse::Scope,
    refusal::{Denial, Refusal},
    shared::memory::Memory,
    steward::{Answer, Call, Errand, Generation, Holder, Lease, Settings, Standing, Steward, Unsettled},
    table::{Charge, Company, KeyTable, Names, Order},
    time::{Monotonic, Now},
};

/// What everybody is served on.
pub(super) const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };

/// How a node's clock goes against the true time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// Milliseconds that it is ahead.
    pub(super) ahead: u64,
    /// How much faster than a thousandth per mille it goes: 1000 is exact.
    pub(super) pace: u64,
}

impl Clock {
    pub(super) fn at(self, now: u64) -> Monotonic {
        Monotonic(self.ahead + now * self.pace / 1000)
    }
}

/// A request that was not decided at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter<Request> {
    pub(super) request: Request,
    pub(super) since: Monotonic,
    pub(super) until: Monotonic,
}

/// One VM of the process.
#[derive(Debug)]
pub(super) struct Vm {
    pub(super) steward: Steward,
    pub(super) stalled_until: u64,
    /// Calls without an answer, by number.
    pub(super) calls: BTreeMap<u64, Errand>,
    standing: Option<Standing>,
}

pub(super) struct Node<Request> {
    pub(super) clock: Clock,
    pub(super) shared: Memory,
    names: Names,
    settings: Settings,
    promise: Promise,
    /// The first is the main thread's; `None` if it has trapped.
    pub(super) vms: Vec<Option<Vm>>,
    queue: VecDeque<Account>,
    /// For whom tokens are wanted, and nobody could be told.
    wanted: BTreeSet<Account>,
    listener: Option<usize>,
    pub(super) waiting: BTreeMap<Account, VecDeque<Waiter<Request>>>,
}

pub(super) fn token() -> NodeToken {
    NodeToken::parse("a-token-for-nodes").unwrap()
}

impl<Request: Copy> Node<Request> {
    pub(super) fn new(name: String, clock: Clock, limit: Limit, fleet: FleetQuotas, vms: usize) -> Self {
        let second = Duration::from_secs(1);
        let settings = Settings {
            poll: second * 60,
            timeout: second,
            token: token(),
            node: name,
            instance: "test".to_owned(),
            default_limit: limit,
            fleet: Some(fleet),
        };
        Self {
            clock,
            shared: Memory::default(),
            names: Names::new("test"),
            settings,
            promise: limit.promise,
            vms: (0..vms).map(|_| None).collect(),
            queue: VecDeque::new(),
            wanted: BTreeSet::new(),
            listener: None,
            waiting: BTreeMap::new(),
        }
    }

    /// A VM begins, or begins again after it has trapped.
    pub(super) fn start(&mut self, vm: usize, holder: u64, now: u64) {
        let generation = Generation { configuration: 1, born: Monotonic(0) };
        let mut steward = Steward::new(self.names.clone(), Holder(holder), generation, self.settings.clone());
        // Only the main thread's serves no requests.
        if vm > 0 {
            steward.note_request(&self.shared).unwrap();
        }
        self.vms[vm] = Some(Vm { steward, stalled_until: now, calls: BTreeMap::new(), standing: None });
    }

    /// All nodes get a new configuration one by one; only the promise differs.
    pub(super) fn set_promise(&mut self, promise: Promise) {
        self.promise = promise;
    }

    /// A record of the team arrives; `None` removes it.
    pub(super) fn set_team(&mut self, id: &str, quota: Option<Quota>, now: u64) {
        let mut record = Vec::new();
        let team = TeamRecord { id, state: TenantState::Active, quota, enterprise: None, hosts: Hosts::Shared };
        team.encode(&mut record);
        let cursor = Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) };
        let entry = Entry { cursor, record: quota.map(|_| record.as_slice()) };
        // As the steward does it: what failed is tried again.
        while self.table(now).apply(&[entry]).is_err() {}
    }

    pub(super) fn table(&self, now: u64) -> KeyTable<'_, Memory> {
        let default = Limit { promise: self.promise, ..self.settings.default_limit };
        KeyTable { shared: &self.shared, names: &self.names, limits: default.into(), now: self.clock.at(now) }
    }

    pub(super) fn fleet(&self) -> Fleet {
        Company::fleet(Company::read(&self.shared, &self.names).unwrap(), self.settings.fleet.unwrap())
    }

    pub(super) fn charge(&self, account: &Account, cost: u32, patience: Patience, now: u64) -> Result<Charge, Refusal> {
        let order = Order { cost, scope: Scope::Fleet(self.fleet()), patience };
        self.table(now).charge(account, &TERMS, order)
    }

    pub(super) fn lease(&self, account: &Account, now: u64) -> Option<Lent> {
        self.table(now).lease(account)
    }

    /// Who counts what this node spends of an account at present.
    pub(super) fn counter(&self, account: &Account, now: u64) -> String {
        let since = self.lease(account, now).map_or(0, |lease| lease.since().0);
        format!("{}@{since}", self.settings.node)
    }

    pub(super) fn want(&mut self, account: &Account) {
        self.wanted.insert(account.clone());
    }

    /// Tells the steward for whom tokens are wanted, if there is one; gives the VM that is told.
    pub(super) fn tell_steward(&mut self, now: u64) -> Option<usize> {
        if self.wanted.is_empty() || !Lease::is_held(&self.shared, &self.names, self.clock.at(now)).unwrap() {
            return None;
        }
        self.queue.extend(std::mem::take(&mut self.wanted));
        self.listener
    }

    /// What a VM does at each tick, at each message, and after each answer; gives the calls to make.
    pub(super) fn serve(&mut self, vm: usize, now: u64) -> Vec<Call> {
        let now = self.clock.at(now);
        let Some(Vm { steward, standing, .. }) = &mut self.vms[vm] else { return Vec::new() };
        let stands = steward.stand(&self.shared, now).unwrap();
        match standing.replace(stands) {
            Some(Standing::Steward) if stands == Standing::Steward => {
                let wanted: BTreeSet<_> = self.queue.drain(..).collect();
                steward.settle(Unsettled { wanted, ..Unsettled::default() });
            }
            _ if stands == Standing::Steward => self.listener = Some(vm),
            Some(Standing::Steward) => self.queue.extend(steward.hand_over()),
            _ => {}
        }
        steward.calls(&self.shared, now, stands).unwrap()
    }

    pub(super) fn take_answer(&mut self, vm: usize, errand: Errand, answer: Answer<'_>, now: u64) {
        let now = Now { unix: 0, monotonic: self.clock.at(now) };
        if let Some(vm) = &mut self.vms[vm] {
            let _ = vm.steward.on_answer(&self.shared, errand, answer, now);
        }
    }
}
