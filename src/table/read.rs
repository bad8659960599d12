//! Finds one record in the shard that must hold it.

use tollkeeper_contract::{Digest, page::Table, shard};

use crate::{
    principal::Account,
    refusal::Refusal,
    shared::{SharedData, Value},
};

use super::{KeyTable, packed};

impl<Shared: SharedData> KeyTable<'_, Shared> {
    /// The encoded record of the key with this digest, if there is one.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such key".
    pub fn find_key(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Refusal> {
        self.find(Table::Keys, digest)
    }

    /// The encoded record of the team or enterprise, if there is one.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such".
    pub fn find_account(&self, account: &Account) -> Result<Option<Vec<u8>>, Refusal> {
        let (table, id) = match account {
            Account::Team(id) => (Table::Teams, id),
            Account::Enterprise(id) => (Table::Enterprises, id),
        };
        self.find(table, &Digest::of(id.as_bytes()))
    }

    /// The encoded record of whatever `table` has under this name, if there is one.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such".
    pub fn find_named(&self, table: Table, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        self.find(table, &Digest::of(name.as_bytes()))
    }

    /// The encoded record of the key that verifies tokens with this `kid`, of which this is the digest.
    ///
    /// # Errors
    /// When the host fails or the shard cannot be read: never taken for "no such token key".
    pub fn find_token_key(&self, kid: &Digest) -> Result<Option<Vec<u8>>, Refusal> {
        self.find(Table::TokenKeys, kid)
    }

    fn find(&self, table: Table, digest: &Digest) -> Result<Option<Vec<u8>>, Refusal> {
        let Some(Value { bytes, .. }) = self.shared.get(&self.names.shard_of(table, digest))? else { return Ok(None) };
        let Some(record) = shard::find(&bytes, digest)? else { return Ok(None) };
        Ok(Some(if table == Table::Keys { packed::unpack(record)? } else { record.to_vec() }))
    }
}
