//! On what terms whoever a request acts for is served: asked with the very record that the bucket is charged by.

use tollkeeper_contract::{Broken, EnterpriseRecord, Hosts, Quota, TeamRecord, TenantState};

use crate::{
    principal::{Account, Principal},
    refusal::Denial,
    request::Field,
};

/// The record of whoever is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenant<'a> {
    /// A team's.
    Team(TeamRecord<'a>),
    /// An enterprise's.
    Enterprise(EnterpriseRecord<'a>),
}

impl<'a> Tenant<'a> {
    /// Reads the record of `account`.
    ///
    /// # Errors
    /// When the bytes are not exactly one such record.
    pub fn decode(account: &Account, record: &'a [u8]) -> Result<Self, Broken> {
        match account {
            Account::Team(_) => TeamRecord::decode(record).map(Self::Team),
            Account::Enterprise(_) => EnterpriseRecord::decode(record).map(Self::Enterprise),
        }
    }

    /// Its own quota; `None` takes the filter's default.
    #[must_use]
    pub fn quota(&self) -> Option<Quota> {
        match self {
            Self::Team(team) => team.quota,
            Self::Enterprise(enterprise) => enterprise.quota,
        }
    }
}

/// What must hold of the tenant for this request.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The enterprise that acts for the team, if one does.
    pub acting: Option<&'a str>,
    /// What the client is told if the team is none of the enterprise's, known or not.
    pub foreign: Denial,
    /// The one team that is served on the request's host, if the host belongs to one.
    pub host_of: Option<&'a str>,
}

impl<'a> Terms<'a> {
    /// The terms of a request of this principal.
    #[must_use]
    pub fn new(principal: &'a Principal, delegate: Field<'_>, host_of: Option<&'a str>) -> Self {
        // Without the header, the team was read from the path.
        let foreign = match delegate {
            Field::Absent => Denial::TeamMismatch,
            Field::Once(_) | Field::Repeated => Denial::DelegationRefused,
        };
        Self { acting: principal.enterprise(), foreign, host_of }
    }

    /// What the client is told if there is no such tenant.
    #[must_use]
    pub fn unknown(&self, account: &Account) -> Denial {
        match (account, self.acting) {
            (Account::Team(_), Some(_)) => self.foreign,
            // A key whose owner is gone is about to go as well: its removal comes with the same revision.
            (Account::Team(_), None) => Denial::TeamDisabled,
            (Account::Enterprise(_), _) => Denial::EnterpriseDisabled,
        }
    }

    /// Whether the tenant is served on these terms.
    ///
    /// # Errors
    /// The first thing that is wrong; a foreign team gives nothing away, so that comes first.
    pub fn check(&self, tenant: &Tenant<'_>) -> Result<(), Denial> {
        match tenant {
            Tenant::Team(team) => {
                if self.acting.is_some() && team.enterprise != self.acting {
                    return Err(self.foreign);
                }
                if team.state == TenantState::Disabled {
                    return Err(Denial::TeamDisabled);
                }
                match (self.host_of, team.hosts) {
                    (None, Hosts::Shared) => Ok(()),
                    (Some(owner), _) if owner == team.id => Ok(()),
                    (None, Hosts::Own) | (Some(_), _) => Err(Denial::HostMismatch),
                }
            }
            Tenant::Enterprise(enterprise) if enterprise.state == TenantState::Disabled => {
                Err(Denial::EnterpriseDisabled)
            }
            Tenant::Enterprise(_) if self.host_of.is_some() => Err(Denial::HostMismatch),
            Tenant::Enterprise(_) => Ok(()),
        }
    }
}
