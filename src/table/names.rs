//! The names of everything that an installation keeps in shared data.

use tollkeeper_contract::{Digest, page::Table, shard};

use crate::principal::Account;

/// Names under one prefix, because Istio gives all plugins of a proxy one name space.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// The names of `instance`.
    ///
    /// The number changes with the layout of what lies under them: shared data outlives the module, and a newer one
    /// must neither misread what an older one wrote nor take it for its own.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self { prefix: format!("tk4/{instance}/") }
    }

    /// The shard of `table` that holds `digest`.
    #[must_use]
    pub fn shard_of(&self, table: Table, digest: &Digest) -> String {
        self.shard(table, shard::index(digest))
    }

    /// A shard by its number.
    #[must_use]
    pub fn shard(&self, table: Table, index: u16) -> String {
        let letter = match table {
            Table::Teams => 't',
            Table::Keys => 'k',
            Table::Users => 'u',
            Table::RevokedSessions => 's',
            Table::Hosts => 'h',
            Table::Enterprises => 'e',
            Table::TokenKeys => 'g',
            Table::Limits => 'l',
        };
        format!("{}{letter}/{index:04x}", self.prefix)
    }

    /// The cell of a team or of an enterprise.
    #[must_use]
    pub fn cell(&self, account: &Account) -> String {
        match account {
            Account::Team(id) => format!("{}c/{id}", self.prefix),
            Account::Enterprise(id) => format!("{}ce/{id}", self.prefix),
        }
    }

    /// What is known of the whole table.
    #[must_use]
    pub fn meta(&self) -> String {
        format!("{}meta", self.prefix)
    }

    /// What is known of the fleet.
    #[must_use]
    pub fn fleet(&self) -> String {
        format!("{}fleet", self.prefix)
    }

    /// The steward's lease.
    #[must_use]
    pub fn steward(&self) -> String {
        format!("{}steward", self.prefix)
    }

    /// This process's name.
    #[must_use]
    pub fn process(&self) -> String {
        format!("{}process", self.prefix)
    }

    /// The queue from workers to the steward.
    #[must_use]
    pub fn ledger(&self) -> String {
        format!("{}ledger", self.prefix)
    }
}
