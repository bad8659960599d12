//! How long a search in the key table takes in this very module: only with the feature `traps`, for a test to judge.

use std::hint::black_box;

use proxy_wasm::{hostcalls, types::MapType};
use tollkeeper_contract::{Digest, shard};

use super::host;

/// How many searches to time, and the names of the shards to search in.
const HEADER: &str = "x-test-search";

/// What is searched for.
const CLASSES: u64 = 5;

/// A shard as the gate reads it, and who is in it.
struct Searched {
    bytes: Vec<u8>,
    digests: Vec<Digest>,
}

/// Answers a request that asks for it: for each search the number of its class, and its nanoseconds in four bytes.
pub(super) fn answers() -> bool {
    let asked = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, HEADER).ok().flatten();
    let Some(measured) = asked.and_then(|asked| measure(std::str::from_utf8(&asked).ok()?)) else { return false };
    hostcalls::send_http_response(200, Vec::new(), Some(&measured)).is_ok()
}

fn measure(asked: &str) -> Option<Vec<u8>> {
    let mut words = asked.split(' ');
    let count: usize = words.next()?.parse().ok()?;
    let shards: Vec<_> = words.map(read).collect::<Option<_>>()?;
    let mut state = host::random();
    let mut choose = || {
        let class = below(&mut state, CLASSES);
        let (shard, digest) = choose(&shards, class, &mut state)?;
        Some((class, shard, digest))
    };
    // All of them first, so that what is timed comes behind the same whatever it is.
    let searches: Vec<_> = (0..count).map(|_| choose()).collect::<Option<_>>()?;
    let mut told = Vec::with_capacity(count.saturating_mul(5));
    for (class, shard, digest) in searches {
        let began = host::nanoseconds().ok()?;
        black_box(shard::find(black_box(&shard.bytes), black_box(&digest))).ok()?;
        if class == CLASSES.saturating_sub(1) {
            black_box(shard::find(black_box(&shard.bytes), black_box(&digest))).ok()?;
        }
        let took = host::nanoseconds().ok()?.saturating_sub(began);
        told.push(class as u8);
        told.extend_from_slice(&u32::try_from(took).unwrap_or(u32::MAX).to_le_bytes());
    }
    Some(told)
}

fn read(name: &str) -> Option<Searched> {
    let bytes = hostcalls::get_shared_data(name).ok()?.0?;
    let digests = shard::records(&bytes).ok()?.into_iter().map(|(digest, _)| digest).collect();
    Some(Searched { bytes, digests })
}

/// One that is there, with another first byte, with another last byte, any other; and one that is there, searched for twice.
fn choose<'a>(shards: &'a [Searched], class: u64, state: &mut u64) -> Option<(&'a Searched, Digest)> {
    let any = |state: &mut u64| shards.get(below(state, shards.len() as u64) as usize);
    let there = any(state)?;
    let mut bytes = *there.digests.get(below(state, there.digests.len() as u64) as usize)?.as_bytes();
    let elsewhere = any(state)?;
    let first = *elsewhere.digests.first()?.as_bytes().first()?;
    match class {
        1 if first == *bytes.first()? => return choose(shards, class, state),
        1 => *bytes.first_mut()? = first,
        2 => *bytes.last_mut()? ^= (below(state, 255) as u8).wrapping_add(1),
        // The first two bytes say which shard it is.
        3 => bytes.iter_mut().skip(2).for_each(|byte| *byte = below(state, 256) as u8),
        _ => {}
    }
    Some((if class == 1 { elsewhere } else { there }, Digest::from_bytes(bytes)))
}

/// Numbers that look random (splitmix64).
fn below(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).checked_rem(bound).unwrap_or_default()
}
