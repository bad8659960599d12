//! Who may do what, as one would explain it to a colleague: slow, and in one piece.

use tollkeeper::principal::Account;
use tollkeeper_contract::{KeyState, Kind, Owner};

use super::{
    sent::{Sent, TOKENS},
    world::{Rights, SESSIONS, World},
};

/// What may become of a request that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed {
    /// It goes on, whoever sends it.
    Public,
    /// It goes on for this one.
    For(Account),
}

/// A credential as it was presented: its text, and whether it stands where tokens do.
type Presented = (String, bool);

impl World {
    /// Whether the request may go on, and for whom.
    pub(super) fn allows(&self, sent: &Sent) -> Option<Allowed> {
        // Envoy itself sees to it that these stand once; the filter reads the last.
        let method = sent.last(":method")?;
        if method.is_empty()
            || !method.chars().all(|char| char.is_ascii_uppercase() || char.is_ascii_digit() || "-_".contains(char))
        {
            return None;
        }
        let path = sent.last(":path")?;
        let path = path.split('?').next()?;
        let parts: Vec<_> = path.split('/').collect();
        if !has_one_reading(&parts) {
            return None;
        }
        let in_path = match parts[..] {
            ["", "open", ..] => return Some(Allowed::Public),
            ["", "login"] if method == "POST" => return Some(Allowed::Public),
            ["", "api", team, ..] if !team.is_empty() => Some(team),
            ["", "me"] => None,
            _ => return None,
        };
        let rights = self.rights(&sent.credential()?)?;
        let needed = if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") { "read" } else { "write" };
        if !sent.comes_from(rights.origin) || !self.has_scope(&rights, needed) {
            return None;
        }
        let account = self.account(&rights, sent, in_path)?;
        self.is_served(&account, sent).then_some(Allowed::For(account))
    }

    /// What the credential is good for at present. A session outlives its key; it is not asked for.
    fn rights(&self, (text, is_token): &Presented) -> Option<Rights> {
        if *is_token && let Some(at) = TOKENS.iter().position(|token| token == text) {
            let session = &SESSIONS[at];
            let is_genuine = self.salt == Some(session.salt) && session.audience == "api";
            let is_in_time = (session.not_before..session.expires).contains(&self.now);
            return (is_genuine && is_in_time && !self.ended.contains(&session.id)).then_some(session.rights);
        }
        let key = self.keys.iter().find(|key| key.text == text)?;
        let is_live = key.state == KeyState::Active
            && key.not_before.is_none_or(|first| first <= self.now)
            && key.expires.is_none_or(|end| self.now < end);
        is_live.then_some(key.rights)
    }

    /// Whoever has something for a user has no more than that user, and with `*` all that the user has.
    fn has_scope(&self, rights: &Rights, needed: &str) -> bool {
        let has = |scopes: &str, scope| scopes.split(' ').any(|one| one == scope);
        if rights.kind != Kind::Personal {
            return has(rights.scopes, needed);
        }
        let mut users = self.users.iter().filter(|user| user.is_active && user.id == rights.user);
        users.any(|user| has(user.may, needed)) && (has(rights.scopes, needed) || has(rights.scopes, "*"))
    }

    fn account(&self, rights: &Rights, sent: &Sent, in_path: Option<&str>) -> Option<Account> {
        let delegate = sent.values("x-delegate-account-id");
        match rights.owner {
            Owner::Team(team) => {
                let is_own = delegate.is_empty() && in_path.is_none_or(|named| named == team);
                is_own.then(|| Account::Team(team.to_owned()))
            }
            Owner::Enterprise(enterprise) => {
                if !self.enterprises.iter().any(|one| one.is_active && one.id == enterprise) {
                    return None;
                }
                let named = match (&delegate[..], in_path) {
                    ([], None) => return Some(Account::Enterprise(enterprise.to_owned())),
                    ([], Some(team)) => team,
                    ([one], None) => one.as_str(),
                    ([one], Some(team)) if one == team => team,
                    _ => return None,
                };
                let mut teams = self.teams.iter();
                let is_of_it = teams.any(|team| team.id == named && team.enterprise == Some(enterprise));
                is_of_it.then(|| Account::Team(named.to_owned()))
            }
        }
    }

    /// Whether it is active, and served on the host that the request is for.
    fn is_served(&self, account: &Account, sent: &Sent) -> bool {
        let authority = sent.last(":authority").unwrap_or_default().to_ascii_lowercase();
        let host = authority.split(':').next().unwrap_or_default();
        let owner = self.hosts.iter().find(|(name, _)| *name == host).map(|(_, team)| *team);
        match account {
            Account::Enterprise(_) => owner.is_none(),
            Account::Team(id) => self
                .teams
                .iter()
                .any(|team| team.id == id && team.is_active && owner.map_or(!team.has_hosts, |owner| owner == team.id)),
        }
    }
}

/// Without escapes and signs that servers read in different ways, and with nothing to leave out: so whatever is behind the
/// filter finds the same in it.
fn has_one_reading(parts: &[&str]) -> bool {
    let is_plain = |part: &str| part.chars().all(|char| char.is_ascii_alphanumeric() || "-._~,".contains(char));
    let mut inner = parts.iter().skip(1).take(parts.len().saturating_sub(2));
    parts.iter().all(|part| is_plain(part) && (part.is_empty() || part.chars().any(|char| char != '.')))
        && inner.all(|part| !part.is_empty())
}

impl Sent {
    /// The one credential; the same one may be presented in both headers.
    fn credential(&self) -> Option<Presented> {
        let mut found: Option<Presented> = None;
        for name in ["authorization", "x-api-key"] {
            let values = self.values(name);
            let value = match &values[..] {
                [] => continue,
                [value] => value,
                _ => return None,
            };
            let presented = match value.split_once(' ') {
                Some((scheme, rest)) if name == "authorization" => {
                    let scheme = scheme.to_ascii_lowercase();
                    let text = rest.trim_matches(' ').to_owned();
                    ["bearer", "token"].contains(&scheme.as_str()).then_some((text, scheme == "bearer"))?
                }
                _ => (value.clone(), false),
            };
            let is_another =
                |other: &Presented| other.0 != presented.0 || TOKENS.contains(&other.0) && other != &presented;
            if found.as_ref().is_some_and(is_another) {
                return None;
            }
            found = found.or(Some(presented));
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
}
