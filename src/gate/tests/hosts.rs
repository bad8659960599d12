//! On which hosts a team is served.

use super::Door;
use crate::{
    refusal::Denial,
    request::{Field, Request},
};
use tollkeeper_contract::{HostRecord, Hosts, TeamRecord, TenantState, page::Table};

fn publish_team(door: &Door, hosts: Hosts) {
    let mut team = Vec::new();
    TeamRecord { id: "acme", state: TenantState::Active, quota: None, enterprise: None, hosts }.encode(&mut team);
    door.publish(Table::Teams, "acme", Some(&team));
}

fn publish_host(door: &Door, host: &str, team: &str) {
    let mut record = Vec::new();
    HostRecord { host, team }.encode(&mut record);
    door.publish(Table::Hosts, host, Some(&record));
}

/// What becomes of a request with a good key, without using up the bucket.
fn on(door: &Door, authority: &[u8]) -> &'static str {
    let (target, authorization) = (b"/api/acme/free".as_slice(), Field::Once(b"Token good"));
    let verdict = door.judge(&Request { method: b"GET", target, authority, authorization, ..Request::default() });
    if verdict.word() == "granted" { "granted" } else { verdict.reason() }
}

#[test]
fn a_team_with_hosts_of_its_own_is_served_there_however_the_host_is_written_and_nowhere_else() {
    let door = Door::new();
    publish_team(&door, Hosts::Own);
    publish_host(&door, "api.acme.example", "acme");
    publish_host(&door, "api.globex.example", "globex");
    for own in
        ["api.acme.example", "API.Acme.Example", "api.acme.example:8443", "api.acme.example.", "api.acme.example.:1"]
    {
        assert_eq!(on(&door, own.as_bytes()), "granted", "{own}");
    }
    for foreign in ["api.globex.example", "shared.example", "acme.example", "api.acme.example.evil.example", ""] {
        assert_eq!(on(&door, foreign.as_bytes()), Denial::HostMismatch.word(), "{foreign:?}");
    }
}

#[test]
fn a_team_without_hosts_is_served_on_every_host_that_belongs_to_nobody() {
    let door = Door::new();
    publish_host(&door, "api.globex.example", "globex");
    assert_eq!(on(&door, b"shared.example"), "granted");
    assert_eq!(on(&door, b"10.0.0.1:8080"), "granted");
    assert_eq!(on(&door, b"api.globex.example:80"), Denial::HostMismatch.word());
    door.publish(Table::Hosts, "api.globex.example", None);
    assert_eq!(on(&door, b"api.globex.example:80"), "granted", "the host was given up");
}

#[test]
fn a_host_that_cannot_be_read_is_nobodys() {
    let door = Door::new();
    for unreadable in [b"user@shared.example".as_slice(), b"a b", b"shared.example/x", b"\xff", b"a,b", b":80"] {
        assert_eq!(on(&door, unreadable), Denial::HostMismatch.word(), "{unreadable:?}");
    }
}

#[test]
fn a_team_that_gets_hosts_of_its_own_is_refused_elsewhere_from_the_next_request_on() {
    let door = Door::new();
    assert_eq!(on(&door, b"shared.example"), "granted");
    publish_team(&door, Hosts::Own);
    assert_eq!(on(&door, b"shared.example"), Denial::HostMismatch.word());
}
