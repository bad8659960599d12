//! Keys that can be recognised go through everything, with all logs at their most talkative; none is found again.
//!
//! `make canaries` sends ten thousand, every other run a thousand. Half of them exist, the others are guesses.
//! Every key bears the same mark, so one search finds any of them, in clear text, in hexadecimal or in base64.

use std::{env, fmt::Write};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use lab::edge::Edge;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tollkeeper_contract::{Digest, page::NodeToken};

use crate::scene::Style;

const MARK: &str = "CanaryThatMustNotBeSeen";
/// How many keys there are unless told.
const FEW: usize = 1_000;
/// How many are shown to logins as well, one after the other.
const LOGINS: usize = 6;

fn key(number: usize) -> String {
    format!("{MARK}{number:017}")
}

/// What the mark looks like in whatever text a key may have been written as.
fn spellings() -> Vec<String> {
    let hex = MARK.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let mut spellings = vec![MARK.to_owned(), hex.to_uppercase(), hex];
    // Wherever the mark begins within three bytes, what does not depend on its neighbours.
    for before in 0..3 {
        let text = STANDARD_NO_PAD.encode(format!("{}{MARK}", "x".repeat(before)));
        spellings.push(text[4..text.len() - 4].to_owned());
    }
    spellings
}

fn found(place: &[u8], spellings: &[String]) -> usize {
    let text = String::from_utf8_lossy(place);
    spellings.iter().map(|mark| text.matches(mark.as_str()).count()).sum()
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

async fn logged_in(edge: &Edge, known: usize) -> Vec<u8> {
    let mut answers = Vec::new();
    for number in known - LOGINS / 2..known + LOGINS / 2 {
        let login = edge.key_service().request(Method::POST, "/auth/login").json(&json!({ "api_key": key(number) }));
        let answer = login.send().await.unwrap();
        assert_eq!(answer.status(), if number < known { 200 } else { 401 });
        answers.extend_from_slice(&answer.bytes().await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]
async fn of_many_keys_none_is_found_in_logs_answers_metrics_configuration_database_or_shared_data() {
    let keys: usize = env::var("CANARIES").map_or(FEW, |text| text.parse().expect("a number"));
    let known = keys / 2;
    let edge = Edge::synced_start(|setup| setup.traced().key_service_environment("TOLLKEEPER_LOG", "trace")).await;
    import(&edge, known).await;
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
    assert_eq!(granted, known);
    answers.extend(logged_in(&edge, known).await);

    // What nodes are given is what they write into shared data.
    let shown = NodeToken::parse(edge.tokens().node.expose()).unwrap().shown().to_owned();
    let pages = edge.key_service().request(Method::GET, "/node/v1/snapshot?nonce=1").build_split();
    let mut request = pages.1.unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {shown}").parse().unwrap());
    let page = pages.0.execute(request).await.unwrap();
    assert_eq!(page.status(), 200);

    let mut places = edge.files();
    places.push(("answers".to_owned(), answers));
    places.push(("pages for nodes".to_owned(), page.bytes().await.unwrap().to_vec()));
    for path in ["/stats", "/stats/prometheus", "/config_dump"] {
        places.push((path.to_owned(), edge.admin(path).await.into_bytes()));
    }
    for path in ["/v1/audit?limit=1000", "/v1/keys?limit=1000", "/v1/sessions?limit=1000"] {
        places.push((path.to_owned(), edge.key_service().get(path).await.unwrap().to_string().into_bytes()));
    }
    let metrics = edge.key_service().request(Method::GET, "/metrics").send().await.unwrap();
    places.push(("/metrics".to_owned(), metrics.bytes().await.unwrap().to_vec()));

    let spellings = spellings();
    for number in [0, known] {
        for text in
            [key(number), STANDARD_NO_PAD.encode(key(number)), STANDARD_NO_PAD.encode(format!("x{}", key(number)))]
        {
            assert!(found(text.as_bytes(), &spellings) > 0, "the search would find {text}");
        }
    }
    let mut found_in = Vec::new();
    for (place, content) in &places {
        assert!(!content.is_empty() || place.ends_with(".lock") || place.contains("-wal"), "{place} is empty");
        found_in.extend((0..found(content, &spellings)).map(|_| place));
    }
    let bytes: usize = places.iter().map(|(_, content)| content.len()).sum();
    println!("hold: concealment/canary_keys {keys} found={} bytes={bytes} places={}", found_in.len(), places.len());
    assert!(found_in.is_empty(), "keys are found in {found_in:?}");
}
