//! What a node says and wants of one account, once it can be true.

use tollkeeper_contract::{
    EnterpriseId, Quota, TeamId,
    lease::{Account, Ask, Promise},
};

/// The greatest count that is taken: all sums of such counts are whole numbers in Lua, too.
pub const MOST_COUNTED: u64 = 1 << 52;

/// An ask that can be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    ask: Ask,
    quota: Quota,
}

/// Why an ask cannot be true: which field, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidClaim {
    /// The field of the ask.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

impl Claim {
    /// Reads an ask.
    ///
    /// # Errors
    /// When its account has no valid id, limit and window are no quota, or its counts contradict each other.
    pub fn read(ask: Ask) -> Result<Self, InvalidClaim> {
        let wrong = |field, message| Err(InvalidClaim { field, message });
        let is_named = match &ask.account {
            Account::Team(id) => TeamId::parse(id).is_ok(),
            Account::Enterprise(id) => EnterpriseId::parse(id).is_ok(),
        };
        if !is_named {
            return wrong("account", "an id is 1 to 64 of A-Z a-z 0-9 . _ ~ -");
        }
        if ask.seq == 0 {
            return wrong("seq", "questions are numbered from 1");
        }
        if let Some(field) = too_great(&ask) {
            return wrong(field, "must be 0 to 2^52");
        }
        if ask.spent + ask.returned > ask.granted {
            return wrong("spent", "more was spent and returned than granted");
        }
        if ask.void > ask.granted {
            return wrong("void", "more is void than was granted");
        }
        if balance(&ask) > u32::MAX.into() {
            return wrong("granted", "no quota is so large that this could be lent");
        }
        if ask.least == 0 {
            return wrong("least", "must be 1 or more");
        }
        if ask.settled > ask.overdrawn {
            return wrong("settled", "more was settled than overdrawn");
        }
        match ask.quota() {
            Ok(quota) => Ok(Self { ask, quota }),
            Err(_) => wrong("limit", "must be 1 to 4294967295, in a window of 1 to 2678400 seconds (31 days)"),
        }
    }

    /// What the node says.
    #[must_use]
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Who counts: sums with another beginning are as another node's.
    #[must_use]
    pub fn counter(&self, node: &str) -> String {
        format!("{node}@{}", self.ask.since)
    }

    /// The account's quota.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// What the quota promises.
    #[must_use]
    pub fn promise(&self) -> Promise {
        self.ask.promise
    }
}

fn too_great(ask: &Ask) -> Option<&'static str> {
    let counts = [
        ("seq", ask.seq),
        ("granted", ask.granted),
        ("void", ask.void),
        ("spent", ask.spent),
        ("returned", ask.returned),
        ("overdrawn", ask.overdrawn),
        ("settled", ask.settled),
    ];
    counts.into_iter().find(|(_, count)| *count > MOST_COUNTED).map(|(field, _)| field)
}

/// What the node may still spend by its own account.
fn balance(ask: &Ask) -> u64 {
    ask.granted.saturating_sub(ask.void).saturating_sub(ask.spent).saturating_sub(ask.returned)
}
