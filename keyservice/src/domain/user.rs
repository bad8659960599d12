//! Users: people of a team, whose keys can never do more than they may themselves.

use tollkeeper_contract::{Scopes, TeamId, TenantState, UserId};

use super::{Moment, Name};

/// A user as the database has it: all but the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The id, for good; also what is typed to log in.
    pub id: UserId,
    /// The team that the user belongs to, for good.
    pub team: TeamId,
    /// What people call the user.
    pub name: Name,
    /// Whether the user's keys and sessions work.
    pub state: TenantState,
    /// What the user may do.
    pub permissions: Scopes,
    /// Whether the user has a password to log in with.
    pub has_password: bool,
    /// When the user was made.
    pub created_at: Moment,
    /// The revision of the last change.
    pub revision: u64,
}

/// A user to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The id.
    pub id: UserId,
    /// The team that the user belongs to.
    pub team: TeamId,
    /// What people call the user.
    pub name: Name,
    /// Whether the user's keys and sessions work.
    pub state: TenantState,
    /// What the user may do.
    pub permissions: Scopes,
}

/// What is to change about a user.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// What people call the user.
    pub name: Option<Name>,
    /// Whether the user's keys and sessions work.
    pub state: Option<TenantState>,
    /// What the user may do.
    pub permissions: Option<Scopes>,
}

impl UserChange {
    /// The user after the change.
    #[must_use]
    pub fn applied_to(self, user: &User) -> User {
        User {
            name: self.name.unwrap_or_else(|| user.name.clone()),
            state: self.state.unwrap_or(user.state),
            permissions: self.permissions.unwrap_or_else(|| user.permissions.clone()),
            ..user.clone()
        }
    }
}

/// Which users a list shows.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Only those of this team.
    pub team: Option<TeamId>,
    /// Only those in this state.
    pub state: Option<TenantState>,
}
