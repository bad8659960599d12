//! Teams: what owns keys and is rate-limited.

pub use tollkeeper_contract::TenantState;
use tollkeeper_contract::{Quota, TeamId};

use super::{Counted, Moment, Name, Patch};

/// A team as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Its id, for good.
    pub id: TeamId,
    /// What people call it.
    pub name: Name,
    /// Whether it is served.
    pub state: TenantState,
    /// Its own quota; `None` takes the filter's default.
    pub quota: Option<Quota>,
    /// When it was made.
    pub created_at: Moment,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    pub used: Counted,
}

/// A team to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTeam {
    /// Its id.
    pub id: TeamId,
    /// What people call it.
    pub name: Name,
    /// Whether it is served.
    pub state: TenantState,
    /// Its own quota; `None` takes the filter's default.
    pub quota: Option<Quota>,
}

/// What is to change about a team.
#[derive(Debug, Clone, Default)]
pub struct TeamChange {
    /// What people call it.
    pub name: Option<Name>,
    /// Whether it is served.
    pub state: Option<TenantState>,
    /// Its own quota; cleared, it takes the filter's default again.
    pub quota: Patch<Quota>,
}

impl TeamChange {
    /// The team after the change.
    #[must_use]
    pub fn applied_to(self, team: &Team) -> Team {
        Team {
            name: self.name.unwrap_or_else(|| team.name.clone()),
            state: self.state.unwrap_or(team.state),
            quota: self.quota.applied_to(team.quota),
            ..team.clone()
        }
    }
}
