//! Shards: bytes that are taken for one say the same by every way to read them, and edits do what they say.

use std::collections::BTreeMap;

use tollkeeper_contract::{
    Digest,
    shard::{self, Edit},
};

/// As many as there are in a shard with a million keys.
const MOST_EDITS: usize = 64;

/// The input as a shard, and as edits of an empty one, eight bytes each: of the first is the digest, the second says whether
/// they are put there or removed.
pub fn look(data: &[u8]) {
    if let Ok(records) = shard::records(data) {
        let is_sorted = records.is_sorted_by(|(left, _), (right, _)| left < right);
        for (digest, record) in &records {
            let found = shard::find(data, digest).expect("it was read");
            assert!(!is_sorted || found == Some(*record));
        }
        if is_sorted {
            let again = shard::encode(&records).expect("it fits");
            assert_eq!(shard::records(&again).as_ref(), Ok(&records));
        }
    }
    let _ = shard::find(data, &Digest::of(data));
    edits_do_what_they_say(data);
}

fn edits_do_what_they_say(data: &[u8]) {
    let data = data.get(..8 * MOST_EDITS).unwrap_or(data);
    // As many in one piece as the first byte says: a steward brings all that changed in a shard.
    let together = data.first().map_or(1, |first| 1 + usize::from(first % 16));
    let (mut bytes, mut expected) = (Vec::new(), BTreeMap::new());
    for chunks in data.chunks(8 * together) {
        let mut edits = BTreeMap::new();
        for chunk in chunks.chunks(8) {
            let digest = Digest::of(&chunk[..1]);
            if let Some(0..200) = chunk.get(1) {
                expected.insert(digest, chunk.to_vec());
                edits.insert(digest, Edit::Put(chunk));
            } else {
                expected.remove(&digest);
                edits.insert(digest, Edit::Remove);
            }
        }
        let edits: Vec<_> = edits.into_iter().collect();
        bytes = shard::edit(&bytes, &edits).expect("a shard");
        for (digest, _) in &edits {
            assert_eq!(shard::find(&bytes, digest), Ok(expected.get(digest).map(Vec::as_slice)));
        }
    }
    let all: Vec<_> = expected.iter().map(|(digest, record)| (*digest, record.as_slice())).collect();
    assert_eq!(shard::records(&bytes), Ok(all));
}

/// A shard of three records, and an empty one.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut digests = [b"a", b"b", b"c"].map(|text| Digest::of(text));
    digests.sort();
    let records = digests.each_ref().map(|digest| (*digest, b"a record".as_slice()));
    vec![shard::encode(&records).expect("it fits"), Vec::new(), (0..200).collect()]
}
