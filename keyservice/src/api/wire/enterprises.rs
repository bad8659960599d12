//! Enterprises as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{QuotaBody, QuotaView};
use crate::{
    api::{
        body::{Object, patch},
        document::rules,
    },
    domain::{Enterprise, Patch, word},
};

/// An enterprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnterpriseView {
    /// Its id.
    #[schema(value_type = rules::TenantId)]
    pub id: String,
    /// What people call it.
    #[schema(value_type = rules::Label)]
    pub name: String,
    /// `active` or `disabled`: whether its own keys work. Its teams' do either way.
    #[schema(value_type = rules::TenantStateWord)]
    pub state: String,
    /// The quota of what its keys do for no team; null takes the filter's default.
    #[schema(required)]
    pub quota: Option<QuotaView>,
    /// When it was made (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
    /// The revision of its last change.
    pub revision: u64,
}

impl From<Enterprise> for EnterpriseView {
    fn from(enterprise: Enterprise) -> Self {
        Self {
            id: enterprise.id.to_string(),
            name: enterprise.name.to_string(),
            state: word::of_tenant_state(enterprise.state).to_owned(),
            quota: enterprise.quota.map(QuotaView::from),
            created_at: enterprise.created_at.to_string(),
            revision: enterprise.revision,
        }
    }
}

/// The answer to a request that makes an enterprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnterpriseMade {
    /// The enterprise.
    #[serde(flatten)]
    pub enterprise: EnterpriseView,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some enterprises.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnterpriseList {
    /// The enterprises, in the order of their ids.
    pub enterprises: Vec<EnterpriseView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub next: Option<String>,
}

/// An enterprise to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEnterpriseBody {
    /// Its id: 1 to 64 of A-Z a-z 0-9 - . _ ~, not of dots only. Required.
    #[schema(value_type = rules::TenantId)]
    pub(in crate::api) id: Option<String>,
    /// What people call it; its id unless told.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
    /// `active` (unless told) or `disabled`.
    #[schema(value_type = Option<rules::TenantStateWord>)]
    pub(in crate::api) state: Option<String>,
    /// The quota of what its keys do for no team; the filter's default unless told.
    #[schema(value_type = Option<QuotaBody>)]
    pub(in crate::api) quota: Option<Object<QuotaBody>>,
}

/// What is to change about an enterprise; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnterpriseChangeBody {
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
}
