//! Keys that can be recognised, tokens, passwords and the secrets of the installation go through everything, with all logs at
//! their most talkative; none is found again.
//!
//! `make canaries` sends ten thousand, every other run a thousand. Half of them exist, the others are guesses.
//! Every key bears the same mark, so one search finds any of them, in clear text, in hexadecimal or in base64.
//!
//! * `visits`: keys that are shown to the key service itself
//! * `secrets`: what else is secret
//! * `places`: what is searched

mod places;
mod secrets;
mod visits;

use std::{env, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use lab::{edge::Edge, envoy::Talk};
use reqwest::Client;
use serde_json::{Value, json};
use tollkeeper_contract::Digest;

use self::places::Places;
use crate::{scene::Style, shared_data};

const MARK: &str = "CanaryThatMustNotBeSeen";
/// How many keys there are unless told.
const FEW: usize = 1_000;
/// How many are shown to the key service as well: as many that exist as guesses, some of them in each way.
const SHOWN: usize = visits::WAYS * 10;
/// How many the key service makes itself, and as many that take the place of these.
const MADE: usize = 3;

fn key(number: usize) -> String {
    format!("{MARK}{number:017}")
}

/// What a mark looks like in whatever text a key may have been written as.
fn spellings(mark: &str) -> Vec<String> {
    let hex = mark.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let mut spellings = vec![mark.to_owned(), hex.to_uppercase(), hex];
    // Wherever the mark begins within three bytes, what does not depend on its neighbours.
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode(format!("{}{mark}", "x".repeat(before)));
        spellings.push(text[4..text.len() - 4].to_owned());
    }
    spellings
}

fn found(place: &[u8], spellings: &[String]) -> usize {
    let text = String::from_utf8_lossy(place);
    spellings.iter().map(|mark| text.matches(mark.as_str()).count()).sum()
}

/// The places where it was found, each as often as it was.
fn found_in(places: &Places, spellings: &[String]) -> Vec<String> {
    places.iter().flat_map(|(place, content)| vec![place.clone(); found(content, spellings)]).collect()
}

async fn import(edge: &Edge, known: usize) {
    edge.key_service().create_team("acme", "acme").await.unwrap();
    let quota = json!({ "quota": { "limit": 1_000_000, "window_seconds": 1 } });
    edge.key_service().patch_team("acme", &quota).await.unwrap();
    let row =
        |number| json!({ "digest": Digest::of(key(number).as_bytes()).to_hex(), "team": "acme", "scopes": ["read"] });
    for first in (0..known).step_by(500) {
        let rows: Vec<Value> = (first..first + 500).map(row).collect();
        edge.key_service().post("/v1/keys/import", &json!({ "keys": rows })).await.unwrap();
    }
    let revision = edge.key_service().get("/v1/fleet").await.unwrap()["revision"].as_u64().unwrap();
    edge.serves(revision).await;
}

/// Sends each of these keys; how many were let in, and all that was answered.
async fn sent(client: Client, url: String, numbers: Vec<usize>) -> (usize, Vec<u8>) {
    let (mut granted, mut answers) = (0, Vec::new());
    for number in numbers {
        let (name, value) = Style::ALL[number % Style::ALL.len()].header(&key(number));
        let answer = client.get(&url).header(name, value).send().await.unwrap();
        granted += usize::from(answer.status() == 200);
        for (name, value) in answer.headers() {
            answers.extend_from_slice(name.as_str().as_bytes());
            answers.extend_from_slice(value.as_bytes());
        }
        answers.extend_from_slice(&answer.bytes().await.unwrap());
    }
    (granted, answers)
}

/// Sends that many keys, as four clients.
async fn all_sent(edge: &Edge, keys: usize) -> (usize, Vec<u8>) {
    let url = format!("http://{}/api/acme/x", edge.address());
    let client = lab::http::client().unwrap().http1_only().build().unwrap();
    let parts = (0..4).map(|part| {
        let numbers = (0..keys).filter(|number| number / 4 % 4 == part).collect();
        tokio::spawn(sent(client.clone(), url.clone(), numbers))
    });
    let (mut granted, mut answers) = (0, Vec::new());
    for part in parts.collect::<Vec<_>>() {
        let (let_in, told) = part.await.unwrap();
        granted += let_in;
        answers.extend(told);
    }
    (granted, answers)
}

/// Keys that the key service itself makes, each of which is used once; not even the answer that showed them is kept here.
async fn made(edge: &Edge) -> Vec<String> {
    let mut made = Vec::new();
    for _ in 0..MADE {
        let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
        let answer = edge.get("/api/acme/x").header("x-api-key", &key.key).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let replaced = edge.key_service().post(&format!("/v1/keys/{}/rotate", key.id), &json!({})).await.unwrap();
        // Its id is told everywhere.
        let secret = |text: &str| text.split('_').nth(4).unwrap().to_owned();
        made.extend([secret(&key.key), secret(replaced["key"].as_str().unwrap())]);
    }
    made
}

/// Tells that the search finds each of these texts however it is written.
fn ensure_searched(texts: &[String], spellings: &[String]) {
    for text in texts {
        for written in [text.clone(), STANDARD_NO_PAD.encode(text), STANDARD_NO_PAD.encode(format!("x{text}"))] {
            assert!(found(written.as_bytes(), spellings) > 0, "the search would find {written}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]
async fn of_many_keys_none_is_found_in_logs_answers_metrics_configuration_database_or_shared_data() {
    let keys: usize = env::var("CANARIES").map_or(FEW, |text| text.parse().expect("a number"));
    let known = keys / 2;
    let mut edge =
        Edge::synced_start(|setup| secrets::with_logins(setup).key_service_environment("TOLLKEEPER_LOG", "trace"))
            .await;
    // Not before there is a table: a first sync looks at each of many names, and would take its time to tell of it.
    edge.talks(Talk::Everything).await;
    import(&edge, known).await;
    let (granted, mut answers) = all_sent(&edge, keys).await;
    assert_eq!(granted, known);
    let service = format!("http://{}", edge.key_service_process().address());
    let shown = known - SHOWN / 2..known + SHOWN / 2;
    let (given, told) = visits::shown(&service, shown.map(key)).await;
    assert_eq!(given.len(), SHOWN / 2 / visits::WAYS * 2, "two ways are logins with a key alone");
    answers.extend(told);
    let made = made(&edge).await;
    let secrets = secrets::shown(&edge, &service, given).await;
    answers.extend(secrets.answers);

    let shared = shared_data::of(&mut edge, "acme").await;
    for present in [Digest::of(key(0).as_bytes()).as_bytes().as_slice(), b"tk6/edge/c/acme\n"] {
        assert!(shared.windows(present.len()).any(|bytes| bytes == present), "shared data is there: {}", shared.len());
    }
    let mut places = places::of(&edge).await;
    places.extend([("answers".to_owned(), answers), ("shared data".to_owned(), shared)]);
    let log = places.iter_mut().find(|(place, _)| place == "envoy.log").expect("Envoy's log");
    let [of_requests, others] = places::parted(&String::from_utf8_lossy(&log.1));
    log.1 = others.into_bytes();

    let of_keys: Vec<_> = made.iter().map(String::as_str).chain([MARK]).flat_map(spellings).collect();
    let of_others: Vec<_> = secrets.marks.iter().flat_map(|mark| spellings(mark)).collect();
    ensure_searched(&[vec![key(0), key(known)], made].concat(), &of_keys);
    ensure_searched(&secrets.marks, &of_others);
    assert!(found(of_requests.as_bytes(), &of_keys) > keys, "and so it finds them where Envoy writes down requests");
    for mark in &secrets.marks {
        assert!(found(of_requests.as_bytes(), &spellings(mark)) > 0, "this one, too: {mark}");
    }
    for (place, content) in &places {
        assert!(!content.is_empty() || place.ends_with(".lock") || place.contains("-wal"), "{place} is empty");
    }
    let found_in = [of_keys, of_others].map(|of| found_in(&places, &of));
    let [keys_found, others_found] = found_in.each_ref().map(Vec::len);
    let bytes: usize = places.iter().map(|(_, content)| content.len()).sum();
    let (traps, searched) = (edge.vm_traps(), places.len());
    println!(
        "hold: concealment/canary_keys {keys} found={keys_found} vm_traps={traps} bytes={bytes} places={searched} \
         shown_to_key_service={SHOWN}"
    );
    let (others, shown) = (secrets.marks.len(), secrets.count);
    println!("hold: concealment/other_secrets {others} found={others_found} shown={shown}");
    assert_eq!(traps, 0);
    assert!(found_in.concat().is_empty(), "secrets are found in {found_in:?}");
}
