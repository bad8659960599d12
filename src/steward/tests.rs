//! The steward against a small key service in memory.

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use proptest::prelude::*;
use tollkeeper_contract::{
    Digest, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState,
    page::{Cursor, Entry, NodeToken, PageWriter, Rest, ServiceId, Span, Table},
};

use super::{Answer, Call, Errand, Generation, Holder, Settings, Standing, Steward, SyncError};
use crate::{
    limiter::Limit,
    refusal::Fault,
    shared::memory::{Interleaved, Memory},
    table::{KeyTable, Meta, Names, WriteError},
    time::{Monotonic, Now},
};

/// A key service whose pages are short, so that few records make many pages.
struct Service {
    id: ServiceId,
    revision: u64,
    /// Each record with the revision of its last change; `None` when it is gone.
    rows: BTreeMap<Cursor, (u64, Option<Vec<u8>>)>,
    history_from: u64,
    page: usize,
}

impl Service {
    fn new() -> Self {
        let mut service = Self { id: ServiceId([1; 16]), revision: 0, rows: BTreeMap::new(), history_from: 0, page: 3 };
        let mut team = Vec::new();
        TeamRecord { id: "acme", state: TenantState::Active, quota: None, enterprise: None, hosts: Hosts::Shared }
            .encode(&mut team);
        service.write(Cursor { table: Table::Teams, digest: Digest::of(b"acme") }, Some(team));
        service
    }

    fn write(&mut self, cursor: Cursor, record: Option<Vec<u8>>) {
        self.revision += 1;
        self.rows.insert(cursor, (self.revision, record));
    }

    fn put_key(&mut self, name: u8, id: &str) {
        let mut record = Vec::new();
        let (kind, state) = (Kind::Application, KeyState::Active);
        KeyRecord {
            kind,
            state,
            not_before: None,
            expires: None,
            id,
            owner: Owner::Team("acme"),
            subject: "",
            scopes: "",
            origin: None,
        }
        .encode(&mut record);
        self.write(key(name), Some(record));
    }

    fn remove_key(&mut self, name: u8) {
        self.write(key(name), None);
    }

    fn answer(&self, call: &Call) -> (u16, Vec<u8>) {
        let (path, query) = call.path.split_once('?').unwrap();
        let query: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let nonce = query["nonce"].parse().unwrap();
        if path == "/node/v1/snapshot" {
            return (200, self.snapshot(query.get("after").map(|after| Cursor::from_hex(after).unwrap()), nonce));
        }
        let after: u64 = query["after"].parse().unwrap();
        match after {
            after if after > self.revision => (409, vec![]),
            after if after < self.history_from => (410, vec![]),
            after => (200, self.changes(after, nonce)),
        }
    }

    fn snapshot(&self, after: Option<Cursor>, nonce: u64) -> Vec<u8> {
        let present = |(cursor, (_, record)): (&Cursor, &(u64, Option<Vec<u8>>))| Some((*cursor, record.clone()?));
        let behind = self.rows.iter().filter(|(cursor, _)| after.is_none_or(|after| **cursor > after));
        let behind: Vec<_> = behind.filter_map(present).collect();
        let rest = if behind.len() > self.page { Rest::More } else { Rest::Done };
        let span = Span::Snapshot { after, revision: self.revision, rest };
        let page = behind.into_iter().take(self.page).map(|(cursor, record)| (cursor, Some(record)));
        self.seal(page.collect(), nonce, span)
    }

    fn changes(&self, after: u64, nonce: u64) -> Vec<u8> {
        let mut behind: Vec<_> = self.rows.iter().filter(|(_, (revision, _))| *revision > after).collect();
        behind.sort_by_key(|(_, (revision, _))| *revision);
        let more = behind.len() > self.page;
        behind.truncate(self.page);
        let to = if more { behind.last().unwrap().1.0 } else { self.revision };
        let span = Span::Changes { after, to, rest: if more { Rest::More } else { Rest::Done } };
        self.seal(behind.into_iter().map(|(cursor, (_, record))| (*cursor, record.clone())).collect(), nonce, span)
    }

    fn seal(&self, records: Vec<(Cursor, Option<Vec<u8>>)>, nonce: u64, span: Span) -> Vec<u8> {
        let mut writer = PageWriter::new();
        for (cursor, record) in &records {
            writer.push(Entry { cursor: *cursor, record: record.as_deref() }).unwrap();
        }
        writer.seal(self.id, nonce, span, &token())
    }
}

fn token() -> NodeToken {
    NodeToken::parse("a-token-for-nodes").unwrap()
}

fn key(name: u8) -> Cursor {
    Cursor { table: Table::Keys, digest: Digest::of(&[name]) }
}

/// One node with one VM.
struct Node {
    shared: Memory,
    names: Names,
    steward: Steward,
    clock: Cell<u64>,
}

impl Node {
    fn new() -> Self {
        let shared = Memory::default();
        let names = Names::new("test");
        Self { steward: steward(&names, 1), shared, names, clock: Cell::new(0) }
    }

    /// Another VM of the same node takes over.
    fn replace_steward(&mut self, holder: u64) {
        self.steward = steward(&self.names, holder);
        self.clock.set(self.clock.get() + 10_000);
    }

    fn now(&self) -> Now {
        self.clock.set(self.clock.get() + 100);
        Now { unix: 1_000_000 + self.clock.get() / 1000, monotonic: Monotonic(self.clock.get()) }
    }

    fn ask(&mut self) -> Option<Call> {
        let now = self.now();
        let standing = self.steward.stand(&self.shared, now.monotonic).unwrap();
        self.steward.calls(&self.shared, now.monotonic, standing).unwrap().into_iter().next()
    }

    fn tell(&mut self, errand: Errand, status: u16, body: &[u8]) -> Result<(), SyncError> {
        let now = self.now();
        self.steward.on_answer(&self.shared, errand, Answer::Service { status, body }, now).map(|_| ())
    }

    /// One question and its answer.
    fn step(&mut self, service: &Service) -> Result<(), SyncError> {
        let Some(call) = self.ask() else { return Ok(()) };
        let (status, body) = service.answer(&call);
        self.tell(call.errand, status, &body)
    }

    fn sync(&mut self, service: &Service) {
        for _ in 0..400 {
            self.step(service).unwrap();
            if self.revision() == Some(service.revision) && self.usable().is_ok() {
                return;
            }
        }
        panic!("never in sync");
    }

    fn revision(&self) -> Option<u64> {
        Meta::read(&self.shared, &self.names).unwrap().map(|meta| meta.revision)
    }

    fn usable(&self) -> Result<(), Fault> {
        let meta = Meta::read(&self.shared, &self.names).unwrap();
        Meta::usable(meta.as_ref(), Monotonic(self.clock.get()), Duration::from_secs(3600))
    }

    fn key_id(&self, name: u8) -> Option<String> {
        let (limits, now) = (Limit::bucket(1, 1).into(), Monotonic(0));
        let table = KeyTable { shared: &self.shared, names: &self.names, limits, now };
        let record = table.find_key(&key(name).digest).unwrap()?;
        Some(KeyRecord::decode(&record).unwrap().id.to_owned())
    }

    fn assert_mirrors(&self, service: &Service) {
        for name in 0..=u8::MAX {
            let row = service.rows.get(&key(name)).and_then(|(_, record)| record.as_ref());
            let expected = row.map(|record| KeyRecord::decode(record).unwrap().id.to_owned());
            assert_eq!(self.key_id(name), expected, "key {name}");
        }
    }
}

fn steward(names: &Names, holder: u64) -> Steward {
    let (poll, timeout) = (Duration::from_secs(20), Duration::from_secs(5));
    let (node, default_limit) = ("n".to_owned(), Limit::bucket(1, 1));
    let settings = Settings { poll, timeout, token: token(), node, default_limit };
    let generation = Generation { configuration: 0, born: Monotonic(0) };
    Steward::new(names.clone(), Holder(holder), generation, settings)
}

#[test]
fn a_node_that_starts_takes_a_snapshot_and_then_waits_for_changes() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.sync(&service);
    node.assert_mirrors(&service);
    let call = node.ask().unwrap();
    assert!(call.path.starts_with("/node/v1/changes?after=11&wait=20&"), "{}", call.path);
    assert_eq!(call.timeout, Duration::from_secs(25));
}

#[test]
fn nothing_is_served_before_the_snapshot_and_the_changes_made_meanwhile_are_in() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    for change in 10..13 {
        assert_eq!(node.usable(), Err(Fault::NotSynced));
        node.step(&service).unwrap();
        service.put_key(change, "late");
    }
    while node.revision().is_none() {
        node.step(&service).unwrap();
    }
    assert_eq!(node.usable(), Err(Fault::NotSynced), "the changes made during the snapshot are not in yet");
    node.sync(&service);
    node.assert_mirrors(&service);
}

#[test]
fn a_revoked_key_is_gone_with_the_next_answer() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    assert!(node.key_id(1).is_some());
    service.remove_key(1);
    node.step(&service).unwrap();
    assert_eq!(node.key_id(1), None);
}

#[test]
fn an_answer_that_was_cut_anywhere_is_refused_whole() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "old");
    node.sync(&service);
    service.put_key(1, "new");
    let body_of = |call: &Call| service.answer(call).1;
    let length = body_of(&node.ask().unwrap()).len();
    for cut in 0..length {
        node.steward.sync.abandon();
        node.clock.set(node.clock.get() + 2000);
        let call = node.ask().unwrap();
        assert_eq!(node.tell(call.errand, 200, &body_of(&call)[..cut]), Err(SyncError::Broken), "cut at {cut}");
        assert_eq!(node.key_id(1).as_deref(), Some("old"));
    }
    node.clock.set(node.clock.get() + 2000);
    node.sync(&service);
    assert_eq!(node.key_id(1).as_deref(), Some("new"));
}

#[test]
fn what_is_not_the_key_services_answer_changes_nothing() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    for (status, body) in [(200, "[]"), (200, ""), (200, "<html>"), (500, ""), (404, "{}"), (401, "")] {
        node.clock.set(node.clock.get() + 2000);
        let call = node.ask().unwrap();
        assert!(node.tell(call.errand, status, body.as_bytes()).is_err(), "{status} {body}");
    }
    for answer in [Answer::Nothing, Answer::Stranger { status: 503 }] {
        node.clock.set(node.clock.get() + 2000);
        let (errand, now) = (node.ask().unwrap().errand, node.now());
        assert!(matches!(
            node.steward.on_answer(&node.shared, errand, answer, now),
            Err(SyncError::Unreachable { .. })
        ));
    }
    node.assert_mirrors(&service);
}

#[test]
fn an_answer_to_an_earlier_question_is_refused() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    let (_, old) = service.answer(&node.ask().unwrap());
    node.steward.sync.abandon();
    service.remove_key(1);
    let call = node.ask().unwrap();
    assert_eq!(node.tell(call.errand, 200, &old), Err(SyncError::OtherQuestion));
}

#[test]
fn a_key_service_that_went_back_or_is_another_is_refused() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);

    let restored = Service::new();
    assert_eq!(node.step(&restored), Err(SyncError::WentBack));

    let mut other = Service { id: ServiceId([2; 16]), ..Service::new() };
    (2..9).for_each(|name| other.put_key(name, "k"));
    node.clock.set(node.clock.get() + 2000);
    assert_eq!(node.step(&other), Err(SyncError::OtherDatabase));
    other.history_from = other.revision;
    node.clock.set(node.clock.get() + 2000);
    node.step(&other).unwrap();
    assert_eq!(node.step(&other), Err(SyncError::OtherDatabase), "nor does its snapshot replace the table");
    node.assert_mirrors(&service);
}

#[test]
fn a_node_that_missed_too_much_takes_a_snapshot_and_serves_meanwhile() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.sync(&service);
    (0..5).for_each(|name| service.remove_key(name));
    (20..30).for_each(|name| service.put_key(name, "k"));
    service.history_from = service.revision;
    while node.revision() != Some(service.revision) {
        node.step(&service).unwrap();
        assert_eq!(node.usable(), Ok(()));
    }
    node.assert_mirrors(&service);
}

#[test]
fn a_steward_whose_vm_trapped_is_replaced_at_any_moment() {
    for steps in 0..12 {
        let (mut service, mut node) = (Service::new(), Node::new());
        (0..10).for_each(|name| service.put_key(name, "k"));
        for _ in 0..steps {
            node.step(&service).unwrap();
        }
        service.remove_key(3);
        node.replace_steward(2);
        node.sync(&service);
        node.assert_mirrors(&service);
    }
}

#[test]
fn a_steward_that_was_replaced_while_it_waited_writes_nothing() {
    let (mut service, mut node) = (Service::new(), Node::new());
    service.put_key(1, "k");
    node.sync(&service);
    service.put_key(2, "k");
    let call = node.ask().unwrap();
    let (status, stale) = service.answer(&call);

    let old = std::mem::replace(&mut node.steward, steward(&node.names, 2));
    node.clock.set(node.clock.get() + 10_000);
    service.remove_key(2);
    node.sync(&service);

    let new = std::mem::replace(&mut node.steward, old);
    assert_eq!(node.tell(call.errand, status, &stale), Err(SyncError::Write(WriteError::Superseded)));
    assert_eq!(node.key_id(2), None, "a removed key must not come back");
    node.steward = new;
    node.assert_mirrors(&service);
}

#[test]
fn a_steward_that_is_replaced_at_any_moment_of_its_writing_undoes_nothing() {
    for moment in 0..20 {
        let (mut service, mut node) = (Service::new(), Node::new());
        service.put_key(1, "k");
        node.sync(&service);
        service.put_key(1, "changed");
        let call = node.ask().unwrap();
        let (status, stale) = service.answer(&call);
        service.remove_key(1);

        let old = std::mem::replace(&mut node.steward, steward(&node.names, 2));
        let mut old_node = Node { steward: old, ..Node::new() };
        std::mem::swap(&mut node.shared, &mut old_node.shared);
        let shared = &old_node.shared;
        let successor = || {
            // Another VM takes over and applies everything, while the old one is stalled.
            let mut successor = Node { clock: Cell::new(node.clock.get() + 10_000), ..Node::new() };
            successor.steward = steward(&node.names, 2);
            for _ in 0..4 {
                let now = successor.now();
                let standing = successor.steward.stand(shared, now.monotonic).unwrap();
                for call in successor.steward.calls(shared, now.monotonic, standing).unwrap() {
                    let (status, body) = service.answer(&call);
                    let answer = Answer::Service { status, body: &body };
                    let _ = successor.steward.on_answer(shared, call.errand, answer, now);
                }
            }
        };
        let interleaved = Interleaved::new(shared, moment, successor);
        let answer = Answer::Service { status, body: &stale };
        let now = Now { unix: 0, monotonic: Monotonic(node.clock.get()) };
        let _ = old_node.steward.on_answer(&interleaved, call.errand, answer, now);
        if interleaved.has_acted() {
            assert_eq!(old_node.key_id(1), None, "replaced before access {moment}");
        }
    }
}

#[test]
fn a_snapshot_goes_on_where_it_was_when_an_answer_fails_to_come() {
    let (mut service, mut node) = (Service::new(), Node::new());
    (0..10).for_each(|name| service.put_key(name, "k"));
    node.step(&service).unwrap();
    let call = node.ask().unwrap();
    assert!(call.path.contains("after="), "{}", call.path);
    assert!(node.tell(call.errand, 503, b"").is_err());
    node.clock.set(node.clock.get() + 2000);
    let again = node.ask().unwrap();
    assert_eq!(again.path.split('&').next(), call.path.split('&').next());
}

#[test]
fn only_the_steward_asks() {
    let (service, mut node) = (Service::new(), Node::new());
    node.sync(&service);
    let mut other = steward(&node.names, 2);
    let now = node.now();
    let standing = other.stand(&node.shared, now.monotonic).unwrap();
    assert_eq!(standing, Standing::Other);
    assert_eq!(other.calls(&node.shared, now.monotonic, standing).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_meanwhile_the_table_ends_as_the_database(
        events in proptest::collection::vec((0..12_u8, 0..20_u8), 1..80),
    ) {
        let (mut service, mut node) = (Service::new(), Node::new());
        for (event, name) in events {
            match event {
                0..=3 => service.put_key(name, &format!("k{event}")),
                4 => service.remove_key(name),
                5 => service.history_from = service.revision,
                6 => {
                    node.replace_steward(u64::from(name) + 2);
                }
                7 => {
                    // The answer is lost.
                    node.ask();
                    node.clock.set(node.clock.get() + 40_000);
                }
                8 => {
                    if let Some(call) = node.ask() {
                        let _ = node.tell(call.errand, 200, b"nonsense");
                        node.clock.set(node.clock.get() + 2000);
                    }
                }
                9 => {
                    node.shared.conflict_next(1);
                    let _ = node.step(&service);
                    node.shared.conflict_next(0);
                    node.clock.set(node.clock.get() + 2000);
                }
                _ => node.step(&service).unwrap(),
            }
        }
        node.clock.set(node.clock.get() + 40_000);
        node.sync(&service);
        node.assert_mirrors(&service);
    }
}
