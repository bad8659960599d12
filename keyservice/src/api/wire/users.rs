//! Users as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{body::patch, document::rules},
    domain::{Patch, User, word},
};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// The id; also the username to log in with.
    #[schema(value_type = rules::TenantId)]
    pub id: String,
    /// The id of the team that the user belongs to.
    #[schema(value_type = rules::TenantId)]
    pub team: String,
    /// What people call the user.
    #[schema(value_type = rules::Label)]
    pub name: String,
    /// `active` or `disabled`: whether the user's keys and sessions work.
    #[schema(value_type = rules::TenantStateWord)]
    pub state: String,
    /// What the user may do, sorted; no key and no session of the user's can do more.
    #[schema(value_type = Vec<rules::ScopeWord>)]
    pub permissions: Vec<String>,
    /// Whether the user has a password to log in with.
    pub has_password: bool,
    /// When the user was made (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
    /// The revision of the last change.
    pub revision: u64,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id.to_string(),
            team: user.team.to_string(),
            name: user.name.to_string(),
            state: word::of_tenant_state(user.state).to_owned(),
            permissions: user.permissions.iter().map(str::to_owned).collect(),
            has_password: user.has_password,
            created_at: user.created_at.to_string(),
            revision: user.revision,
        }
    }
}

/// The answer to a request that makes a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserMade {
    /// The user.
    #[serde(flatten)]
    pub user: UserView,
    /// Whether an earlier request with the same idempotency key made the user.
    pub replayed: bool,
}

/// Some users.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UserList {
    /// The users, in the order of their ids.
    pub users: Vec<UserView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub next: Option<String>,
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserBody {
    /// The id: 1 to 64 of A-Z a-z 0-9 - . _ ~, not of dots only. Required.
    #[schema(value_type = rules::TenantId)]
    pub(in crate::api) id: Option<String>,
    /// The id of the team that the user belongs to, for good. Required.
    #[schema(value_type = rules::TenantId)]
    pub(in crate::api) team: Option<String>,
    /// What people call the user; the id unless told.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
    /// `active` (unless told) or `disabled`.
    #[schema(value_type = Option<rules::TenantStateWord>)]
    pub(in crate::api) state: Option<String>,
    /// What the user may do: up to 32 scopes. Required; an empty list is nothing.
    #[schema(value_type = Vec<rules::ScopeWord>, max_items = 32)]
    pub(in crate::api) permissions: Option<Vec<String>>,
}

/// What is to change about a user; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChangeBody {
    /// What people call the user.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::Label)]
    pub(in crate::api) name: Patch<String>,
    /// `active` or `disabled`.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::TenantStateWord)]
    pub(in crate::api) state: Patch<String>,
    /// What the user may do from now on, all of it.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Vec<rules::ScopeWord>, max_items = 32)]
    pub(in crate::api) permissions: Patch<Vec<String>>,
}

/// A password to be set. It has no `Debug`, because it holds the password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// 8 to 1024 bytes; null takes the password away. Required.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, required, min_length = 8, max_length = 1024)]
    pub(in crate::api) password: Patch<String>,
}
