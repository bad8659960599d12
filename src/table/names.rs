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
        Self { prefix: format!("tk5/{instance}/") }
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
        // With every request, so without the machinery of formatting.
        let mut name = String::with_capacity(self.prefix.len().saturating_add(6));
        name.push_str(&self.prefix);
        name.push(letter);
        name.push('/');
        name.extend(
            [12, 8, 4, 0].map(|shift| char::from_digit(u32::from(index >> shift) & 0xf, 16).unwrap_or_default()),
        );
        name
    }

    /// The cell of a team or of an enterprise.
    #[must_use]
    pub fn cell(&self, account: &Account) -> String {
        match account {
            Account::Team(id) => [self.prefix.as_str(), "c/", id].concat(),
            Account::Enterprise(id) => [self.prefix.as_str(), "ce/", id].concat(),
        }
    }

    /// What is known of the whole table.
    #[must_use]
    pub fn meta(&self) -> String {
        [self.prefix.as_str(), "meta"].concat()
    }

    /// Which writing of records was the last.
    #[must_use]
    pub fn stamp(&self) -> String {
        [self.prefix.as_str(), "stamp"].concat()
    }

    /// What is known of the fleet.
    #[must_use]
    pub fn fleet(&self) -> String {
        [self.prefix.as_str(), "fleet"].concat()
    }

    /// The steward's lease.
    #[must_use]
    pub fn steward(&self) -> String {
        [self.prefix.as_str(), "steward"].concat()
    }

    /// This process's name.
    #[must_use]
    pub fn process(&self) -> String {
        [self.prefix.as_str(), "process"].concat()
    }

    /// The queue from workers to the steward.
    #[must_use]
    pub fn ledger(&self) -> String {
        [self.prefix.as_str(), "ledger"].concat()
    }
}
