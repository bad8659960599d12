//! What becomes of a cell, alone and while others write it.

use super::{Charge, Order};
use crate::{
    config::Promise,
    lease::{Patience, Taking},
    limiter::Limit,
    policy::Terms,
    principal::Account,
    purse::Scope,
    refusal::{Denial, Fault, Refusal},
    shared::{
        SharedData,
        memory::{Interleaved, Memory},
    },
    table::{KeyTable, Names, WriteError},
    time::Monotonic,
};
use tollkeeper_contract::{
    Digest, Hosts, Quota, TeamRecord, TenantState,
    page::{Cursor, Entry, Table},
};

const NOW: Monotonic = Monotonic(1000);

fn names() -> Names {
    Names::new("test")
}

const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };

const ONE: Order = Order { cost: 1, scope: Scope::Process, patience: Patience::New };

fn acme() -> Account {
    Account::Team("acme".into())
}

fn three() -> Limit {
    Limit::bucket(3, 300)
}

fn charge(shared: &impl SharedData, now: Monotonic) -> Result<Charge, Refusal> {
    KeyTable { shared, names: &names(), limits: three().into(), now }.charge(&acme(), &TERMS, ONE)
}

fn write(shared: &impl SharedData, state: TenantState, quota: Option<Quota>) {
    let mut record = Vec::new();
    TeamRecord { id: "acme", state, quota, enterprise: None, hosts: Hosts::Shared }.encode(&mut record);
    let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
    let table = KeyTable { shared, names: &names(), limits: three().into(), now: NOW };
    table.apply(&[Entry { cursor, record: Some(&record) }]).unwrap();
}

fn take(shared: &impl SharedData) -> Result<bool, Refusal> {
    charge(shared, NOW).map(|charge| matches!(charge.taking, Taking::Taken(_)))
}

#[test]
fn a_team_has_its_quota_and_no_more() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    assert_eq!((0..9).filter(|_| take(&shared) == Ok(true)).count(), 3);
}

#[test]
fn an_unknown_team_gets_no_cell() {
    let shared = Memory::default();
    assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()));
    assert!(shared.names().is_empty());
}

#[test]
fn a_change_of_quota_holds_at_once_and_gives_no_fresh_bucket() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    while take(&shared) == Ok(true) {}
    write(&shared, TenantState::Active, Some(Quota::new(1000, 300).unwrap()));
    assert_eq!(take(&shared), Ok(false));
    let taken = charge(&shared, NOW.after(300));
    assert!(
        matches!(taken, Ok(Charge { taking: Taking::Taken(_), limit, .. }) if limit.quota.limit().get() == 1000),
        "{taken:?}"
    );
}

#[test]
fn what_an_idle_team_saves_up_after_a_change_comes_from_the_new_quota() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, Some(Quota::new(1000, 10).unwrap()));
    while take(&shared) == Ok(true) {}
    write(&shared, TenantState::Active, Some(Quota::new(3, 300).unwrap()));
    let exhausted = charge(&shared, NOW.after(60_000));
    assert!(matches!(exhausted, Ok(Charge { taking: Taking::Refused { wait: 40_000, .. }, .. })), "{exhausted:?}");
}

#[test]
fn a_changed_default_holds_from_the_next_request_on() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    while take(&shared) == Ok(true) {}
    let charge = |now| {
        let limits = Limit::bucket(1000, 300).into();
        KeyTable { shared: &shared, names: &names(), limits, now }.charge(&acme(), &TERMS, ONE)
    };
    assert!(matches!(charge(NOW), Ok(Charge { taking: Taking::Refused { .. }, .. })));
    assert!(matches!(charge(NOW.after(300)), Ok(Charge { taking: Taking::Taken(_), .. })));
}

#[test]
fn a_changed_promise_holds_from_the_next_request_on_and_gives_no_fresh_tokens() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    while take(&shared) == Ok(true) {}
    let charge = |now| {
        let limits = Limit { promise: Promise::Strict, ..three() }.into();
        KeyTable { shared: &shared, names: &names(), limits, now }.charge(&acme(), &TERMS, ONE)
    };
    assert!(matches!(charge(NOW), Ok(Charge { taking: Taking::Refused { wait: 300_001, .. }, .. })));
    assert!(matches!(charge(NOW.after(150_000)), Ok(Charge { taking: Taking::Refused { wait: 150_001, .. }, .. })));
    assert!(
        matches!(charge(NOW.after(300_001)), Ok(Charge { taking: Taking::Taken(_), left, .. }) if left.tokens == 2)
    );
}

#[test]
fn a_disabled_team_is_refused_at_once_and_keeps_its_bucket() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    assert_eq!(take(&shared), Ok(true));
    write(&shared, TenantState::Disabled, None);
    assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()));
    write(&shared, TenantState::Active, None);
    assert_eq!((0..9).filter(|_| take(&shared) == Ok(true)).count(), 2);
}

#[test]
fn contention_is_survived_and_when_it_does_not_end_refused_as_our_fault() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    shared.conflict_next(5);
    assert_eq!(take(&shared), Ok(true));
    shared.conflict_next(u32::MAX);
    assert_eq!(take(&shared), Err(Fault::BucketContended.into()));
}

#[test]
fn a_cell_that_cannot_be_read_is_our_fault() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    shared.put(&names().cell(&acme()), b"nonsense");
    assert_eq!(take(&shared), Err(Fault::TableUnreadable.into()));
}

#[test]
fn a_record_that_changes_at_any_moment_of_the_first_request_is_in_the_cell_afterwards() {
    for moment in 0..6 {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        let change = || write(&shared, TenantState::Disabled, None);
        let interleaved = Interleaved::new(&shared, moment, change);
        let _ = take(&interleaved);
        if interleaved.has_acted() {
            assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()), "changed before access {moment}");
        }
    }
}

fn remove(shared: &impl SharedData) -> Result<(), WriteError> {
    let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
    let table = KeyTable { shared, names: &names(), limits: three().into(), now: NOW };
    table.apply(&[Entry { cursor, record: None }])
}

#[test]
fn a_removal_that_breaks_off_at_any_moment_and_is_repeated_leaves_nobody_served() {
    for moment in 0..12 {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        assert_eq!(take(&shared), Ok(true));
        // From this access on, every write of the steward fails; a request comes in between.
        let interleaved = Interleaved::new(&shared, moment, || {
            let _ = take(&shared);
            shared.conflict_next(u32::MAX);
        });
        let broken_off = remove(&interleaved).is_err();
        shared.conflict_next(0);
        if broken_off {
            assert_eq!(remove(&shared), Ok(()), "broken off before access {moment}");
        }
        assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()), "broken off before access {moment}");
        write(&shared, TenantState::Active, None);
        assert_eq!(take(&shared), Ok(true), "made again after {moment}");
    }
}

#[test]
fn a_team_that_goes_leaves_an_empty_cell() {
    let shared = Memory::default();
    write(&shared, TenantState::Active, None);
    assert_eq!(take(&shared), Ok(true));
    remove(&shared).unwrap();
    assert_eq!(shared.get(&names().cell(&acme())).unwrap().unwrap().bytes, b"");
}
