//! A node whose table a steward keeps.

use std::{cell::Cell, time::Duration};

use tollkeeper_contract::KeyRecord;

use super::service::{Service, key, token};
use crate::{
    lease::{Patience, Taking},
    limiter::Limit,
    policy::Terms,
    principal::Account,
    purse::Scope,
    refusal::{Denial, Fault},
    shared::memory::Memory,
    steward::{Answer, Call, Errand, Generation, Holder, Settings, Steward, SyncError},
    table::{KeyTable, Limits, Meta, Names, Order, read_factor},
    time::{Monotonic, Now},
};

/// One node with one VM.
pub(super) struct Node {
    pub(super) shared: Memory,
    pub(super) names: Names,
    pub(super) steward: Steward,
    pub(super) clock: Cell<u64>,
}

impl Node {
    pub(super) fn new() -> Self {
        let shared = Memory::default();
        let names = Names::new("test");
        Self { steward: steward(&names, 1), shared, names, clock: Cell::new(0) }
    }

    /// Another VM of the same node takes over.
    pub(super) fn replace_steward(&mut self, holder: u64) {
        self.steward = steward(&self.names, holder);
        self.clock.set(self.clock.get() + 10_000);
    }

    pub(super) fn now(&self) -> Now {
        self.clock.set(self.clock.get() + 100);
        Now { unix: 1_000_000 + self.clock.get() / 1000, monotonic: Monotonic(self.clock.get()) }
    }

    pub(super) fn ask(&mut self) -> Option<Call> {
        let now = self.now();
        let standing = self.steward.stand(&self.shared, now.monotonic).unwrap();
        self.steward.calls(&self.shared, now.monotonic, standing).unwrap().into_iter().next()
    }

    pub(super) fn tell(&mut self, errand: Errand, status: u16, body: &[u8]) -> Result<(), SyncError> {
        let now = self.now();
        self.steward.on_answer(&self.shared, errand, Answer::Service { status, body }, now).map(|_| ())
    }

    /// One question and its answer.
    pub(super) fn step(&mut self, service: &Service) -> Result<(), SyncError> {
        let Some(call) = self.ask() else { return Ok(()) };
        let (status, body) = service.answer(&call);
        self.tell(call.errand, status, &body)
    }

    pub(super) fn sync(&mut self, service: &Service) {
        for _ in 0..400 {
            self.step(service).unwrap();
            if self.revision() == Some(service.revision) && self.usable().is_ok() {
                return;
            }
        }
        panic!("never in sync");
    }

    pub(super) fn revision(&self) -> Option<u64> {
        Meta::read(&self.shared, &self.names).unwrap().map(|meta| meta.revision)
    }

    pub(super) fn usable(&self) -> Result<(), Fault> {
        let meta = Meta::read(&self.shared, &self.names).unwrap();
        Meta::usable(meta.as_ref(), Monotonic(self.clock.get()), Duration::from_secs(3600))
    }

    pub(super) fn key_id(&self, name: u8) -> Option<String> {
        let (limits, now) = (Limit::bucket(1, 1).into(), Monotonic(0));
        let table = KeyTable { shared: &self.shared, names: &self.names, limits, now };
        let record = table.find_key(&key(name).digest).unwrap()?;
        Some(KeyRecord::decode(&record).unwrap().id.to_owned())
    }

    /// Takes what the team `acme` has left, one by one; says how much that was.
    pub(super) fn spend(&self) -> usize {
        const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };
        const ONE: Order = Order { cost: 1, scope: Scope::Process, patience: Patience::New };
        let factor = read_factor(&self.shared, &self.names).unwrap();
        let (limits, now) = (Limits { default: Limit::bucket(1, 1), factor }, Monotonic(self.clock.get()));
        let table = KeyTable { shared: &self.shared, names: &self.names, limits, now };
        let take = |_: &usize| table.charge(&Account::Team("acme".into()), &TERMS, ONE).unwrap().taking;
        (0..).take_while(|number| matches!(take(number), Taking::Taken(_))).count()
    }

    pub(super) fn assert_mirrors(&self, service: &Service) {
        for name in 0..=u8::MAX {
            let row = service.rows.get(&key(name)).and_then(|(_, record)| record.as_ref());
            let expected = row.map(|record| KeyRecord::decode(record).unwrap().id.to_owned());
            assert_eq!(self.key_id(name), expected, "key {name}");
        }
    }
}

pub(super) fn steward(names: &Names, holder: u64) -> Steward {
    let (poll, timeout) = (Duration::from_secs(20), Duration::from_secs(5));
    let (node, default_limit) = ("n".to_owned(), Limit::bucket(1, 1));
    let (token, instance) = (token(), "test".to_owned());
    let settings = Settings { poll, timeout, token, node, instance, default_limit, fleet: None };
    let generation = Generation { configuration: 0, born: Monotonic(0) };
    Steward::new(names.clone(), Holder(holder), generation, settings)
}
