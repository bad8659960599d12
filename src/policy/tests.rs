//! Who may do what, from where, and for whom.

use tollkeeper_contract::{EnterpriseRecord, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState};

use super::{Demand, Tenant, Terms, check, is_live};
use crate::{
    config::Style,
    principal::{Account, Principal},
    refusal::Denial,
    request::Field,
};

const KEY: KeyRecord<'_> = KeyRecord {
    kind: Kind::Application,
    state: KeyState::Active,
    not_before: Some(100),
    expires: Some(200),
    id: "k",
    owner: Owner::Team("acme"),
    subject: "",
    scopes: "read write",
    origin: None,
};
const ENTERPRISE_KEY: KeyRecord<'_> =
    KeyRecord { kind: Kind::EnterpriseServiceAccount, owner: Owner::Enterprise("umbrella"), ..KEY };
const DEMAND: Demand<'_, [&str; 1]> =
    Demand { team: Some(b"acme"), delegate: Field::Absent, origin: Field::Absent, scopes: ["read"] };
const TEAM: TeamRecord<'_> = TeamRecord {
    id: "acme",
    state: TenantState::Active,
    quota: None,
    enterprise: Some("umbrella"),
    hosts: Hosts::Shared,
};
const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };

fn of(key: &KeyRecord<'_>) -> Principal {
    Principal::of_key(Style::Token, key)
}

fn team(id: &str) -> Account {
    Account::Team(id.into())
}

#[test]
fn a_key_works_from_its_first_second_to_before_its_last() {
    assert_eq!(is_live(&KEY, 99), Err(Denial::KeyNotYetValid));
    assert_eq!(is_live(&KEY, 100), Ok(()));
    assert_eq!(is_live(&KEY, 199), Ok(()));
    assert_eq!(is_live(&KEY, 200), Err(Denial::KeyExpired));
}

#[test]
fn a_key_that_was_ended_says_so_whatever_its_dates_say() {
    for (state, denial) in [(KeyState::Disabled, Denial::KeyDisabled), (KeyState::Revoked, Denial::KeyRevoked)] {
        assert_eq!(is_live(&KeyRecord { state, ..KEY }, 500), Err(denial));
    }
}

#[test]
fn teams_are_compared_byte_for_byte() {
    for other in ["Acme", "acm", "acme ", "acme2", "", "globex"] {
        let demand = Demand { team: Some(other.as_bytes()), ..DEMAND };
        assert_eq!(check(&of(&KEY), demand), Err(Denial::TeamMismatch), "{other}");
    }
    assert_eq!(check(&of(&KEY), Demand { team: None, ..DEMAND }), Ok(team("acme")));
}

#[test]
fn every_needed_scope_must_be_there_whole() {
    let with = |scopes: &[&'static str]| {
        let demand =
            Demand { team: None, delegate: Field::Absent, origin: Field::Absent, scopes: scopes.iter().copied() };
        check(&of(&KEY), demand)
    };
    assert_eq!(with(&["read", "write"]), Ok(team("acme")));
    assert_eq!(with(&[]), Ok(team("acme")));
    for lacking in ["rea", "read write", "READ", ""] {
        assert_eq!(with(&["read", lacking]), Err(Denial::MissingScope), "{lacking}");
    }
}

#[test]
fn a_key_without_scopes_may_do_what_needs_none() {
    let principal = of(&KeyRecord { scopes: "", ..KEY });
    assert_eq!(check(&principal, DEMAND), Err(Denial::MissingScope));
    let nothing = Demand { team: None, delegate: Field::Absent, origin: Field::Absent, scopes: [] };
    assert_eq!(check(&principal, nothing), Ok(team("acme")));
}

#[test]
fn a_user_takes_rights_from_a_personal_key_but_gives_none() {
    for (permissions, left) in [("read", "read"), ("admin read write", "read write"), ("writ", ""), ("", "")] {
        let mut principal = of(&KeyRecord { kind: Kind::Personal, subject: "ada", ..KEY });
        principal.narrow(permissions);
        assert_eq!(principal.scopes, left, "{permissions}");
    }
}

#[test]
fn a_personal_key_that_is_not_narrowed_does_what_its_user_may() {
    for permissions in ["read", "admin read write", ""] {
        let mut principal = of(&KeyRecord { kind: Kind::Personal, subject: "ada", scopes: "*", ..KEY });
        principal.narrow(permissions);
        assert_eq!(principal.scopes, permissions);
    }
}

#[test]
fn a_bound_key_needs_exactly_one_origin_which_is_its_own() {
    let bound = of(&KeyRecord { origin: Some("mycoolapp.com/api"), ..KEY });
    let from = |origin| check(&bound, Demand { origin, ..DEMAND });
    assert_eq!(from(Field::Once(b"myCoolApp.com/api")), Ok(team("acme")));
    for wrong in
        [Field::Absent, Field::Repeated, Field::Once(b"null"), Field::Once(b"other.com/api"), Field::Once(b"\xff")]
    {
        assert_eq!(from(wrong), Err(Denial::OriginMismatch), "{wrong:?}");
    }
    for any in [Field::Absent, Field::Repeated, Field::Once(b"null")] {
        assert_eq!(check(&of(&KEY), Demand { origin: any, ..DEMAND }), Ok(team("acme")));
    }
}

#[test]
fn only_an_enterprise_may_name_another_team() {
    for delegate in [Field::Once(b"acme".as_slice()), Field::Once(b""), Field::Repeated] {
        for kind in [Kind::Application, Kind::ServiceAccount, Kind::Personal] {
            let principal = of(&KeyRecord { kind, ..KEY });
            assert_eq!(check(&principal, Demand { delegate, ..DEMAND }), Err(Denial::DelegationRefused));
        }
    }
}

#[test]
fn an_enterprise_acts_for_the_team_in_the_header_then_for_the_one_in_the_path_then_for_itself() {
    let act = |delegate, team| check(&of(&ENTERPRISE_KEY), Demand { delegate, team, ..DEMAND });
    assert_eq!(act(Field::Once(b"globex"), None), Ok(team("globex")));
    assert_eq!(act(Field::Once(b"globex"), Some(b"globex")), Ok(team("globex")));
    assert_eq!(act(Field::Absent, Some(b"acme")), Ok(team("acme")));
    assert_eq!(act(Field::Absent, None), Ok(Account::Enterprise("umbrella".into())));
    assert_eq!(act(Field::Once(b"globex"), Some(b"acme")), Err(Denial::DelegationRefused));
    for wrong in
        [Field::Once(b"".as_slice()), Field::Once(b"a b"), Field::Once(b"\xff"), Field::Once(b".."), Field::Repeated]
    {
        assert_eq!(act(wrong, None), Err(Denial::DelegationRefused), "{wrong:?}");
    }
    assert_eq!(act(Field::Absent, Some(b"%20")), Err(Denial::TeamMismatch));
}

#[test]
fn a_foreign_team_and_an_unknown_one_look_alike_to_an_enterprise() {
    let principal = of(&ENTERPRISE_KEY);
    for (delegate, denial) in
        [(Field::Once(b"acme".as_slice()), Denial::DelegationRefused), (Field::Absent, Denial::TeamMismatch)]
    {
        let terms = Terms::new(&principal, delegate, None);
        assert_eq!(terms.unknown(&team("acme")), denial);
        for enterprise in [None, Some("other")] {
            for state in [TenantState::Active, TenantState::Disabled] {
                let foreign = Tenant::Team(TeamRecord { enterprise, state, ..TEAM });
                assert_eq!(terms.check(&foreign), Err(denial));
            }
        }
        assert_eq!(terms.check(&Tenant::Team(TEAM)), Ok(()));
    }
}

#[test]
fn a_disabled_tenant_is_not_served() {
    let disabled = Tenant::Team(TeamRecord { state: TenantState::Disabled, ..TEAM });
    assert_eq!(TERMS.check(&disabled), Err(Denial::TeamDisabled));
    let enterprise = EnterpriseRecord { id: "umbrella", state: TenantState::Disabled, quota: None };
    assert_eq!(TERMS.check(&Tenant::Enterprise(enterprise)), Err(Denial::EnterpriseDisabled));
}

#[test]
fn a_team_with_hosts_of_its_own_is_served_only_there_and_nobody_else_is() {
    let on = |host_of, hosts| Terms { host_of, ..TERMS }.check(&Tenant::Team(TeamRecord { hosts, ..TEAM }));
    assert_eq!(on(Some("acme"), Hosts::Own), Ok(()));
    assert_eq!(on(None, Hosts::Shared), Ok(()));
    assert_eq!(on(None, Hosts::Own), Err(Denial::HostMismatch));
    assert_eq!(on(Some("globex"), Hosts::Own), Err(Denial::HostMismatch));
    assert_eq!(on(Some("globex"), Hosts::Shared), Err(Denial::HostMismatch));
    let enterprise = EnterpriseRecord { id: "umbrella", state: TenantState::Active, quota: None };
    let on = |host_of| Terms { host_of, ..TERMS }.check(&Tenant::Enterprise(enterprise));
    assert_eq!(on(None), Ok(()));
    assert_eq!(on(Some("acme")), Err(Denial::HostMismatch));
}
