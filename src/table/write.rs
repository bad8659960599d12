//! Writes records into their shards: only the steward does, and every write is a compare-and-swap, so a steward that
//! was replaced without noticing cannot undo what its successor wrote.

use std::{collections::BTreeMap, fmt};

use tollkeeper_contract::{
    Broken, Digest, EnterpriseRecord, TeamRecord,
    page::{Entry, Table},
    shard::{self, Edit},
};

use crate::{
    principal::Account,
    shared::{Expected, HostFailure, SharedData, Swap},
};

use super::{KeyTable, packed};

/// Why records could not be written. What was written before stays, and writing them again does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// Somebody else wrote the same shard: there is another steward.
    Superseded,
    /// A shard could not be read.
    Broken,
    /// The host failed.
    Host,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superseded => "another steward wrote the same shard",
            Self::Broken => "a shard in shared data cannot be read",
            Self::Host => "a call to the host failed",
        })
    }
}

impl std::error::Error for WriteError {}

impl From<HostFailure> for WriteError {
    fn from(_: HostFailure) -> Self {
        Self::Host
    }
}

impl From<Broken> for WriteError {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

impl<Shared: SharedData> KeyTable<'_, Shared> {
    /// Puts and removes records, each in its shard; `entries` are in the order of their cursors, as in an opened page.
    ///
    /// # Errors
    /// When the host fails, a shard cannot be read, or another steward is at work.
    pub fn apply(&self, entries: &[Entry<'_>]) -> Result<(), WriteError> {
        if entries.is_empty() { Ok(()) } else { self.stamped(|| self.write(entries)) }
    }

    fn write(&self, entries: &[Entry<'_>]) -> Result<(), WriteError> {
        for run in entries.chunk_by(|left, right| place(left) == place(right)) {
            let Some((table, index)) = run.first().map(place) else { continue };
            let edits: Vec<_> =
                run.iter().map(|entry| (entry.cursor.digest, entry.record.map_or(Edit::Remove, Edit::Put))).collect();
            self.edit(table, index, &edits)?;
        }
        Ok(())
    }

    /// Makes a shard hold exactly these records, sorted by digest.
    pub(super) fn replace(&self, table: Table, index: u16, records: &[(Digest, Vec<u8>)]) -> Result<(), WriteError> {
        let old = self.shared.get(&self.names.shard(table, index))?.map(|value| value.bytes).unwrap_or_default();
        let gone = shard::records(&old)?;
        let gone = gone.iter().filter(|(digest, _)| records.binary_search_by(|(kept, _)| kept.cmp(digest)).is_err());
        // A map sorts with less code than a sort has, and the module pays for code.
        let mut edits = BTreeMap::new();
        edits.extend(gone.map(|(digest, _)| (*digest, Edit::Remove)));
        edits.extend(records.iter().map(|(digest, record)| (*digest, Edit::Put(record.as_slice()))));
        self.edit(table, index, &Vec::from_iter(edits))
    }

    fn edit(&self, table: Table, index: u16, edits: &[(Digest, Edit<'_>)]) -> Result<(), WriteError> {
        if edits.is_empty() {
            return Ok(());
        }
        let name = self.names.shard(table, index);
        let read = self.shared.get(&name)?;
        let expected = Expected::from_read(read.as_ref());
        let old = read.map(|value| value.bytes).unwrap_or_default();
        let new = if table == Table::Keys { edit_packed(&old, edits) } else { shard::edit(&old, edits) }?;
        self.mark_removed(table, &old, edits)?;
        // Also where nothing is to be changed: it stops whoever read the shard before, and is late with something older.
        if self.shared.swap(&name, &new, expected)? == Swap::Conflict {
            return Err(WriteError::Superseded);
        }
        self.refresh_cells(table, &old, edits)
    }

    /// Before the shard: see [`Cell`](super::Cell).
    fn mark_removed(&self, table: Table, old: &[u8], edits: &[(Digest, Edit<'_>)]) -> Result<(), WriteError> {
        for (digest, edit) in edits {
            if *edit == Edit::Remove
                && let Some(record) = shard::find(old, digest)?
                && let Some(account) = account_of(table, record)?
            {
                self.mark_gone(&account)?;
            }
        }
        Ok(())
    }

    /// Only after the shard: see [`Cell`](super::Cell).
    fn refresh_cells(&self, table: Table, old: &[u8], edits: &[(Digest, Edit<'_>)]) -> Result<(), WriteError> {
        for (digest, edit) in edits {
            let (known, record) = match edit {
                Edit::Put(record) => (Some(*record), Some(*record)),
                Edit::Remove => (shard::find(old, digest)?, None),
            };
            // What was never there has no cell.
            let Some(known) = known else { continue };
            if let Some(account) = account_of(table, known)? {
                self.refresh_cell(&account, record)?;
            }
        }
        Ok(())
    }
}

/// Whose record this is, if it is of somebody who has a bucket.
fn account_of(table: Table, record: &[u8]) -> Result<Option<Account>, Broken> {
    match table {
        Table::Teams => Ok(Some(Account::Team(TeamRecord::decode(record)?.id.to_owned()))),
        Table::Enterprises => Ok(Some(Account::Enterprise(EnterpriseRecord::decode(record)?.id.to_owned()))),
        Table::Keys | Table::Users | Table::RevokedSessions | Table::Hosts | Table::TokenKeys | Table::Limits => {
            Ok(None)
        }
    }
}

fn edit_packed(old: &[u8], edits: &[(Digest, Edit<'_>)]) -> Result<Vec<u8>, Broken> {
    let pack = |(digest, edit): &(Digest, Edit<'_>)| match edit {
        Edit::Put(record) => packed::pack(record).map(|packed| (*digest, Some(packed))),
        Edit::Remove => Ok((*digest, None)),
    };
    let packed = edits.iter().map(pack).collect::<Result<Vec<_>, _>>()?;
    let edits = packed.iter().map(|(digest, record)| (*digest, record.as_deref().map_or(Edit::Remove, Edit::Put)));
    shard::edit(old, &Vec::from_iter(edits))
}

fn place(entry: &Entry<'_>) -> (Table, u16) {
    (entry.cursor.table, shard::index(&entry.cursor.digest))
}

#[cfg(test)]
mod tests {
    use super::WriteError;
    use crate::{
        limiter::Limit,
        shared::memory::{Interleaved, Memory},
        table::{KeyTable, Names},
        time::Monotonic,
    };
    use tollkeeper_contract::{
        Digest, KeyRecord, KeyState, Kind, Owner,
        page::{Cursor, Entry, Table},
    };

    fn record(id: &str) -> Vec<u8> {
        let mut out = Vec::new();
        KeyRecord {
            kind: Kind::Application,
            state: KeyState::Active,
            not_before: None,
            expires: None,
            id,
            owner: Owner::Team("acme"),
            subject: "",
            scopes: "",
            origin: None,
        }
        .encode(&mut out);
        out
    }

    fn entry<'a>(key: &[u8], record: Option<&'a [u8]>) -> Entry<'a> {
        Entry { cursor: Cursor { table: Table::Keys, digest: Digest::of(key) }, record }
    }

    fn table<'a>(shared: &'a Memory, names: &'a Names) -> KeyTable<'a, Memory> {
        KeyTable { shared, names, limits: Limit::bucket(1, 1).into(), now: Monotonic(0) }
    }

    #[test]
    fn a_key_that_was_put_is_found_until_it_is_removed() {
        let (shared, names, bytes) = (Memory::default(), Names::new("test"), record("k1"));
        table(&shared, &names).apply(&[entry(b"secret", Some(&bytes))]).unwrap();
        assert_eq!(table(&shared, &names).find_key(&Digest::of(b"secret")), Ok(Some(bytes)));
        assert_eq!(table(&shared, &names).find_key(&Digest::of(b"other")), Ok(None));
        table(&shared, &names).apply(&[entry(b"secret", None)]).unwrap();
        assert!(shared.names().is_empty(), "a shard without records takes no memory");
    }

    #[test]
    fn a_steward_that_was_replaced_gives_up() {
        let (shared, names, bytes) = (Memory::default(), Names::new("test"), record("k1"));
        shared.conflict_next(1);
        assert_eq!(table(&shared, &names).apply(&[entry(b"a", Some(&bytes))]), Err(WriteError::Superseded));
    }

    #[test]
    fn a_writer_who_is_late_with_something_older_is_stopped_also_by_one_who_found_nothing_to_change() {
        let (names, revoked, active) = (Names::new("test"), record("revoked"), record("active"));
        // From when the late one has read the shard; before, it is the fence that stops it.
        for moment in 3..6 {
            let shared = Memory::default();
            let write = |bytes| table(&shared, &names).apply(&[entry(b"secret", Some(bytes))]);
            write(&revoked).unwrap();
            let interleaved = Interleaved::new(&shared, moment, || write(&revoked).unwrap());
            let late =
                KeyTable { shared: &interleaved, names: &names, limits: Limit::bucket(1, 1).into(), now: Monotonic(0) };
            assert_eq!(late.apply(&[entry(b"secret", Some(&active))]), Err(WriteError::Superseded), "access {moment}");
            assert!(interleaved.has_acted());
            let stands = table(&shared, &names).find_key(&Digest::of(b"secret"));
            assert_eq!(stands, Ok(Some(revoked.clone())), "access {moment}");
        }
    }

    #[test]
    fn a_shard_that_cannot_be_read_is_never_taken_for_an_unknown_key() {
        let (shared, names, digest) = (Memory::default(), Names::new("test"), Digest::of(b"a"));
        shared.put(&names.shard_of(Table::Keys, &digest), b"nonsense");
        assert!(table(&shared, &names).find_key(&digest).is_err());
    }
}
