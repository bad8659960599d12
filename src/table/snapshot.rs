//! Writes a snapshot shard by shard while its pages arrive, and empties what the snapshot no longer has.

use tollkeeper_contract::{
    Digest,
    page::{Entry, Rest, Table},
    shard,
};

use crate::shared::SharedData;

use super::{KeyTable, WriteError};

/// How far a snapshot is written.
///
/// Pages come in the order of tables and digests, which is the order of the shards: each shard is complete as soon as
/// an entry of a later one arrives, and is then written once.
#[derive(Debug, Default)]
pub struct SnapshotWriter {
    /// The shard that is being collected, counted over all tables.
    place: u32,
    records: Vec<(Digest, Vec<u8>)>,
}

/// Shards of all tables.
const PLACES: u32 = Table::ALL.len() as u32 * shard::COUNT as u32;

impl SnapshotWriter {
    /// Writes what the page completes; a page must begin where the one before ended.
    ///
    /// # Errors
    /// When the host fails or another steward is at work; the snapshot must then be begun again.
    pub fn add(
        &mut self,
        table: &KeyTable<'_, impl SharedData>,
        entries: &[Entry<'_>],
        rest: Rest,
    ) -> Result<(), WriteError> {
        table.stamped(|| self.write(table, entries, rest))
    }

    fn write(
        &mut self,
        table: &KeyTable<'_, impl SharedData>,
        entries: &[Entry<'_>],
        rest: Rest,
    ) -> Result<(), WriteError> {
        for entry in entries {
            self.advance(table, place(entry))?;
            self.records.extend(entry.record.map(|record| (entry.cursor.digest, record.to_vec())));
        }
        match rest {
            Rest::More => Ok(()),
            Rest::Done => self.advance(table, PLACES),
        }
    }

    /// Writes every shard before `place`.
    fn advance(&mut self, key_table: &KeyTable<'_, impl SharedData>, place: u32) -> Result<(), WriteError> {
        while self.place < place {
            let records = std::mem::take(&mut self.records);
            if let Some((table, index)) = shard_at(self.place) {
                key_table.replace(table, index, &records)?;
            }
            self.place = self.place.saturating_add(1);
        }
        Ok(())
    }
}

fn place(entry: &Entry<'_>) -> u32 {
    let before = u32::from(entry.cursor.table.code()).saturating_sub(1).saturating_mul(shard::COUNT.into());
    before.saturating_add(shard::index(&entry.cursor.digest).into())
}

fn shard_at(place: u32) -> Option<(Table, u16)> {
    let per_table = u32::from(shard::COUNT);
    let table = Table::ALL.get(usize::try_from(place.checked_div(per_table)?).ok()?)?;
    Some((*table, u16::try_from(place.checked_rem(per_table)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::SnapshotWriter;
    use crate::{
        limiter::Limit,
        principal::Account,
        shared::memory::Memory,
        table::{KeyTable, Names},
        time::Monotonic,
    };
    use tollkeeper_contract::{
        Digest, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState,
        page::{Cursor, Entry, Rest, Table},
    };

    fn key(name: u32) -> (Cursor, Vec<u8>) {
        let mut record = Vec::new();
        let (id, kind, state) = (format!("k{name}"), Kind::Application, KeyState::Active);
        KeyRecord {
            kind,
            state,
            not_before: None,
            expires: None,
            id: &id,
            owner: Owner::Team("acme"),
            subject: "",
            scopes: "",
            origin: None,
        }
        .encode(&mut record);
        (Cursor { table: Table::Keys, digest: Digest::of(&name.to_le_bytes()) }, record)
    }

    fn team(id: &str) -> (Cursor, Vec<u8>) {
        let mut record = Vec::new();
        TeamRecord { id, state: TenantState::Active, quota: None, enterprise: None, hosts: Hosts::Shared }
            .encode(&mut record);
        (Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) }, record)
    }

    fn entries(records: &[(Cursor, Vec<u8>)]) -> Vec<Entry<'_>> {
        records.iter().map(|(cursor, record)| Entry { cursor: *cursor, record: Some(record) }).collect()
    }

    #[test]
    fn a_snapshot_in_pages_of_any_length_is_the_table_and_what_it_lacks_is_gone() {
        for page in [1, 7, 1000] {
            let (shared, names) = (Memory::default(), Names::new("test"));
            let limits = Limit::bucket(1, 1).into();
            let table = KeyTable { shared: &shared, names: &names, limits, now: Monotonic(0) };
            let mut old = vec![team("old"), key(9999)];
            old.sort_by_key(|(cursor, _)| *cursor);
            table.apply(&entries(&old)).unwrap();

            let mut records: Vec<_> = (0..100).map(key).chain([team("acme"), team("globex")]).collect();
            records.sort_by_key(|(cursor, _)| *cursor);
            let entries = entries(&records);
            let mut writer = SnapshotWriter::default();
            let mut pages = entries.chunks(page).peekable();
            while let Some(page) = pages.next() {
                let rest = if pages.peek().is_some() { Rest::More } else { Rest::Done };
                writer.add(&table, page, rest).unwrap();
            }
            for name in 0..100 {
                let (cursor, record) = key(name);
                assert_eq!(table.find_key(&cursor.digest), Ok(Some(record)), "page length {page}");
            }
            assert!(table.find_account(&Account::Team("acme".into())).unwrap().is_some());
            assert_eq!(table.find_account(&Account::Team("old".into())), Ok(None));
            assert_eq!(table.find_key(&key(9999).0.digest), Ok(None));
        }
    }
}
