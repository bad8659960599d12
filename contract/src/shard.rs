//! How records lie in Envoy's shared data: a fixed number of shards, sorted by digest inside.
//!
//! A million separate shared-data keys cost a quarter of a gigabyte and stall the other workers while they are
//! inserted, and can never be removed. Shards under fixed names are rewritten in place instead.
//!
//! Layout, little endian: `"TKS1"`, count `u32`, then per record its digest and the end of its bytes as `u32`, then
//! the records' bytes. No bytes at all is a shard without records.

use crate::{
    Digest,
    bytes::{Broken, Reader},
};

const MAGIC: [u8; 4] = *b"TKS1";
const ENTRY: usize = Digest::LENGTH + 4;

/// How many shards a table has.
///
/// With a million keys a shard holds 61 of them, about 6 KiB, which costs a reader hardly more than one record.
pub const COUNT: u16 = 1 << 14;

/// Which shard holds `digest`, 0 to [`COUNT`] - 1; shards are in the order of their digests.
#[must_use]
pub fn index(digest: &Digest) -> u16 {
    let [first, second, ..] = *digest.as_bytes();
    u16::from_be_bytes([first, second]) >> 2
}

/// What is to become of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// It is there from now on, with these bytes.
    Put(&'a [u8]),
    /// It is there no longer.
    Remove,
}

/// The record of `digest`, if the shard has one.
///
/// It takes as long where there is one as where there is none: as many steps as the shard has records for, by the first eight
/// bytes alone, and then what lies there is compared whole, whether it looks like it or not.
///
/// # Errors
/// When the bytes are no shard.
pub fn find<'a>(shard: &'a [u8], digest: &Digest) -> Result<Option<&'a [u8]>, Broken> {
    let Some(view) = View::new(shard)? else { return Ok(None) };
    let wanted = leading(digest.as_bytes());
    let place = view.entries.partition_point(|entry| leading(entry) < wanted);
    let (mut place, mut found) = (place.min(view.entries.len().saturating_sub(1)), None);
    loop {
        let entry = view.entries.get(place).ok_or(Broken)?;
        let record = view.record(place)?;
        // No way of its own for what is found.
        found = if digest_of(entry)? == *digest { Some(record) } else { found };
        place = place.saturating_add(1);
        // Digests that begin alike lie one behind the other.
        if view.entries.get(place).is_none_or(|entry| leading(entry) != wanted) {
            return Ok(found);
        }
    }
}

/// All records of a shard, sorted by digest.
///
/// # Errors
/// When the bytes are no shard.
pub fn records(shard: &[u8]) -> Result<Vec<(Digest, &[u8])>, Broken> {
    let Some(view) = View::new(shard)? else { return Ok(Vec::new()) };
    view.entries.iter().enumerate().map(|(at, entry)| Ok((digest_of(entry)?, view.record(at)?))).collect()
}

/// The shard with the edits applied; `edits` must be sorted by digest, each at most once.
///
/// # Errors
/// When `shard` is no shard, or the edits are not sorted.
pub fn edit(shard: &[u8], edits: &[(Digest, Edit<'_>)]) -> Result<Vec<u8>, Broken> {
    if !edits.is_sorted_by(|(left, _), (right, _)| left < right) {
        return Err(Broken);
    }
    let mut kept = records(shard)?.into_iter().peekable();
    let mut merged = Vec::new();
    for (digest, edit) in edits {
        while let Some(record) = kept.next_if(|(old, _)| old < digest) {
            merged.push(record);
        }
        kept.next_if(|(old, _)| old == digest);
        if let Edit::Put(bytes) = edit {
            merged.push((*digest, *bytes));
        }
    }
    merged.extend(kept);
    encode(&merged)
}

/// A shard of these records; they must be sorted by digest.
///
/// # Errors
/// When a shard would grow past 4 GiB.
pub fn encode(records: &[(Digest, &[u8])]) -> Result<Vec<u8>, Broken> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(records.len()).map_err(|_| Broken)?.to_le_bytes());
    let mut end = 0_u32;
    for (digest, record) in records {
        let length = u32::try_from(record.len()).map_err(|_| Broken)?;
        end = end.checked_add(length).ok_or(Broken)?;
        out.extend_from_slice(digest.as_bytes());
        out.extend_from_slice(&end.to_le_bytes());
    }
    for (_, record) in records {
        out.extend_from_slice(record);
    }
    Ok(out)
}

struct View<'a> {
    entries: &'a [[u8; ENTRY]],
    records: &'a [u8],
}

impl<'a> View<'a> {
    fn new(shard: &'a [u8]) -> Result<Option<Self>, Broken> {
        if shard.is_empty() {
            return Ok(None);
        }
        let mut reader = Reader::new(shard);
        if reader.array()? != MAGIC {
            return Err(Broken);
        }
        let count = usize::try_from(reader.u32()?).map_err(|_| Broken)?;
        let index = reader.take(count.checked_mul(ENTRY).ok_or(Broken)?)?;
        let (entries, _) = index.as_chunks();
        let view = Self { entries, records: reader.remainder() };
        if view.end(count.checked_sub(1).ok_or(Broken)?)? != view.records.len() {
            return Err(Broken);
        }
        Ok(Some(view))
    }

    fn record(&self, at: usize) -> Result<&'a [u8], Broken> {
        let start = match at.checked_sub(1) {
            Some(before) => self.end(before)?,
            None => 0,
        };
        self.records.get(start..self.end(at)?).ok_or(Broken)
    }

    fn end(&self, at: usize) -> Result<usize, Broken> {
        let (_, end) = self.entries.get(at).and_then(|entry| entry.split_last_chunk()).ok_or(Broken)?;
        usize::try_from(u32::from_le_bytes(*end)).map_err(|_| Broken)
    }
}

/// A number in whose order digests are, but for those that begin alike.
fn leading(digest: &[u8]) -> u64 {
    digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn digest_of(entry: &[u8; ENTRY]) -> Result<Digest, Broken> {
    entry.first_chunk().map(|bytes| Digest::from_bytes(*bytes)).ok_or(Broken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{COUNT, Edit, edit, find, index, records};
    use crate::Digest;
    use proptest::prelude::*;

    #[test]
    fn shards_are_in_the_order_of_their_digests() {
        assert_eq!(index(&Digest::from_bytes([0; 32])), 0);
        assert_eq!(index(&Digest::from_bytes([0xff; 32])), COUNT - 1);
    }

    #[test]
    fn no_bytes_are_a_shard_without_records() {
        assert_eq!(find(&[], &Digest::of(b"x")), Ok(None));
        assert_eq!(edit(&[], &[(Digest::of(b"x"), Edit::Remove)]), Ok(vec![]));
    }

    #[test]
    fn a_shard_that_was_cut_anywhere_is_refused() {
        let digest = Digest::of(b"x");
        let shard = edit(&[], &[(digest, Edit::Put(b"record"))]).unwrap();
        for length in 1..shard.len() {
            assert!(find(&shard[..length], &digest).is_err(), "length {length}");
        }
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let alike = |last: u8| {
            let mut bytes = [7; 32];
            bytes[31] = last;
            Digest::from_bytes(bytes)
        };
        let there = [1, 3, 5, 7].map(|last| (alike(last), [last]));
        let edits: Vec<_> = there.iter().map(|(digest, record)| (*digest, Edit::Put(record))).collect();
        let shard = edit(&[], &edits).unwrap();
        for last in 0..=8 {
            let found = find(&shard, &alike(last)).unwrap();
            assert_eq!(found, [1, 3, 5, 7].contains(&last).then_some([last].as_slice()));
        }
        for other in [[0; 32], [6; 32], [8; 32], [0xff; 32]] {
            assert_eq!(find(&shard, &Digest::from_bytes(other)), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn a_shard_is_a_map(
            steps in proptest::collection::vec(proptest::collection::btree_map(0..40_u8, proptest::option::of(any::<Vec<u8>>()), 0..8), 0..8)
        ) {
            let mut model = BTreeMap::new();
            let mut shard = Vec::new();
            for step in &steps {
                let mut edits: Vec<_> = step.iter().map(|(name, record)| {
                    (Digest::of(&[*name]), record.as_deref().map_or(Edit::Remove, Edit::Put))
                }).collect();
                edits.sort_by_key(|(digest, _)| *digest);
                for (digest, edit) in &edits {
                    match edit {
                        Edit::Put(bytes) => { model.insert(*digest, *bytes); }
                        Edit::Remove => { model.remove(digest); }
                    }
                }
                shard = edit(&shard, &edits).unwrap();
            }
            for name in 0..40 {
                let digest = Digest::of(&[name]);
                prop_assert_eq!(find(&shard, &digest), Ok(model.get(&digest).copied()));
            }
            prop_assert_eq!(records(&shard).unwrap(), model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes: Vec<u8>, name: u8) {
            let _ = find(&bytes, &Digest::of(&[name]));
            bytes.splice(..0, *b"TKS1");
            let _ = find(&bytes, &Digest::of(&[name]));
            let _ = records(&bytes);
        }
    }
}
