//! The JSON of the admin API, as the service writes it and the commands read it.

mod audit;
mod enterprises;
mod fleet;
mod import;
mod keys;
mod limits;
mod service_accounts;
mod teams;
mod tokens;
mod users;

use serde::{Deserialize, Serialize};
use tollkeeper_contract::Quota;
use utoipa::ToSchema;

pub use audit::{AuditList, AuditView};
pub use enterprises::{EnterpriseChangeBody, EnterpriseList, EnterpriseMade, EnterpriseView, NewEnterpriseBody};
pub use fleet::{BehindView, FleetList, FleetView, NodeView};
pub use import::{DuplicateView, ImportBody, ImportKeyBody, ImportView};
pub use keys::{KeyChangeBody, KeyList, KeyMade, KeyView, NewKeyBody, OriginBody, RevokeBody, RotateBody};
pub use limits::{LimitsBody, LimitsView};
pub use service_accounts::{
    NewServiceAccountBody, ServiceAccountChangeBody, ServiceAccountList, ServiceAccountMade, ServiceAccountView,
};
pub use teams::{NewTeamBody, TeamChangeBody, TeamList, TeamMade, TeamView};
pub use tokens::{
    ActiveTokenView, InactiveTokenView, JwksView, LoginBody, NewTokenKeyBody, RevokeSessionBody, RevokeSessionsBody,
    SessionList, SessionView, SessionsRevoked, TokenKeyList, TokenKeyView, TokenView,
};
pub use users::{NewUserBody, PasswordBody, UserChangeBody, UserList, UserMade, UserView};

use crate::{api::document::rules, domain::Counted};

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaView {
    /// Requests per window.
    #[schema(minimum = 1)]
    pub limit: u32,
    /// The window in seconds.
    #[schema(minimum = 1, maximum = 2_678_400)]
    pub window_seconds: u32,
}

impl From<Quota> for QuotaView {
    fn from(quota: Quota) -> Self {
        Self { limit: quota.limit().get(), window_seconds: quota.window().get() }
    }
}

/// A quota to be set.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuotaBody {
    /// Requests per window: 1 to 4,294,967,295. Required.
    #[schema(value_type = u64, minimum = 1, maximum = 4_294_967_295_u64)]
    pub limit: Option<u64>,
    /// The window in seconds: 1 to 2,678,400 (31 days). Required.
    #[schema(value_type = u64, minimum = 1, maximum = 2_678_400)]
    pub window_seconds: Option<u64>,
}

/// What was counted of a team or a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsedView {
    /// Requests let through.
    pub granted: u64,
    /// Requests refused because the team's bucket was empty.
    pub limited: u64,
    /// The last use (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub last_used_at: Option<String>,
}

impl From<Counted> for UsedView {
    fn from(used: Counted) -> Self {
        Self { granted: used.granted, limited: used.limited, last_used_at: text(used.last_used_at) }
    }
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}
