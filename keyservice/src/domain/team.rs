//! Teams: what owns keys and is rate-limited.

use tollkeeper_contract::{EnterpriseId, HostName, Quota, TeamId, TenantState};

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
    /// The enterprise that it belongs to.
    pub enterprise: Option<EnterpriseId>,
    /// Where alone it is served; empty: wherever nobody has a host of their own.
    pub hosts: HostList,
    /// Whether the sessions of its keys end when a key is revoked or deleted.
    pub revoke_sessions: bool,
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
    /// The enterprise that it belongs to.
    pub enterprise: Option<EnterpriseId>,
    /// Where alone it is served.
    pub hosts: HostList,
    /// Whether the sessions of its keys end when a key is revoked or deleted.
    pub revoke_sessions: bool,
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
    /// The enterprise that it belongs to.
    pub enterprise: Patch<EnterpriseId>,
    /// Where alone it is served.
    pub hosts: Option<HostList>,
    /// Whether the sessions of its keys end when a key is revoked or deleted.
    pub revoke_sessions: Option<bool>,
}

impl TeamChange {
    /// The team after the change.
    #[must_use]
    pub fn applied_to(self, team: &Team) -> Team {
        Team {
            name: self.name.unwrap_or_else(|| team.name.clone()),
            state: self.state.unwrap_or(team.state),
            quota: self.quota.applied_to(team.quota),
            enterprise: self.enterprise.applied_to(team.enterprise.clone()),
            hosts: self.hosts.unwrap_or_else(|| team.hosts.clone()),
            revoke_sessions: self.revoke_sessions.unwrap_or(team.revoke_sessions),
            ..team.clone()
        }
    }
}

/// Which teams a list shows.
#[derive(Debug, Clone, Default)]
pub struct TeamFilter {
    /// Only those of this enterprise.
    pub enterprise: Option<EnterpriseId>,
    /// Only those in this state.
    pub state: Option<TenantState>,
}

/// The hosts of one team: sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostList(Vec<HostName>);

/// More hosts than a team can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a team has at most {} hosts", HostList::MAX)]
pub struct TooManyHosts;

impl HostList {
    /// The most hosts that a team can have.
    pub const MAX: usize = 64;

    /// The given hosts; repeats count once.
    ///
    /// # Errors
    /// When there are more than [`HostList::MAX`].
    pub fn new(hosts: impl IntoIterator<Item = HostName>) -> Result<Self, TooManyHosts> {
        let mut hosts: Vec<HostName> = hosts.into_iter().collect();
        hosts.sort();
        hosts.dedup();
        if hosts.len() > Self::MAX { Err(TooManyHosts) } else { Ok(Self(hosts)) }
    }

    /// Each host, in order.
    pub fn iter(&self) -> impl Iterator<Item = &HostName> {
        self.0.iter()
    }

    /// Whether the team has no host of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the host is one of these.
    #[must_use]
    pub fn contains(&self, host: &HostName) -> bool {
        self.0.binary_search(host).is_ok()
    }
}
