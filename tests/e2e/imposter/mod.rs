//! Between Envoy and the key service stands somebody who answers in its place: whatever comes, keys work as before, nobody
//! else gets in, and what was changed meanwhile arrives soon after.
//!
//! * here: who answers
//! * `manners`: the same answer to whatever is asked, or none
//! * `turns`: good and bad answers in turn, and whether a bad one was taken
//! * `cuts`: answers that end early; `sealed`: nonsense behind a good seal

mod cuts;
mod manners;
mod sealed;
mod turns;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use lab::edge::{Edge, Setup};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use crate::faults::{LIMIT, with_tokens};
use turns::Turns;

/// What becomes of calls.
#[derive(Clone)]
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
    /// The key service's answers and bad ones, in turn.
    InTurn(Arc<Mutex<Turns>>),
    /// Nothing; the connection stays.
    Silent,
    /// Nothing; the connection ends.
    Closed,
}

#[derive(Clone)]
struct Imposter {
    manner: Arc<watch::Sender<Manner>>,
    service: Arc<OnceLock<SocketAddr>>,
    /// The first changes that the key service told.
    heard: Arc<Mutex<Vec<u8>>>,
    calls: Arc<watch::Sender<Calls>>,
}

/// What became of questions about the table.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    asked: u64,
    /// Envoy hung up before it had a whole answer.
    given_up: u64,
    /// The most that went out of such an answer in this manner, into Envoy or into the sockets in between, in bytes.
    most: u64,
}

impl Imposter {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manner = Arc::new(watch::Sender::new(Manner::Genuine));
        let imposter = Self { manner, service: Arc::default(), heard: Arc::default(), calls: Arc::default() };
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
        let of_table = u64::from(question.starts_with(b"GET "));
        self.calls.send_modify(|calls| calls.asked += of_table);
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
                let (head, body) = head_and_body(&answer)?;
                with_body(head, &change(body))
            }
            Manner::InTurn(turns) => {
                let answer = self.ask(&question).await?;
                turns.lock().unwrap().answer(&question, answer)
            }
            Manner::Replayed => self.heard.lock().unwrap().clone(),
            Manner::Endless => return self.is_given_up(endless(&mut stream).await?, of_table),
            Manner::Slow => {
                let answer = self.ask(&question).await?;
                return self.is_given_up(slowly(&mut stream, &answer).await?, of_table);
            }
            Manner::Silent => return self.is_given_up(silently(&mut stream).await, of_table),
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

    fn is_given_up(&self, HungUp { after }: HungUp, of_table: u64) -> Option<()> {
        self.calls.send_modify(|calls| {
            calls.given_up += of_table;
            calls.most = calls.most.max(after);
        });
        None
    }

    /// From now on answers in this manner; returns when so many questions have come, and what had become of others before.
    async fn answers_in(&self, manner: &Manner, count: u64) -> Calls {
        self.manner.send_replace(manner.clone());
        self.calls.send_modify(|calls| calls.most = 0);
        let before = *self.calls.borrow();
        self.sees("Envoy asks again", |calls| calls.asked >= before.asked + count).await;
        before
    }

    /// Waits until it has come so far.
    async fn sees(&self, what: &str, far_enough: impl Fn(&Calls) -> bool) {
        let mut calls = self.calls.subscribe();
        let seen = tokio::time::timeout(LIMIT, calls.wait_for(far_enough)).await;
        seen.unwrap_or_else(|_| panic!("waited in vain until: {what}")).unwrap();
    }
}

/// Envoy ended the connection, and did not wait for the rest.
struct HungUp {
    /// So many bytes had gone out.
    after: u64,
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

fn head_and_body(message: &[u8]) -> Option<(&[u8], &[u8])> {
    Some(message.split_at(message.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4))
}

fn with_body(head: &[u8], body: &[u8]) -> Vec<u8> {
    let head = String::from_utf8_lossy(head);
    let lines = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let head = lines.collect::<Vec<_>>().join("\r\n");
    [format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// More than anybody can take; `None` if somebody took it.
async fn endless(stream: &mut TcpStream) -> Option<HungUp> {
    const LENGTH: usize = 1 << 30;
    let head = format!("HTTP/1.1 200 OK\r\nx-tollkeeper-service: keyservice\r\ncontent-length: {LENGTH}\r\n\r\n");
    let piece = vec![b'['; 1 << 20];
    let pieces = [head.as_bytes()].into_iter().chain(std::iter::repeat_n(piece.as_slice(), LENGTH / piece.len()));
    let mut after = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let Ok(count) = stream.write(piece).await else { return Some(HungUp { after }) };
            after += count as u64;
            piece = &piece[count..];
        }
    }
    None
}

/// A byte at a time, so that all of them take longer than anybody waits; `None` if somebody did.
async fn slowly(stream: &mut TcpStream, answer: &[u8]) -> Option<HungUp> {
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for (after, byte) in (0..).zip(answer) {
        pace.tick().await;
        if stream.write_all(&[*byte]).await.is_err() {
            return Some(HungUp { after });
        }
    }
    None
}

/// Nothing, for as long as somebody waits.
async fn silently(stream: &mut TcpStream) -> HungUp {
    let mut more = [0; 1024];
    while matches!(stream.read(&mut more).await, Ok(1..)) {}
    HungUp { after: 0 }
}

/// An edge to whose key service the imposter is the only way.
async fn behind_an_imposter(configure: impl FnOnce(Setup) -> Setup) -> (Edge, Imposter) {
    let (imposter, address) = Imposter::start().await;
    let mut edge = Edge::start(move |setup| {
        configure(with_tokens(setup)).bootstrap(move |bootstrap| bootstrap.cluster("keyservice", address))
    })
    .await;
    imposter.service.set(edge.key_service_process().address()).unwrap();
    edge.synced().await;
    (edge, imposter)
}
