//! Service accounts as JSON.

use serde::{Deserialize, Serialize};

use super::text;
use crate::{
    api::body::patch,
    domain::{Patch, ServiceAccount},
};

/// A service account; either `team` or `enterprise` is not null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccountView {
    /// Its id.
    pub id: String,
    /// The id of the team that it belongs to, or null.
    pub team: Option<String>,
    /// The id of the enterprise that it belongs to, or null.
    pub enterprise: Option<String>,
    /// What people call it.
    pub name: String,
    /// The id of its one key, or null; not one that was revoked, or replaced and is about to end.
    pub key: Option<String>,
    /// When it was made (RFC 3339).
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccountMade {
    /// The service account.
    #[serde(flatten)]
    pub service_account: ServiceAccountView,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some service accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceAccountList {
    /// The service accounts, in the order of their ids.
    pub service_accounts: Vec<ServiceAccountView>,
    /// What to send as `after` for the next ones; null if these were the last.
    pub next: Option<String>,
}

/// A service account to be made, of a team or of an enterprise.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewServiceAccountBody {
    /// Its id: 1 to 64 of A-Z a-z 0-9 - . _ ~, not of dots only. Required.
    pub(in crate::api) id: Option<String>,
    /// The id of the team that it belongs to. Either this or `enterprise` is required.
    pub(in crate::api) team: Option<String>,
    /// The id of the enterprise that it belongs to: then its key may act for any team of the enterprise.
    pub(in crate::api) enterprise: Option<String>,
    /// What people call it; its id unless told.
    pub(in crate::api) name: Option<String>,
}

/// What is to change about a service account; what is left out stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccountChangeBody {
    /// What people call it.
    #[serde(default, deserialize_with = "patch")]
    pub(in crate::api) name: Patch<String>,
}
