//! Teams as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{QuotaBody, QuotaView, UsedView, text};
use crate::{
    api::{
        body::{Object, patch},
        document::rules,
    },
    domain::{Patch, Team, word},
};

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TeamView {
    /// Its id.
    #[schema(value_type = rules::TenantId)]
    pub id: String,
    /// What people call it.
    #[schema(value_type = rules::Label)]
    pub name: String,
    /// `active` or `disabled`.
    #[schema(value_type = rules::TenantStateWord)]
    pub state: String,
    /// Its own quota; null takes the filter's default.
    #[schema(required)]
    pub quota: Option<QuotaView>,
    /// The id of the enterprise that it belongs to, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub enterprise: Option<String>,
    /// The hosts where alone it is served, sorted; empty: wherever no other team has a host of its own.
    #[schema(value_type = Vec<rules::Host>)]
    pub hosts: Vec<String>,
    /// Whether revoking or deleting one of its keys ends the sessions that were made with that key.
    pub revoke_sessions: bool,
    /// When it was made (RFC 3339).
    #[schema(value_type = rules::Time)]
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
            enterprise: text(team.enterprise),
            hosts: team.hosts.iter().map(ToString::to_string).collect(),
            revoke_sessions: team.revoke_sessions,
            created_at: team.created_at.to_string(),
            revision: team.revision,
            used: team.used.into(),
        }
    }
}

/// The answer to a request that makes a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TeamMade {
    /// The team.
    #[serde(flatten)]
    pub team: TeamView,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some teams.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TeamList {
    /// The teams, in the order of their ids.
    pub teams: Vec<TeamView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub next: Option<String>,
}

/// A team to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTeamBody {
    /// Its id: 1 to 64 of A-Z a-z 0-9 - . _ ~, not of dots only. Required.
    #[schema(value_type = rules::TenantId)]
    pub(in crate::api) id: Option<String>,
    /// What people call it; its id unless told.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
    /// `active` (unless told) or `disabled`.
    #[schema(value_type = Option<rules::TenantStateWord>)]
    pub(in crate::api) state: Option<String>,
    /// Its own quota; the filter's default unless told.
    #[schema(value_type = Option<QuotaBody>)]
    pub(in crate::api) quota: Option<Object<QuotaBody>>,
    /// The id of the enterprise that it belongs to; none unless told.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) enterprise: Option<String>,
    /// The hosts where alone it is served, without ports, up to 64; each belongs to one team only. None unless told.
    #[schema(value_type = Option<Vec<rules::Host>>, max_items = 64)]
    pub(in crate::api) hosts: Option<Vec<String>>,
    /// Whether revoking or deleting one of its keys ends that key's sessions; false unless told.
    pub(in crate::api) revoke_sessions: Option<bool>,
}

/// What is to change about a team; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TeamChangeBody {
    /// What people call it.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::Label)]
    pub(in crate::api) name: Patch<String>,
    /// `active` or `disabled`.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::TenantStateWord)]
    pub(in crate::api) state: Patch<String>,
    /// Its own quota; null returns to the filter's default.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<QuotaBody>)]
    pub(in crate::api) quota: Patch<Object<QuotaBody>>,
    /// The id of the enterprise that it belongs to; null takes it out.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) enterprise: Patch<String>,
    /// The hosts where alone it is served, all of them; an empty list gives them up.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Vec<rules::Host>, max_items = 64)]
    pub(in crate::api) hosts: Patch<Vec<String>>,
    /// Whether revoking or deleting one of its keys ends that key's sessions.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = bool)]
    pub(in crate::api) revoke_sessions: Patch<bool>,
}
