//! What is known of the whole table: which database it mirrors, up to which revision, and since when.

use std::time::Duration;

use tollkeeper_contract::page::ServiceId;

use crate::{
    refusal::Fault,
    shared::{HostFailure, SharedData},
    time::Monotonic,
};

use super::Names;

/// The state of the table as its steward last wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The database that the table mirrors.
    pub service: ServiceId,
    /// Every change up to and with this one is in the table.
    pub revision: u64,
    /// The table is whole from this revision on: a first snapshot is read while changes go on, and what it says is
    /// consistent only once the changes up to its last page are in.
    pub whole_from: u64,
    /// When the key service last said that this is all.
    pub synced: Monotonic,
}

impl Meta {
    const LENGTH: usize = 40;

    /// Reads the state; `None` before the first snapshot is in.
    ///
    /// # Errors
    /// When the host fails.
    pub fn read(shared: &impl SharedData, names: &Names) -> Result<Option<Self>, HostFailure> {
        Ok(shared.get(&names.meta())?.and_then(|value| Self::decode(&value.bytes)))
    }

    /// Whether requests may be judged by the table.
    ///
    /// # Errors
    /// When it is not whole yet, or older than `max_age`.
    pub fn usable(meta: Option<&Self>, now: Monotonic, max_age: Duration) -> Result<(), Fault> {
        let Some(meta) = meta.filter(|meta| meta.is_whole()) else { return Err(Fault::NotSynced) };
        let age = Duration::from_millis(now.since(meta.synced));
        if age > max_age { Err(Fault::TableStale) } else { Ok(()) }
    }

    /// Whether everything that the snapshot promised is in.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.revision >= self.whole_from
    }

    /// The state as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let numbers = [self.revision, self.whole_from, self.synced.0];
        self.service.0.into_iter().chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect()
    }

    /// Reads what [`Meta::encode`] writes; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let (service, rest) = bytes.split_first_chunk()?;
        let (numbers, _) = rest.as_chunks::<8>();
        let [revision, whole_from, synced] = numbers else { return None };
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        Some(Self {
            service: ServiceId(*service),
            revision: number(revision),
            whole_from: number(whole_from),
            synced: Monotonic(number(synced)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Meta;
    use crate::{refusal::Fault, time::Monotonic};
    use tollkeeper_contract::page::ServiceId;

    const META: Meta = Meta { service: ServiceId([3; 16]), revision: 7, whole_from: 7, synced: Monotonic(1000) };

    #[test]
    fn the_state_comes_back_as_it_went() {
        assert_eq!(Meta::decode(&META.encode()), Some(META));
        assert_eq!(Meta::decode(&[0; 39]), None);
    }

    #[test]
    fn a_table_serves_once_it_is_whole_and_until_it_is_too_old() {
        let usable = |meta: Option<Meta>, now| Meta::usable(meta.as_ref(), Monotonic(now), Duration::from_secs(10));
        assert_eq!(usable(None, 1000), Err(Fault::NotSynced));
        assert_eq!(usable(Some(Meta { whole_from: 8, ..META }), 1000), Err(Fault::NotSynced));
        assert_eq!(usable(Some(META), 11_000), Ok(()));
        assert_eq!(usable(Some(META), 11_001), Err(Fault::TableStale));
    }
}
