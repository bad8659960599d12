//! What is remembered, and for how long.

use std::cell::RefCell;

use super::{Recent, Records};
use crate::{
    limiter::Limit,
    refusal::Denial,
    shared::{
        SharedData,
        memory::{Interleaved, Memory},
    },
    table::{KeyTable, Names, WriteError},
    time::Monotonic,
};
use tollkeeper_contract::{
    Digest,
    page::{Cursor, Entry, Table},
    shard,
};

fn table<'a, Shared: SharedData>(shared: &'a Shared, names: &'a Names) -> KeyTable<'a, Shared> {
    KeyTable { shared, names, limits: Limit::bucket(1, 1).into(), now: Monotonic(0) }
}

fn digest() -> Digest {
    Digest::of(b"key")
}

fn write(shared: &impl SharedData, record: Option<&[u8]>) -> Result<(), WriteError> {
    let cursor = Cursor { table: Table::Keys, digest: digest() };
    table(shared, &Names::new("test")).apply(&[Entry { cursor, record }])
}

/// What a request finds whose VM has this in memory.
fn find(shared: &impl SharedData, recent: &RefCell<Recent>) -> Option<Vec<u8>> {
    let names = Names::new("test");
    let table = table(shared, &names);
    Records::now(&table, recent).unwrap().find_key(&digest()).unwrap().map(|record| record.to_vec())
}

/// What stands in the shard.
fn stands(shared: &impl SharedData) -> Option<Vec<u8>> {
    table(shared, &Names::new("test")).find_key(&digest()).unwrap()
}

fn put_shard(shared: &Memory, record: &[u8]) {
    let shard = shard::encode(&[(digest(), record)]).unwrap();
    shared.put(&Names::new("test").shard_of(Table::Keys, &digest()), &shard);
}

#[test]
fn a_record_is_read_once_until_records_are_written() {
    let (shared, recent) = (Memory::default(), RefCell::default());
    write(&shared, Some(b"old")).unwrap();
    assert_eq!(find(&shared, &recent), Some(b"old".to_vec()));
    // Nobody writes like this: it shows that nobody looks.
    put_shard(&shared, b"unseen");
    assert_eq!(find(&shared, &recent), Some(b"old".to_vec()));
    write(&shared, Some(b"new")).unwrap();
    assert_eq!(find(&shared, &recent), Some(b"new".to_vec()));
    write(&shared, None).unwrap();
    assert_eq!(find(&shared, &recent), None);
}

#[test]
fn at_every_moment_of_a_change_memory_says_what_stands_in_the_shard() {
    for moment in 0..9 {
        let (shared, recent) = (Memory::default(), RefCell::default());
        write(&shared, Some(b"active")).unwrap();
        find(&shared, &recent);
        let look = || assert_eq!(find(&shared, &recent), stands(&shared), "before access {moment}");
        write(&Interleaved::new(&shared, moment, look), Some(b"revoked")).unwrap();
        assert_eq!(find(&shared, &recent), Some(b"revoked".to_vec()));
    }
}

#[test]
fn a_change_at_any_moment_of_a_request_is_seen_by_the_next() {
    // A request looks at the stamp, and then at the shard.
    for moment in 0..2 {
        let (shared, recent) = (Memory::default(), RefCell::default());
        write(&shared, Some(b"active")).unwrap();
        let revoke = || write(&shared, Some(b"revoked")).unwrap();
        let interleaved = Interleaved::new(&shared, moment, revoke);
        find(&interleaved, &recent);
        assert!(interleaved.has_acted(), "access {moment}");
        assert_eq!(find(&shared, &recent), Some(b"revoked".to_vec()), "access {moment}");
    }
}

#[test]
fn after_a_steward_that_broke_off_everything_is_read_from_its_shard_until_another_has_written() {
    let (shared, recent) = (Memory::default(), RefCell::default());
    write(&shared, Some(b"active")).unwrap();
    find(&shared, &recent);
    // Before the shard is written, after the stamp was marked.
    let interleaved = Interleaved::new(&shared, 3, || shared.conflict_next(1));
    assert_eq!(write(&interleaved, Some(b"revoked")), Err(WriteError::Superseded));
    for record in [b"one", b"two"] {
        put_shard(&shared, record);
        assert_eq!(find(&shared, &recent), Some(record.to_vec()));
    }
    write(&shared, Some(b"revoked")).unwrap();
    assert_eq!(find(&shared, &recent), Some(b"revoked".to_vec()));
}

#[test]
fn keys_that_nobody_has_are_not_remembered() {
    let (shared, recent, names) = (Memory::default(), RefCell::default(), Names::new("test"));
    write(&shared, Some(b"active")).unwrap();
    let table = table(&shared, &names);
    let records = Records::now(&table, &recent).unwrap();
    for number in 0..100_u32 {
        assert_eq!(records.find_key(&Digest::of(&number.to_le_bytes())).unwrap(), None);
    }
    assert!(recent.borrow().slots.is_empty());
}

#[test]
fn whose_host_it_is_is_read_once_for_each_spelling_until_records_are_written() {
    let (shared, recent, names) = (Memory::default(), RefCell::default(), Names::new("test"));
    let table = table(&shared, &names);
    let write = |record: &[u8]| {
        let cursor = Cursor { table: Table::Hosts, digest: Digest::of(b"api.example") };
        table.apply(&[Entry { cursor, record: Some(record) }]).unwrap();
    };
    let find = |authority: &[u8]| Records::now(&table, &recent).unwrap().find_host(authority);
    let found = |authority: &[u8]| find(authority).unwrap().map(|record| record.to_vec());
    for record in [b"one", b"two"] {
        write(record);
        for authority in [b"api.example".as_slice(), b"API.example:8080", b"api.example."] {
            assert_eq!(found(authority), Some(record.to_vec()));
            assert_eq!(found(authority), Some(record.to_vec()));
        }
        assert_eq!(found(b"other.example"), None);
        assert_eq!(find(b"no host"), Err(Denial::HostMismatch.into()));
    }
    assert_eq!(recent.borrow().slots.iter().flatten().count(), 4);
}

#[test]
fn an_authority_that_is_longer_than_any_host_is_not_remembered() {
    let (shared, recent, names) = (Memory::default(), RefCell::default(), Names::new("test"));
    write(&shared, Some(b"active")).unwrap();
    let table = table(&shared, &names);
    let long = format!("api.example:{}", "0".repeat(1000));
    assert_eq!(Records::now(&table, &recent).unwrap().find_host(long.as_bytes()), Ok(None));
    assert!(recent.borrow().slots.is_empty());
}
