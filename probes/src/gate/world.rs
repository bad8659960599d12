//! What there is: keys, sessions and those whom they belong to; how that changes, and how a table says it.

use std::collections::BTreeMap;

use arbitrary::Unstructured;
use tollkeeper_contract::{
    Digest, EnterpriseRecord, HostRecord, Hosts, KeyRecord, KeyState, Kind, Owner, RevokedSessionRecord, TeamRecord,
    TenantState, TokenKeyRecord, TokenMaterial, UserRecord,
    page::{Cursor, Table},
};

/// The date at first.
pub(super) const BEGIN: u64 = 1000;

/// What somebody may do who shows a key, or the token of a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    pub(super) kind: Kind,
    pub(super) owner: Owner<'static>,
    pub(super) user: &'static str,
    pub(super) scopes: &'static str,
    pub(super) origin: Option<&'static str>,
}

/// A key that was issued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) text: &'static str,
    pub(super) state: KeyState,
    pub(super) not_before: Option<u64>,
    pub(super) expires: Option<u64>,
    pub(super) rights: Rights,
}

/// A session that was given a token, signed with the secret of a salt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) id: &'static str,
    pub(super) salt: u8,
    pub(super) audience: &'static str,
    pub(super) not_before: u64,
    pub(super) expires: u64,
    pub(super) rights: Rights,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Team {
    pub(super) id: &'static str,
    pub(super) is_active: bool,
    pub(super) enterprise: Option<&'static str>,
    /// Whether it is served on its own hosts only.
    pub(super) has_hosts: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Enterprise {
    pub(super) id: &'static str,
    pub(super) is_active: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    pub(super) id: &'static str,
    pub(super) is_active: bool,
    pub(super) may: &'static str,
}

const PLAIN: Rights =
    Rights { kind: Kind::Application, owner: Owner::Team("acme"), user: "", scopes: "read", origin: None };
const PERSONAL: Rights = Rights { kind: Kind::Personal, user: "alice", scopes: "read write", ..PLAIN };
const BY_ENTERPRISE: Rights = Rights {
    kind: Kind::EnterpriseServiceAccount,
    owner: Owner::Enterprise("umbrella"),
    scopes: "read write",
    ..PLAIN
};
const KEY: Key =
    Key { text: "of-acme", state: KeyState::Active, not_before: Some(BEGIN), expires: Some(BEGIN + 2), rights: PLAIN };
const SESSION: Session =
    Session { id: "sacme", salt: 1, audience: "api", not_before: BEGIN, expires: BEGIN + 2, rights: PLAIN };

/// The first ones work for a plain request at the beginning.
pub(super) const KEYS: &[Key] = &[
    KEY,
    Key { text: "personal", rights: PERSONAL, ..KEY },
    Key { text: "of-enterprise", rights: BY_ENTERPRISE, ..KEY },
    Key { text: "all-of-alice", rights: Rights { scopes: "*", ..PERSONAL }, ..KEY },
    Key { text: "of-initech", rights: Rights { owner: Owner::Team("initech"), ..PLAIN }, ..KEY },
    Key { text: "of-globex", rights: Rights { owner: Owner::Team("globex"), scopes: "read write", ..PLAIN }, ..KEY },
    Key { text: "of-nobody", rights: Rights { owner: Owner::Team("nobody"), ..PLAIN }, ..KEY },
    Key { text: "disabled", state: KeyState::Disabled, ..KEY },
    Key { text: "revoked", state: KeyState::Revoked, ..KEY },
    Key { text: "early", not_before: Some(BEGIN + 1), expires: None, ..KEY },
    Key { text: "late", not_before: None, expires: Some(BEGIN), ..KEY },
    Key { text: "writes-only", rights: Rights { scopes: "write", ..PLAIN }, ..KEY },
    Key { text: "star-of-acme", rights: Rights { scopes: "*", ..PLAIN }, ..KEY },
    Key { text: "bound", rights: Rights { origin: Some("a.example"), ..PLAIN }, ..KEY },
    Key { text: "of-user-who-is-gone", rights: Rights { user: "bob", ..PERSONAL }, ..KEY },
    Key { text: "of-closed-enterprise", rights: Rights { owner: Owner::Enterprise("closed"), ..BY_ENTERPRISE }, ..KEY },
];

/// The first ones work for a plain request at the beginning.
pub(super) const SESSIONS: &[Session] = &[
    SESSION,
    Session { id: "spersonal", rights: PERSONAL, ..SESSION },
    Session { id: "senterprise", rights: BY_ENTERPRISE, ..SESSION },
    Session { id: "sbound", rights: Rights { origin: Some("a.example"), ..PLAIN }, ..SESSION },
    Session { id: "sothersalt", salt: 2, ..SESSION },
    Session { id: "sotheraudience", audience: "other", ..SESSION },
    Session { id: "searly", not_before: BEGIN + 1, ..SESSION },
    Session { id: "slate", not_before: BEGIN - 1, expires: BEGIN, ..SESSION },
    Session { id: "suserwhoisgone", rights: Rights { user: "bob", ..PERSONAL }, ..SESSION },
    Session { id: "sclosed", rights: Rights { owner: Owner::Enterprise("closed"), ..BY_ENTERPRISE }, ..SESSION },
];

pub(super) const TEAMS: &[Team] = &[
    Team { id: "acme", is_active: true, enterprise: Some("umbrella"), has_hosts: false },
    Team { id: "globex", is_active: false, enterprise: None, has_hosts: false },
    Team { id: "initech", is_active: true, enterprise: None, has_hosts: true },
    // For whom the enterprise acts, or must not.
    Team { id: "hooli", is_active: false, enterprise: Some("umbrella"), has_hosts: false },
    Team { id: "soylent", is_active: true, enterprise: Some("umbrella"), has_hosts: true },
    Team { id: "vandelay", is_active: true, enterprise: None, has_hosts: false },
    Team { id: "tyrell", is_active: true, enterprise: Some("closed"), has_hosts: false },
];

const ENTERPRISES: &[Enterprise] =
    &[Enterprise { id: "umbrella", is_active: true }, Enterprise { id: "closed", is_active: false }];

const USERS: &[User] = &[User { id: "alice", is_active: true, may: "read" }];

/// The one token key's id.
pub(super) const KID: &str = "k1";

/// All of it at one moment.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) keys: Vec<Key>,
    pub(super) teams: Vec<Team>,
    pub(super) enterprises: Vec<Enterprise>,
    pub(super) users: Vec<User>,
    /// Each with the team that it belongs to.
    pub(super) hosts: Vec<(&'static str, &'static str)>,
    /// Sessions that were ended before their time.
    pub(super) ended: Vec<&'static str>,
    /// Of the key that verifies tokens.
    pub(super) salt: Option<u8>,
}

/// What a table has of it.
pub(super) type Records = BTreeMap<Cursor, Vec<u8>>;

impl World {
    pub(super) fn first() -> Self {
        Self {
            now: BEGIN,
            keys: KEYS.to_vec(),
            teams: TEAMS.to_vec(),
            enterprises: ENTERPRISES.to_vec(),
            users: USERS.to_vec(),
            hosts: vec![("own.example", "initech"), ("soylent.example", "soylent")],
            ended: Vec::new(),
            salt: Some(1),
        }
    }

    /// One thing that an operator does, or one second.
    pub(super) fn change(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        match input.int_in_range(0..=9)? {
            0 => self.now += 1,
            1 => {
                let state = *input.choose(&[KeyState::Revoked, KeyState::Disabled, KeyState::Active])?;
                change_one(input, &mut self.keys, |key| key.state = state)?;
            }
            2 => make_or_delete(input, &mut self.keys, KEYS, |key| key.text)?,
            3 => {
                let (is_active, has_hosts) = (input.arbitrary()?, input.arbitrary()?);
                let enterprise = *input.choose(&[None, Some("umbrella"), Some("closed")])?;
                change_one(input, &mut self.teams, |team| *team = Team { is_active, enterprise, has_hosts, ..*team })?;
            }
            4 => make_or_delete(input, &mut self.teams, TEAMS, |team| team.id)?,
            5 => change_one(input, &mut self.enterprises, |enterprise| enterprise.is_active ^= true)?,
            6 => make_or_delete(input, &mut self.enterprises, ENTERPRISES, |enterprise| enterprise.id)?,
            7 => {
                let (is_active, may) = (input.arbitrary()?, *input.choose(&["", "read", "write", "read write"])?);
                change_one(input, &mut self.users, |user| *user = User { is_active, may, ..*user })?;
            }
            8 => {
                let all: Vec<_> = SESSIONS.iter().map(|session| session.id).collect();
                make_or_delete(input, &mut self.ended, &all, |id| *id)?;
            }
            _ => match input.int_in_range(0..=2)? {
                0 => self.salt = *input.choose(&[None, Some(1), Some(2)])?,
                1 => make_or_delete(input, &mut self.users, USERS, |user| user.id)?,
                _ => self.hosts[0].1 = *input.choose(&["acme", "initech", "nobody"])?,
            },
        }
        Ok(())
    }

    pub(super) fn records(&self) -> Records {
        let mut records = Records::new();
        let mut put = |table, name: &str, encode: &dyn Fn(&mut Vec<u8>)| {
            let record = records.entry(Cursor { table, digest: Digest::of(name.as_bytes()) }).or_default();
            encode(record);
        };
        for Team { id, is_active, enterprise, has_hosts } in self.teams.iter().copied() {
            let hosts = if has_hosts { Hosts::Own } else { Hosts::Shared };
            let record = TeamRecord { id, state: state(is_active), quota: None, enterprise, hosts };
            put(Table::Teams, id, &|out| record.encode(out));
        }
        for key in &self.keys {
            let Rights { kind, owner, user: subject, scopes, origin } = key.rights;
            let Key { text, state, not_before, expires, .. } = *key;
            let record = KeyRecord { kind, state, not_before, expires, id: "k", owner, subject, scopes, origin };
            put(Table::Keys, text, &|out| record.encode(out));
        }
        for User { id, is_active, may: permissions } in self.users.iter().copied() {
            put(Table::Users, id, &|out| UserRecord { id, state: state(is_active), permissions }.encode(out));
        }
        for id in self.ended.iter().copied() {
            put(Table::RevokedSessions, id, &|out| RevokedSessionRecord { id, expires: BEGIN + 2 }.encode(out));
        }
        for (host, team) in self.hosts.iter().copied() {
            put(Table::Hosts, host, &|out| HostRecord { host, team }.encode(out));
        }
        for Enterprise { id, is_active } in self.enterprises.iter().copied() {
            let record = EnterpriseRecord { id, state: state(is_active), quota: None };
            put(Table::Enterprises, id, &|out| record.encode(out));
        }
        if let Some(salt) = self.salt {
            let material = TokenMaterial::Hs256(&[salt; 32]);
            put(Table::TokenKeys, KID, &|out| TokenKeyRecord { kid: KID, material }.encode(out));
        }
        records
    }
}

fn state(is_active: bool) -> TenantState {
    if is_active { TenantState::Active } else { TenantState::Disabled }
}

fn change_one<T>(input: &mut Unstructured<'_>, there: &mut [T], change: impl FnOnce(&mut T)) -> arbitrary::Result<()> {
    if !there.is_empty() {
        let at = input.int_in_range(0..=there.len() - 1)?;
        change(&mut there[at]);
    }
    Ok(())
}

/// Deletes what is there, and makes what is not.
fn make_or_delete<T: Copy>(
    input: &mut Unstructured<'_>,
    there: &mut Vec<T>,
    all: &[T],
    name: impl Fn(&T) -> &'static str,
) -> arbitrary::Result<()> {
    let chosen = *input.choose(all)?;
    match there.iter().position(|one| name(one) == name(&chosen)) {
        Some(at) => drop(there.remove(at)),
        None => there.push(chosen),
    }
    Ok(())
}
