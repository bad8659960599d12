//! Service accounts: programs with exactly one key each.

use tollkeeper_contract::{EnterpriseId, KeyId, Kind, ServiceAccountId, TeamId};

use super::{Moment, Name};

/// What a service account belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountOwner {
    /// A team.
    Team(TeamId),
    /// An enterprise: its key may act for any team of the enterprise.
    Enterprise(EnterpriseId),
}

impl AccountOwner {
    /// What sort of key the account has.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Team(_) => Kind::ServiceAccount,
            Self::Enterprise(_) => Kind::EnterpriseServiceAccount,
        }
    }

    /// The team, if it is one.
    #[must_use]
    pub fn team(&self) -> Option<&TeamId> {
        match self {
            Self::Team(team) => Some(team),
            Self::Enterprise(_) => None,
        }
    }

    /// The enterprise, if it is one.
    #[must_use]
    pub fn enterprise(&self) -> Option<&EnterpriseId> {
        match self {
            Self::Team(_) => None,
            Self::Enterprise(enterprise) => Some(enterprise),
        }
    }
}

/// A service account as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its id, for good.
    pub id: ServiceAccountId,
    /// What it belongs to, for good.
    pub owner: AccountOwner,
    /// What people call it.
    pub name: Name,
    /// Its one key; not one that was revoked, or replaced and is about to end.
    pub key: Option<KeyId>,
    /// When it was made.
    pub created_at: Moment,
}

/// A service account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServiceAccount {
    /// Its id.
    pub id: ServiceAccountId,
    /// What it belongs to.
    pub owner: AccountOwner,
    /// What people call it.
    pub name: Name,
}

/// What is to change about a service account.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountChange {
    /// What people call it.
    pub name: Option<Name>,
}

impl ServiceAccountChange {
    /// The account after the change.
    #[must_use]
    pub fn applied_to(self, account: &ServiceAccount) -> ServiceAccount {
        ServiceAccount { name: self.name.unwrap_or_else(|| account.name.clone()), ..account.clone() }
    }
}

/// Which service accounts a list shows.
#[derive(Debug, Clone, Default)]
pub struct ServiceAccountFilter {
    /// Only those of this team.
    pub team: Option<TeamId>,
    /// Only those of this enterprise.
    pub enterprise: Option<EnterpriseId>,
}
