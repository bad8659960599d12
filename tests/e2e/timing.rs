//! How long a refusal takes does not tell how near a guess is to a key, on the module in a real Envoy.
//!
//! Guesses that are wrong in their first byte, guesses that are wrong in their last byte, and unknown keys are sent in random
//! order over one connection; whether two classes differ is Welch's t, as in `dudect`: below 4.5 nothing is seen. The
//! instrument itself is tried with keys of our own form that have a wrong checksum, which are refused without being looked for.

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use lab::edge::Edge;
use serde_json::json;
use tollkeeper_contract::Digest;

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
fn cropped(classes: &[Class]) -> Vec<Vec<f64>> {
    let mut all: Vec<f64> = classes.iter().flat_map(|class| &class.times).copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    classes.iter().map(|class| class.times.iter().copied().filter(|time| *time <= most).collect()).collect()
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
    let samples = cropped(&classes);
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
    println!("hold: concealment/times_of_refusals {} largest_t={largest:.2}", 3 * times);
}
