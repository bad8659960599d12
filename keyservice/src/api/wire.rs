//! The JSON of the admin API, as the service writes it and the commands read it.

use serde::{Deserialize, Serialize};
use tollkeeper_contract::{Quota, Subject};

use crate::domain::{Counted, Key, Moment, Name, Reason, Team, word};

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaView {
    /// Requests per window.
    pub limit: u32,
    /// The window in seconds.
    pub window_seconds: u32,
}

impl From<Quota> for QuotaView {
    fn from(quota: Quota) -> Self {
        Self { limit: quota.limit().get(), window_seconds: quota.window().get() }
    }
}

/// What was counted of a team or a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedView {
    /// Requests let through.
    pub granted: u64,
    /// Requests refused because the team's bucket was empty.
    pub limited: u64,
    /// The last use (RFC 3339), or null.
    pub last_used_at: Option<String>,
}

impl From<Counted> for UsedView {
    fn from(used: Counted) -> Self {
        Self { granted: used.granted, limited: used.limited, last_used_at: text(used.last_used_at) }
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamView {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `active` or `disabled`.
    pub state: String,
    /// Its own quota; null takes the filter's default.
    pub quota: Option<QuotaView>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    #[serde(flatten)]
    pub used: UsedView,
}

impl From<Team> for TeamView {
    fn from(team: Team) -> Self {
        Self {
            id: team.id.to_string(),
            name: team.name.to_string(),
            state: word::of_tenant_state(team.state).to_owned(),
            quota: team.quota.map(QuotaView::from),
            created_at: team.created_at.to_string(),
            revision: team.revision,
            used: team.used.into(),
        }
    }
}

/// A key: all about it but its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its public id.
    pub id: String,
    /// What sort of key it is, for example `application`.
    pub kind: String,
    /// The id of its team.
    pub team: String,
    /// What people call it, or null.
    pub name: Option<String>,
    /// Whom it was made for, or null.
    pub subject: Option<String>,
    /// What it may do, sorted.
    pub scopes: Vec<String>,
    /// `active`, `disabled` or `revoked`.
    pub state: String,
    /// The first second in which it works (RFC 3339), or null.
    pub not_before: Option<String>,
    /// The first second in which it works no longer (RFC 3339), or null.
    pub expires: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it was revoked (RFC 3339), or null.
    pub revoked_at: Option<String>,
    /// Why it was revoked, or null.
    pub revoke_reason: Option<String>,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    #[serde(flatten)]
    pub used: UsedView,
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        Self {
            id: key.id.to_string(),
            kind: key.kind.to_string(),
            team: key.team.to_string(),
            name: key.name.as_ref().map(Name::to_string),
            subject: key.subject.as_ref().map(Subject::to_string),
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            state: word::of_key_state(key.state).to_owned(),
            not_before: text(key.not_before),
            expires: text(key.expires),
            created_at: key.created_at.to_string(),
            revoked_at: text(key.revoked_at),
            revoke_reason: key.revoke_reason.as_ref().map(Reason::to_string),
            revision: key.revision,
            used: key.used.into(),
        }
    }
}

/// The answer to a request that makes a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamMade {
    /// The team.
    #[serde(flatten)]
    pub team: TeamView,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// The answer to a request that makes a key. It has no `Debug`, because it may hold the key.
#[derive(Serialize, Deserialize)]
pub struct KeyMade {
    /// All about the key but its text.
    #[serde(flatten)]
    pub view: KeyView,
    /// The key in clear text: shown here once, and never again. Absent when the answer is replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some teams.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TeamList {
    /// The teams, in the order of their ids.
    pub teams: Vec<TeamView>,
    /// What to send as `after` for the next ones; null if these were the last.
    pub next: Option<String>,
}

/// Some keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyList {
    /// The keys, in the order of their ids.
    pub keys: Vec<KeyView>,
    /// What to send as `after` for the next ones; null if these were the last.
    pub next: Option<String>,
}

fn text(moment: Option<Moment>) -> Option<String> {
    moment.map(|moment| moment.to_string())
}
