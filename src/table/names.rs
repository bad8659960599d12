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
        Self { prefix: format!("tk6/{instance}/") }
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
            Table::Teams => "t",
            Table::Keys => "k",
            Table::Users => "u",
            Table::RevokedSessions => "s",
            Table::Hosts => "h",
            Table::Enterprises => "e",
            Table::TokenKeys => "g",
            Table::Limits => "l",
        };
        let mut name = self.name(letter, "/");
        name.extend(
            [12, 8, 4, 0].map(|shift| char::from_digit(u32::from(index >> shift) & 0xf, 16).unwrap_or_default()),
        );
        name
    }

    /// The cell of a team or of an enterprise.
    #[must_use]
    pub fn cell(&self, account: &Account) -> String {
        let (table, id) = match account {
            Account::Team(id) => ("c/", id),
            Account::Enterprise(id) => ("ce/", id),
        };
        self.name(table, id)
    }

    /// With every request, so without the machinery of formatting.
    fn name(&self, table: &str, rest: &str) -> String {
        let lengths = [self.prefix.len(), table.len(), rest.len(), 4];
        let mut name = String::with_capacity(lengths.into_iter().fold(0, usize::saturating_add));
        name.push_str(&self.prefix);
        name.push_str(table);
        name.push_str(rest);
        name
    }

    /// What is known of the whole table.
    #[must_use]
    pub fn meta(&self) -> String {
        self.name("meta", "")
    }

    /// Which writing of records was the last.
    #[must_use]
    pub fn stamp(&self) -> String {
        self.name("stamp", "")
    }

    /// What is known of the fleet.
    #[must_use]
    pub fn fleet(&self) -> String {
        self.name("fleet", "")
    }

    /// The steward's lease.
    #[must_use]
    pub fn steward(&self) -> String {
        self.name("steward", "")
    }

    /// This process's name.
    #[must_use]
    pub fn process(&self) -> String {
        self.name("process", "")
    }

    /// The queue from workers to the steward.
    #[must_use]
    pub fn ledger(&self) -> String {
        self.name("ledger", "")
    }
}
