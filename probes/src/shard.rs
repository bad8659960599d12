//! Shards: bytes that are taken for one say the same by every way to read them, and edits do what they say.

use std::collections::BTreeMap;

use tollkeeper_contract::{
    Digest,
    shard::{self, Edit},
};

/// The input as a shard, and as edits of an empty one: for each record a byte, its digest's first byte, and its length.
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
    let (mut bytes, mut expected) = (Vec::new(), BTreeMap::new());
    for chunk in data.chunks(8) {
        let digest = Digest::of(&chunk[..1]);
        let edit = match chunk.get(1) {
            Some(0..200) => {
                expected.insert(digest, chunk.to_vec());
                Edit::Put(chunk)
            }
            _ => {
                expected.remove(&digest);
                Edit::Remove
            }
        };
        bytes = shard::edit(&bytes, &[(digest, edit)]).expect("a shard");
        assert_eq!(shard::find(&bytes, &digest), Ok(expected.get(&digest).map(Vec::as_slice)));
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
