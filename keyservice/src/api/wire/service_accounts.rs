//! Service accounts as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text;
use crate::{
    api::{body::patch, document::rules},
    domain::{Patch, ServiceAccount},
};

/// A service account; either `team` or `enterprise` is not null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccountView {
    /// Its id.
    #[schema(value_type = rules::TenantId)]
    pub id: String,
    /// The id of the team that it belongs to, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub team: Option<String>,
    /// The id of the enterprise that it belongs to, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub enterprise: Option<String>,
    /// What people call it.
    #[schema(value_type = rules::Label)]
    pub name: String,
    /// The id of its one key, or null; not one that was revoked, or replaced and is about to end.
    #[schema(value_type = Option<rules::ShortId>, required)]
    pub key: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
}

impl From<ServiceAccount> for ServiceAccountView {
    fn from(account: ServiceAccount) -> Self {
        Self {
            id: account.id.to_string(),
            team: text(account.owner.team()),
            enterprise: text(account.owner.enterprise()),
            name: account.name.to_string(),
            key: text(account.key),
            created_at: account.created_at.to_string(),
        }
    }
}

/// The answer to a request that makes a service account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccountMade {
    /// The service account.
    #[serde(flatten)]
    pub service_account: ServiceAccountView,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some service accounts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ServiceAccountList {
    /// The service accounts, in the order of their ids.
    pub service_accounts: Vec<ServiceAccountView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub next: Option<String>,
}

/// A service account to be made, of a team or of an enterprise.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccountBody {
    /// Its id: 1 to 64 of A-Z a-z 0-9 - . _ ~, not of dots only. Required.
    #[schema(value_type = rules::TenantId)]
    pub(in crate::api) id: Option<String>,
    /// The id of the team that it belongs to. Either this or `enterprise` is required.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) team: Option<String>,
    /// The id of the enterprise that it belongs to: then its key may act for any team of the enterprise.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) enterprise: Option<String>,
    /// What people call it; its id unless told.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
}

/// What is to change about a service account; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountChangeBody {
    /// What people call it.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::Label)]
    pub(in crate::api) name: Patch<String>,
}
