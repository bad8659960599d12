//! Who may do what, as one would explain it to a colleague: slow, and in one piece.

use arbitrary::Unstructured;
use tollkeeper::{principal::Account, shared::SharedData, table::KeyTable};
use tollkeeper_contract::{
    Digest, EnterpriseRecord, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState, UserRecord,
    page::{Cursor, Entry, Table},
};

/// The date.
pub(super) const NOW: u64 = 1000;

/// A key that was issued.
pub(super) struct Key {
    pub(super) text: &'static str,
    kind: Kind,
    state: KeyState,
    not_before: Option<u64>,
    expires: Option<u64>,
    owner: Owner<'static>,
    user: &'static str,
    scopes: &'static str,
    origin: Option<&'static str>,
}

const PLAIN: Key = Key {
    text: "of-acme",
    kind: Kind::Application,
    state: KeyState::Active,
    not_before: Some(NOW),
    expires: Some(NOW + 1),
    owner: Owner::Team("acme"),
    user: "",
    scopes: "read",
    origin: None,
};

pub(super) const KEYS: &[Key] = &[
    PLAIN,
    Key { text: "of-globex", owner: Owner::Team("globex"), scopes: "read write", ..PLAIN },
    Key { text: "of-nobody", owner: Owner::Team("nobody"), ..PLAIN },
    Key { text: "disabled", state: KeyState::Disabled, ..PLAIN },
    Key { text: "revoked", state: KeyState::Revoked, ..PLAIN },
    Key { text: "early", not_before: Some(NOW + 1), ..PLAIN },
    Key { text: "late", expires: Some(NOW), ..PLAIN },
    Key { text: "writes-only", scopes: "write", ..PLAIN },
    Key { text: "bound", origin: Some("a.example"), ..PLAIN },
    Key { text: "personal", kind: Kind::Personal, user: "alice", scopes: "read write", ..PLAIN },
    Key { text: "of-user-who-is-gone", kind: Kind::Personal, user: "bob", ..PLAIN },
    Key {
        text: "of-enterprise",
        kind: Kind::EnterpriseServiceAccount,
        owner: Owner::Enterprise("umbrella"),
        scopes: "read write",
        ..PLAIN
    },
    Key {
        text: "of-closed-enterprise",
        kind: Kind::EnterpriseServiceAccount,
        owner: Owner::Enterprise("closed"),
        ..PLAIN
    },
];

/// Each team: whether it is active, and its enterprise.
const TEAMS: &[(&str, bool, Option<&str>)] =
    &[("acme", true, Some("umbrella")), ("globex", false, None), ("initech", true, None)];

/// Each enterprise, and whether it is active.
const ENTERPRISES: &[(&str, bool)] = &[("umbrella", true), ("closed", false)];

/// Each user, and what it may do.
const USERS: &[(&str, &str)] = &[("alice", "read")];

/// A request as it arrives at the filter.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Whether nothing was made strange about it.
    pub(super) is_plain: bool,
}

impl Sent {
    /// A request that is often nearly right.
    pub(super) fn draw(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let method = *input.choose(&["GET", "POST", "HEAD", "get"])?;
        let target =
            *input.choose(&["/api/acme/x", "/api/acme", "/me", "/api/globex/x?y", "/api/initech/x", "/other"])?;
        let mut sent = Self { headers: Vec::new(), is_plain: true };
        sent.push(input, ":method", method)?;
        sent.push(input, ":path", target)?;
        for _ in 0..input.int_in_range(1..=2)? {
            let text = KEYS.get(input.int_in_range(0..=KEYS.len())?).map_or("unknown", |key| key.text);
            let (name, scheme) = *input.choose(&[
                ("authorization", ""),
                ("authorization", "Bearer "),
                ("authorization", "token "),
                ("x-api-key", ""),
            ])?;
            sent.push(input, name, &format!("{scheme}{text}"))?;
        }
        if input.ratio(1, 3)? {
            let origin = *input.choose(&["https://a.example", "a.example", "http://b.example", "null"])?;
            sent.push(input, "origin", origin)?;
        }
        if input.ratio(1, 3)? {
            let team = *input.choose(&["acme", "initech", "nobody", ""])?;
            sent.push(input, "x-delegate-account-id", team)?;
        }
        Ok(sent)
    }

    /// One in eight values is changed, one in sixteen stands twice.
    fn push(&mut self, input: &mut Unstructured<'_>, name: &str, value: &str) -> arbitrary::Result<()> {
        let mut value = value.as_bytes().to_vec();
        if input.ratio(1, 8)? {
            self.is_plain = false;
            let at = input.int_in_range(0..=value.len())?;
            let strange =
                *input.choose(&["/", "..", "%2f", "%2e", " ", ",", "\t", "\0", "?", ";", "#", "\u{e9}", "A"])?;
            value.splice(at..at, strange.bytes());
        }
        for _ in 0..if input.ratio(1, 16)? { 2 } else { 1 } {
            self.headers.push((name.to_owned(), value.clone()));
        }
        Ok(())
    }

    /// For whom the request may go on.
    pub(super) fn allowed(&self) -> Option<Account> {
        // Envoy itself sees to it that these stand once; the filter reads the last.
        let method = self.last(":method")?;
        if method.is_empty()
            || !method.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || "-_".contains(char))
        {
            return None;
        }
        let path = self.last(":path")?;
        let path = path.split('?').next()?;
        let parts: Vec<_> = path.split('/').collect();
        let in_path = match parts[..] {
            ["", "api", team, ..] if !team.is_empty() => Some(team),
            ["", "me"] => None,
            _ => return None,
        };
        let key = KEYS.iter().find(|key| Some(key.text.to_owned()) == self.credential())?;
        let is_live = key.state == KeyState::Active
            && key.not_before.is_none_or(|first| first <= NOW)
            && key.expires.is_none_or(|end| NOW < end);
        if !is_live || !self.comes_from(key.origin) {
            return None;
        }
        let needed = if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") { "read" } else { "write" };
        let user_may = key.kind != Kind::Personal
            || USERS.iter().any(|(id, may)| *id == key.user && may.split(' ').any(|may| may == needed));
        if !user_may || !key.scopes.split(' ').any(|scope| scope == needed) {
            return None;
        }
        self.account(key, in_path)
    }

    fn account(&self, key: &Key, in_path: Option<&str>) -> Option<Account> {
        let delegate = self.values("x-delegate-account-id");
        let is_active = |team: &str, acting: Option<&str>| {
            TEAMS.iter().any(|(id, active, of)| *id == team && *active && (acting.is_none() || *of == acting))
        };
        match key.owner {
            Owner::Team(team) => {
                let may = delegate.is_empty() && in_path.is_none_or(|named| named == team) && is_active(team, None);
                may.then(|| Account::Team(team.to_owned()))
            }
            Owner::Enterprise(enterprise) => {
                if !ENTERPRISES.contains(&(enterprise, true)) {
                    return None;
                }
                let named = match (&delegate[..], in_path) {
                    ([], None) => return Some(Account::Enterprise(enterprise.to_owned())),
                    ([], Some(team)) => team.to_owned(),
                    ([one], None) => one.clone(),
                    ([one], Some(team)) if one == team => one.clone(),
                    _ => return None,
                };
                is_active(&named, Some(enterprise)).then_some(Account::Team(named))
            }
        }
    }

    /// The one credential; the same one may be presented in both headers.
    fn credential(&self) -> Option<String> {
        let mut found = None;
        for name in ["authorization", "x-api-key"] {
            let values = self.values(name);
            let value = match &values[..] {
                [] => continue,
                [value] => value,
                _ => return None,
            };
            let text = match value.split_once(' ') {
                Some((scheme, rest)) if name == "authorization" => {
                    let scheme = scheme.to_ascii_lowercase();
                    ["bearer", "token"].contains(&scheme.as_str()).then(|| rest.trim_matches(' ').to_owned())?
                }
                _ => value.clone(),
            };
            if found.is_some_and(|other| other != text) {
                return None;
            }
            found = Some(text);
        }
        found
    }

    fn comes_from(&self, origin: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        match &self.values("origin")[..] {
            [value] => {
                let value = value.to_ascii_lowercase();
                let place = value.strip_prefix("https://").or(value.strip_prefix("http://")).unwrap_or(&value);
                // A slash at its end is no part of a place.
                place.strip_suffix('/').unwrap_or(place) == origin
            }
            _ => false,
        }
    }

    fn last(&self, name: &str) -> Option<String> {
        self.values(name).pop()
    }

    /// What is no UTF-8 never matches anything here.
    fn values(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

/// Puts all of these into a table.
pub(super) fn publish(table: &KeyTable<'_, impl SharedData>) {
    let put = |kind: Table, name: &str, record: &[u8]| {
        let cursor = Cursor { table: kind, digest: Digest::of(name.as_bytes()) };
        table.apply(&[Entry { cursor, record: Some(record) }]).expect("room");
    };
    let state = |is_active: bool| if is_active { TenantState::Active } else { TenantState::Disabled };
    for (id, is_active, enterprise) in TEAMS {
        let mut record = Vec::new();
        TeamRecord { id, state: state(*is_active), quota: None, enterprise: *enterprise, hosts: Hosts::Shared }
            .encode(&mut record);
        put(Table::Teams, id, &record);
    }
    for (id, is_active) in ENTERPRISES {
        let mut record = Vec::new();
        EnterpriseRecord { id, state: state(*is_active), quota: None }.encode(&mut record);
        put(Table::Enterprises, id, &record);
    }
    for (id, permissions) in USERS {
        let mut record = Vec::new();
        UserRecord { id, state: TenantState::Active, permissions }.encode(&mut record);
        put(Table::Users, id, &record);
    }
    for key in KEYS {
        let Key { text, kind, state, not_before, expires, owner, user, scopes, origin } = *key;
        let mut record = Vec::new();
        KeyRecord { kind, state, not_before, expires, id: "k", owner, subject: user, scopes, origin }
            .encode(&mut record);
        put(Table::Keys, text, &record);
    }
}
