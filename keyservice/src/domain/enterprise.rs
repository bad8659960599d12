//! Enterprises: what teams may belong to, and what owns service accounts that act for all of them.

use tollkeeper_contract::{EnterpriseId, Quota, TenantState};

use super::{Moment, Name, Patch};

/// An enterprise as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enterprise {
    /// Its id, for good.
    pub id: EnterpriseId,
    /// What people call it.
    pub name: Name,
    /// Whether its own keys work; its teams' do either way.
    pub state: TenantState,
    /// The quota of what its keys do for no team; `None` takes the filter's default.
    pub quota: Option<Quota>,
    /// When it was made.
    pub created_at: Moment,
    /// The revision of its last change.
    pub revision: u64,
}

/// An enterprise to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEnterprise {
    /// Its id.
    pub id: EnterpriseId,
    /// What people call it.
    pub name: Name,
    /// Whether its own keys work.
    pub state: TenantState,
    /// The quota of what its keys do for no team.
    pub quota: Option<Quota>,
}

/// What is to change about an enterprise.
#[derive(Debug, Clone, Default)]
pub struct EnterpriseChange {
    /// What people call it.
    pub name: Option<Name>,
    /// Whether its own keys work.
    pub state: Option<TenantState>,
    /// Its own quota; cleared, it takes the filter's default again.
    pub quota: Patch<Quota>,
}

impl EnterpriseChange {
    /// The enterprise after the change.
    #[must_use]
    pub fn applied_to(self, enterprise: &Enterprise) -> Enterprise {
        Enterprise {
            name: self.name.unwrap_or_else(|| enterprise.name.clone()),
            state: self.state.unwrap_or(enterprise.state),
            quota: self.quota.applied_to(enterprise.quota),
            ..enterprise.clone()
        }
    }
}

/// Which enterprises a list shows.
#[derive(Debug, Clone, Default)]
pub struct EnterpriseFilter {
    /// Only those in this state.
    pub state: Option<TenantState>,
}
