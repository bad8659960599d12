//! Time does not tell how near a guess is to a key, on the module in a real Envoy.
//!
//! From outside, how long a refusal takes: guesses that are wrong in their first byte, guesses that are wrong in their last byte, and unknown keys are sent in random
//! order over one connection; whether two classes differ is Welch's t, as in `dudect`: below 4.5 nothing is seen. The
//! instrument itself is tried with keys of our own form that have a wrong checksum, which are refused without being looked for.
//!
//! In the module, how long the search for a key takes, by its own clock: for keys that are there, for those whose digests differ
//! in the first byte or in the last, and for others. What comes after a search differs, and is told in the answer.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use lab::{artifacts, edge::Edge};
use serde_json::json;
use tollkeeper::table::Names;
use tollkeeper_contract::{Digest, page::Table};

/// What is sent of each class in `make test`; `make timing` sends 100,000.
const FEW: usize = 3_000;

/// Keys that there are.
const KEYS: usize = 64;

/// A t that chance gives once in a hundred thousand times.
const SEEN: f64 = 4.5;

/// Numbers that look random, the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn letter(&mut self) -> u8 {
        b'a' + u8::try_from(self.below(26)).unwrap()
    }

    fn key(&mut self) -> String {
        (0..40).map(|_| char::from(self.letter())).collect()
    }

    /// The key with another letter at this place.
    fn wrong_at(&mut self, key: &str, place: usize) -> String {
        let mut bytes = key.as_bytes().to_vec();
        while bytes[place] == key.as_bytes()[place] {
            bytes[place] = self.letter();
        }
        String::from_utf8(bytes).unwrap()
    }
}

/// Guesses of one sort, as requests, and how long each took.
struct Class {
    name: &'static str,
    requests: Vec<String>,
    times: Vec<f64>,
}

impl Class {
    fn new(name: &'static str, guesses: Vec<String>) -> Self {
        let request = |key| format!("GET /api/acme/x HTTP/1.1\r\nhost: edge\r\nx-api-key: {key}\r\n\r\n");
        Self { name, requests: guesses.into_iter().map(request).collect(), times: Vec::new() }
    }
}

fn classes(keys: &[String], numbers: &mut Numbers) -> Vec<Class> {
    let mut guesses = |guess: &mut dyn FnMut(&mut Numbers, &str) -> String| -> Vec<String> {
        (0..KEYS * 16).map(|number| guess(numbers, &keys[number % KEYS])).collect()
    };
    vec![
        Class::new("wrong in the first byte", guesses(&mut |numbers, key| numbers.wrong_at(key, 0))),
        Class::new("wrong in the last byte", guesses(&mut |numbers, key| numbers.wrong_at(key, key.len() - 1))),
        Class::new("unknown", guesses(&mut |numbers, _| numbers.key())),
        Class::new("not looked for", guesses(&mut |numbers, _| format!("tk_live_app_{}", &numbers.key()[12..]))),
    ]
}

/// Sends each class so often, in random order.
fn measure(address: SocketAddr, classes: &mut [Class], times: usize, numbers: &mut Numbers) {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = vec![0; 16 << 10];
    let mut order: Vec<usize> = (0..classes.len()).collect();
    for _ in 0..times {
        (1..order.len()).for_each(|place| order.swap(place, numbers.below(place + 1)));
        for &at in &order {
            let request = &classes[at].requests[numbers.below(classes[at].requests.len())];
            let began = Instant::now();
            connection.write_all(request.as_bytes()).unwrap();
            let mut length = connection.read(&mut answer).unwrap();
            while !is_whole(&answer[..length]) {
                length += connection.read(&mut answer[length..]).unwrap();
            }
            let took = began.elapsed().as_secs_f64();
            assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer[..length]));
            classes[at].times.push(took * 1e6);
        }
    }
}

/// Bodies are problems, whose last byte is a brace.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"}") || answer.ends_with(b"}\n")
}

/// Welch's t of two samples.
fn welch(left: &[f64], right: &[f64]) -> f64 {
    let moments = |sample: &[f64]| {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    };
    let ((left, left_error), (right, right_error)) = (moments(left), moments(right));
    (left - right) / (left_error + right_error).sqrt()
}

/// What is not among the slowest tenth of all, which the machine does and not the module.
fn cropped<'a>(classes: impl Iterator<Item = &'a Vec<f64>> + Clone) -> Vec<Vec<f64>> {
    let mut all: Vec<f64> = classes.clone().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    classes.map(|times| times.iter().copied().filter(|time| *time <= most).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]
async fn how_long_a_refusal_takes_does_not_tell_how_near_a_guess_is() {
    let times = env::var("TIMING_REQUESTS").map_or(FEW, |text| text.parse().expect("a number"));
    let edge = Edge::synced_start(|setup| setup.workers(1)).await;
    let mut numbers = Numbers(20_300_131);
    let keys: Vec<String> = (0..KEYS).map(|_| numbers.key()).collect();
    edge.key_service().create_team("acme", "acme").await.unwrap();
    let rows: Vec<_> = keys
        .iter()
        .map(|key| json!({ "digest": Digest::of(key.as_bytes()).to_hex(), "team": "acme", "scopes": ["read"] }))
        .collect();
    edge.key_service().post("/v1/keys/import", &json!({ "keys": rows })).await.unwrap();
    edge.wait_until("the keys are there", Duration::from_secs(20), async || {
        let answer = edge.get("/api/acme/x").header("x-api-key", &keys[KEYS - 1]).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;

    let address = edge.address();
    let classes = tokio::task::spawn_blocking(move || {
        let mut classes = classes(&keys, &mut numbers);
        measure(address, &mut classes, times, &mut numbers);
        classes
    });
    let classes = classes.await.unwrap();
    let samples = cropped(classes.iter().map(|class| &class.times));
    for (class, sample) in classes.iter().zip(&samples) {
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        println!("measured: {}: {times} requests, mean of the fastest nine tenths {mean:.2} us", class.name);
    }
    let mut largest: f64 = 0.0;
    for (left, right) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
        let t = welch(&samples[left], &samples[right]);
        println!("measured: {} against {}: t = {t:.2}", classes[left].name, classes[right].name);
        let is_control = right == 3;
        assert!(is_control || t.abs() < SEEN, "{} and {}: t = {t}", classes[left].name, classes[right].name);
        largest = if is_control { largest } else { largest.max(t.abs()) };
    }
    println!("hold: concealment/times_of_refusals {} vm_traps={} largest_t={largest:.2}", 3 * times, edge.vm_traps());
    assert_eq!(edge.vm_traps(), 0);
}

/// What is searched for in the module, as `src/wasm/search.rs` numbers it; the last is to show that a difference is seen.
const SEARCHES: [&str; 5] =
    ["keys that are there", "another first byte", "another last byte", "any other digest", "searched for twice"];

/// First bytes of the shards that are searched.
const SHARDS: [u8; 4] = [0x10, 0x50, 0x90, 0xd0];

/// Keys in each, as many as there are with a million of them.
const KEYS_OF_A_SHARD: usize = 61;

/// Digests that begin as those of the shard do.
fn digests(shard: u8, numbers: &mut Numbers) -> Vec<Digest> {
    let mut digest = |_| {
        let mut bytes = [0; 32];
        bytes[2..].fill_with(|| u8::try_from(numbers.below(256)).unwrap());
        bytes[0] = shard;
        Digest::from_bytes(bytes)
    };
    (0..KEYS_OF_A_SHARD).map(&mut digest).collect()
}

/// The nanoseconds that searches of each sort took.
async fn searches(edge: &Edge, names: &str, times: usize) -> [Vec<f64>; 5] {
    const AT_ONCE: usize = 10_000;
    let mut took: [Vec<f64>; 5] = Default::default();
    while took.iter().any(|took| took.len() < times) {
        let request = edge.get("/healthz").header("x-test-search", format!("{AT_ONCE} {names}"));
        let told = request.send().await.unwrap().bytes().await.unwrap();
        assert_eq!(told.len(), 5 * AT_ONCE, "{}", String::from_utf8_lossy(&told));
        for [class, nanoseconds @ ..] in told.as_chunks::<5>().0 {
            took[usize::from(*class)].push(f64::from(u32::from_le_bytes(*nanoseconds)));
        }
    }
    took.map(|mut took| {
        took.truncate(times);
        took
    })
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]
async fn how_long_the_module_searches_does_not_tell_whether_a_key_is_there_or_how_near_a_guess_is() {
    let times = env::var("TIMING_REQUESTS").map_or(FEW, |text| text.parse().expect("a number"));
    let edge = Edge::synced_start(|setup| {
        setup.workers(1).bootstrap(|bootstrap| bootstrap.wasm(&artifacts::filter_that_traps()?))
    })
    .await;
    let mut numbers = Numbers(20_300_131);
    let all: Vec<_> = SHARDS.iter().flat_map(|shard| digests(*shard, &mut numbers)).collect();
    edge.key_service().create_team("acme", "acme").await.unwrap();
    let row = |digest: &Digest| json!({ "digest": digest.to_hex(), "team": "acme", "scopes": ["read"] });
    let rows: Vec<_> = all.iter().map(row).collect();
    edge.key_service().post("/v1/keys/import", &json!({ "keys": rows })).await.unwrap();
    // What is made later has a later revision.
    edge.key("acme", &["read"]).await;

    let names = Names::new("edge");
    let names: Vec<_> = all.chunks(KEYS_OF_A_SHARD).map(|digests| names.shard_of(Table::Keys, &digests[0])).collect();
    let names = names.join(" ");
    // Until the module is compiled as well as it will be.
    searches(&edge, &names, FEW).await;
    let took = searches(&edge, &names, times).await;
    let samples = cropped(took.iter());
    for (search, sample) in SEARCHES.iter().zip(&samples) {
        let mean = sample.iter().sum::<f64>() / sample.len() as f64;
        println!("measured: in the module: {search}: {times} searches, mean of the fastest nine tenths {mean:.2} ns");
    }
    let (mut largest, control): (f64, _) = (0.0, SEARCHES.len() - 1);
    for (left, right) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (0, control)] {
        let t = welch(&samples[left], &samples[right]);
        println!("measured: in the module: {} against {}: t = {t:.2}", SEARCHES[left], SEARCHES[right]);
        let is_as_it_should_be = (t.abs() < SEEN) == (right != control);
        assert!(is_as_it_should_be, "{} and {}: t = {t}", SEARCHES[left], SEARCHES[right]);
        largest = if right == control { largest } else { largest.max(t.abs()) };
    }
    let vm_traps = edge.vm_traps();
    println!(
        "hold: concealment/times_of_searches_in_the_module {} vm_traps={vm_traps} largest_t={largest:.2}",
        4 * times
    );
    assert_eq!(vm_traps, 0);
}
