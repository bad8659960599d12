//! The audit log as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{api::document::rules, domain::Audited};

/// One change, as the audit log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// Its number: later changes have greater ones, and none is left out.
    pub seq: u64,
    /// When it happened (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub at: String,
    /// Who did it: what the client said in `x-tollkeeper-actor`, else the role of its token.
    pub actor: String,
    /// The address from which it was done, or null.
    #[schema(required)]
    pub source: Option<String>,
    /// The role of the token that was shown for it, and behind a slash the token's name if it has one; null if the service
    /// acted by itself or for the holder of a session's token, and in entries of before there were roles.
    #[schema(required)]
    pub token: Option<String>,
    /// What was done, for example `key.revoke`.
    #[schema(value_type = rules::ActionText)]
    pub action: String,
    /// To what, for example `key:c7tq4m2xkz5r6y3a`.
    pub resource: String,
    /// The id of the team that it concerns, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub team: Option<String>,
    /// The id of the enterprise that it concerns, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub enterprise: Option<String>,
    /// What changed, mostly `{"field": {"old": …, "new": …}}`; never a secret.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// The revision of the change, or null if nodes do not see it.
    #[schema(required)]
    pub revision: Option<u64>,
}

impl From<Audited> for AuditView {
    fn from(entry: Audited) -> Self {
        Self {
            seq: entry.seq,
            at: entry.at.to_string(),
            actor: entry.actor,
            source: entry.source,
            token: entry.token,
            action: entry.action,
            resource: entry.resource,
            team: entry.team,
            enterprise: entry.enterprise,
            detail: entry.detail,
            revision: entry.revision,
        }
    }
}

/// Some entries of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// The entries, in the order that was asked for.
    pub entries: Vec<AuditView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(required)]
    pub next: Option<u64>,
}
