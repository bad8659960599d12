//! Between Envoy and the key service stands somebody who answers in its place: whatever comes, keys work as before, nobody
//! else gets in, and what was changed meanwhile arrives soon after.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use lab::edge::Edge;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::faults::{Course, number, sort::Sort, sorts, with_tokens};

/// What becomes of calls.
#[derive(Debug, Clone)]
enum Manner {
    /// The key service answers.
    Genuine,
    /// This answer, whatever is asked.
    Fixed(Vec<u8>),
    /// The key service's answer, after its bytes were changed.
    Changed(fn(&[u8]) -> Vec<u8>),
    /// An answer that it gave before.
    Replayed,
    /// The head of an answer, and then more than anybody can take.
    Endless,
    /// The key service's answer, a byte at a time.
    Slow,
    /// The key service's answers, in turn as they are and cut short, each time some bytes later.
    CutShort(Arc<Mutex<Cuts>>),
    /// Nothing; the connection stays.
    Silent,
    /// Nothing; the connection ends.
    Closed,
}

/// Where answers were cut, and are cut next.
#[derive(Debug)]
struct Cuts {
    step: usize,
    next: usize,
    count: u64,
    /// How many bytes the answer had that was cut everywhere: others were longer.
    whole: Option<usize>,
    /// After which revision a node asked whose answer was cut.
    asked: Option<String>,
    /// How often a node went on from there, as if it had been told all.
    taken: u64,
}

impl Cuts {
    fn each(step: usize) -> Self {
        Self { step, next: 0, count: 0, whole: None, asked: None, taken: 0 }
    }

    /// How much of a body of this length is sent, of which a node asked so.
    fn of(&mut self, question: &[u8], length: usize) -> usize {
        let after = String::from_utf8_lossy(question).lines().next().and_then(|line| {
            let (_, rest) = line.strip_prefix("GET /node/v1/changes?")?.split_once("after=")?;
            rest.split(['&', ' ']).next().map(str::to_owned)
        });
        let Some(after) = after else { return length };
        if let Some(before) = self.asked.take() {
            self.taken += u64::from(before != after);
            return length;
        }
        if self.next >= length {
            self.whole = self.whole.or(Some(length));
            return length;
        }
        let cut = self.next;
        (self.next, self.count, self.asked) = (cut + self.step, self.count + 1, Some(after));
        cut
    }
}

#[derive(Clone)]
struct Imposter {
    manner: Arc<watch::Sender<Manner>>,
    service: Arc<OnceLock<SocketAddr>>,
    /// The first changes that the key service told.
    heard: Arc<Mutex<Vec<u8>>>,
    answers: Arc<watch::Sender<u64>>,
}

impl Imposter {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(watch::Sender::new(Manner::Genuine));
        let imposter = Self { manner, service: Arc::default(), heard: Arc::default(), answers: Arc::default() };
        let serving = imposter.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let imposter = serving.clone();
                tokio::spawn(async move {
                    let mut changed = imposter.manner.subscribe();
                    tokio::select! {
                        _ = imposter.serve(stream) => {}
                        // Nobody waits for a poll that was asked for under another manner.
                        _ = changed.changed() => {}
                    }
                });
            }
        });
        (imposter, address)
    }

    /// One question a connection.
    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let question = read_message(&mut stream).await?;
        let manner = self.manner.borrow().clone();
        self.answers.send_modify(|answers| *answers += 1);
        let bytes = match manner {
            Manner::Genuine => {
                let answer = self.ask(&question).await?;
                let mut heard = self.heard.lock().unwrap();
                if heard.is_empty() && question.starts_with(b"GET /node/v1/changes") {
                    heard.clone_from(&answer);
                }
                answer
            }
            Manner::Fixed(bytes) => bytes,
            Manner::Changed(change) => {
                let answer = self.ask(&question).await?;
                let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
                with_body(&answer[..at], &change(&answer[at..]))
            }
            Manner::CutShort(cuts) => {
                let answer = self.ask(&question).await?;
                let at = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
                let length = cuts.lock().unwrap().of(&question, answer.len() - at);
                with_body(&answer[..at], &answer[at..at + length])
            }
            Manner::Replayed => self.heard.lock().unwrap().clone(),
            Manner::Endless => return endless(&mut stream).await,
            Manner::Slow => {
                for byte in self.ask(&question).await? {
                    stream.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                return Some(());
            }
            Manner::Silent => return std::future::pending().await,
            Manner::Closed => return None,
        };
        stream.write_all(&bytes).await.ok()
    }

    async fn ask(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut service = TcpStream::connect(self.service.get()?).await.ok()?;
        service.write_all(question).await.ok()?;
        let mut answer = read_message(&mut service).await?;
        // The connection is not used again.
        let end = answer.windows(2).position(|bytes| bytes == b"\r\n")?;
        answer.splice(end..end, b"\r\nconnection: close".iter().copied());
        Some(answer)
    }

    /// Waits until so many calls were answered in this manner.
    async fn answers_in(&self, manner: &Manner, count: u64) {
        self.manner.send_replace(manner.clone());
        let mut answers = self.answers.subscribe();
        let goal = *answers.borrow_and_update() + count;
        let enough = answers.wait_for(|answers| *answers >= goal);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("Envoy calls again").unwrap();
    }
}

/// A head, and as many bytes as it announces.
async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let end = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(bytes)
}

fn with_body(head: &[u8], body: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(head);
    let lines = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    [format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

async fn endless(stream: &mut TcpStream) -> Option<()> {
    const LENGTH: usize = 1 << 30;
    let head = format!("HTTP/1.1 200 OK\r\nx-tollkeeper-service: keyservice\r\ncontent-length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let piece = vec![b'['; 1 << 20];
    for _ in 0..LENGTH / piece.len() {
        stream.write_all(&piece).await.ok()?;
    }
    Some(())
}

fn fixed(status: &str, body: &[u8]) -> Manner {
    let head = format!("HTTP/1.1 {status}\r\nx-tollkeeper-service: keyservice\r\nconnection: close\r\n\r\n");
    Manner::Fixed(with_body(head.as_bytes(), body))
}

/// Each with its name.
fn manners() -> Vec<(&'static str, Manner)> {
    let nested = "[".repeat(200_000);
    let stranger = with_body(b"HTTP/1.1 200 OK\r\nx-tollkeeper-service: other\r\nconnection: close\r\n\r\n", b"{}");
    vec![
        ("says 500", fixed("500 Internal Server Error", b"{}")),
        ("says 500 without its name", Manner::Fixed(with_body(b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n", b""))),
        ("sends a page of HTML", fixed("200 OK", b"<html><body>Welcome to nginx!</body></html>")),
        ("sends nothing", fixed("200 OK", b"")),
        ("sends an empty list", fixed("200 OK", b"[]")),
        ("sends deeply nested lists", fixed("200 OK", nested.as_bytes())),
        ("sends a name twice", fixed("200 OK", br#"{"revision":1,"revision":2,"entries":{},"entries":[]}"#)),
        ("sends other types", fixed("200 OK", br#"{"revision":"one","entries":{}}"#)),
        ("sends half of its answer", Manner::Changed(|body| body[..body.len() / 2].to_vec())),
        ("leaves out the last byte", Manner::Changed(|body| body[..body.len().saturating_sub(1)].to_vec())),
        ("sends a byte more", Manner::Changed(|body| [body, b"\0"].concat())),
        (
            "changes one bit",
            Manner::Changed(|body| body.iter().enumerate().map(flip_in_the_middle(body.len())).collect()),
        ),
        ("repeats an old answer", Manner::Replayed),
        ("is another service", Manner::Fixed(stranger)),
        ("sends a gigabyte", Manner::Endless),
        ("sends a byte at a time", Manner::Slow),
        ("says nothing", Manner::Silent),
        ("hangs up", Manner::Closed),
    ]
}

fn flip_in_the_middle(length: usize) -> impl Fn((usize, &u8)) -> u8 {
    move |(at, byte)| if at == length / 2 { byte ^ 1 } else { *byte }
}

fn lead_to(bootstrap: &mut Value, address: SocketAddr) {
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
    let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == "keyservice").unwrap();
    let place = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
    *cluster.pointer_mut(place).unwrap() = json!(address.port());
}

/// An edge to whose key service the imposter is the only way.
async fn behind_an_imposter() -> (Edge, Imposter) {
    let (imposter, address) = Imposter::start().await;
    let edge = Edge::start(move |setup| {
        with_tokens(setup).workers(2).bootstrap(move |bootstrap| {
            bootstrap.edit(|bootstrap| lead_to(bootstrap, address));
            Ok(())
        })
    })
    .await;
    let url = edge.key_service().request(Method::GET, "/").build().unwrap().url().clone();
    imposter.service.set(url.socket_addrs(|| None).unwrap()[0]).unwrap();
    edge.synced().await;
    (edge, imposter)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_answers_in_the_key_services_place_keys_work_and_nobody_else_gets_in() {
    let (mut edge, imposter) = behind_an_imposter().await;
    let sorts = sorts(&edge).await;
    let everything = manners();
    for (name, manner) in &everything {
        survives(&mut edge, &imposter, &sorts, name, manner).await;
    }
    let log = edge.envoy_log();
    assert!(!log.contains("panicked") && !log.contains("trap"), "{log}");
}

/// Requests and changes before, during and after; a key is revoked meanwhile.
async fn survives(edge: &mut Edge, imposter: &Imposter, sorts: &[Sort], name: &str, manner: &Manner) {
    let doomed = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    let name = format!("key_service_{}", name.replace(' ', "_"));
    let mut course = Course::start(edge, &name, sorts.to_vec());
    course.begins_to_break().await;
    imposter.answers_in(manner, 2).await;
    edge.key_service().revoke_key(&doomed.id).await.unwrap();
    course.is_broken_for(Duration::ZERO).await;
    let seen = crate::scene::get(edge, "/api/acme/x", &doomed.key).await;
    assert_eq!(seen.status(), 200, "{name}: nothing of it can have arrived");
    course.is_mended(edge, async |_| drop(imposter.manner.send_replace(Manner::Genuine))).await;
    crate::scene::get(edge, "/api/acme/x", &doomed.key).await.is_refused(401, "key_revoked");
    course.ends(edge).await;
}

/// Every so many bytes; `make hold` tries each.
const STEP: u64 = 16;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report of the run")]
async fn an_answer_that_ends_at_any_of_its_bytes_is_not_taken_and_is_asked_for_again() {
    let (mut edge, imposter) = behind_an_imposter().await;
    let sorts = sorts(&edge).await;
    let cuts = Arc::new(Mutex::new(Cuts::each(usize::try_from(number("FAULT_CUT_STEP", STEP)).unwrap())));
    let mut course = Course::start(&edge, "key_service_cuts_its_answers_short", sorts);
    course.begins_to_break().await;
    imposter.manner.send_replace(Manner::CutShort(Arc::clone(&cuts)));
    let wait = Duration::from_secs(600);
    let bytes = edge.wait_until("an answer was cut everywhere", wait, async || cuts.lock().unwrap().whole).await;
    course.is_broken_for(Duration::ZERO).await;
    course.is_mended(&mut edge, async |_| drop(imposter.manner.send_replace(Manner::Genuine))).await;
    course.ends(&edge).await;
    let Cuts { count, taken, .. } = &*cuts.lock().unwrap();
    println!("hold: truncation/answers_of_the_key_service {count} taken_for_whole={taken} bytes={bytes}");
    assert_eq!(*taken, 0);
}
