//! An upstream that writes down what arrives, byte for byte, and answers as it is told.
//!
//! It reads as leniently as any server might, so that nothing that has come through can hide from it: whatever ends
//! with an empty line is a request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::raw::{header_of_line, lines};
use crate::upstream::NONCE;

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A running witness. Dropping it stops it.
#[derive(Debug)]
pub struct Witness {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

/// A request as it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arrival {
    /// The request line and the headers.
    pub head: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: Vec<u8>,
}

#[derive(Debug, Default)]
struct Seen {
    arrivals: Vec<Arrival>,
    answers: HashMap<String, Vec<u8>>,
}

impl Witness {
    /// Starts one in this process, on a free port.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(crate::port::local(0)).await.context("a witness")?;
        let address = listener.local_addr()?;
        let seen = Arc::<Mutex<Seen>>::default();
        let server = tokio::spawn(serve(listener, Arc::clone(&seen)));
        Ok(Self { address, seen, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, a request whose [`NONCE`] is `nonce` is answered with these bytes; with none, its
    /// connection ends.
    pub fn answer(&self, nonce: &str, bytes: Vec<u8>) {
        lock(&self.seen).answers.insert(nonce.to_owned(), bytes);
    }

    /// Everything that has arrived up to now, and was not taken before.
    pub fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.seen).arrivals)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Arrival {
    /// The method.
    pub fn method(&self) -> &[u8] {
        self.head.split(|byte| *byte == b' ').next().unwrap_or_default()
    }

    /// The target, as it stands in the request line between its first and its last space.
    pub fn target(&self) -> &[u8] {
        let line = lines(&self.head).next().unwrap_or_default();
        let from = line.iter().position(|byte| *byte == b' ').map_or(line.len(), |at| at.saturating_add(1));
        let to = line.iter().rposition(|byte| *byte == b' ').unwrap_or(line.len());
        line.get(from..to).unwrap_or_default()
    }

    /// The headers, and then the trailers: names in lower case.
    pub fn fields(&self) -> Vec<(String, Vec<u8>)> {
        lines(&self.head).skip(1).chain(lines(&self.trailers)).filter_map(header_of_line).collect()
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, seen: Arc<Mutex<Seen>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = Arc::clone(&seen);
        // Ends with its connection, or with this process.
        tokio::spawn(async move { Connection { stream, unread: Vec::new(), seen }.serve().await });
    }
}

struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
}

impl Connection {
    /// Until it ends, or is to be ended.
    async fn serve(&mut self) -> Option<()> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let arrival = Arrival { head, trailers: Vec::new() };
            let fields = arrival.fields();
            let of = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice());
            let (chunked, length) = (of("transfer-encoding").is_some(), of("content-length").and_then(number));
            let nonce = String::from_utf8_lossy(of(NONCE).unwrap_or_default()).into_owned();
            let place = {
                let mut seen = lock(&self.seen);
                seen.arrivals.push(arrival);
                seen.arrivals.len().saturating_sub(1)
            };
            if chunked {
                let trailers = self.chunks().await?;
                if let Some(arrival) = lock(&self.seen).arrivals.get_mut(place) {
                    arrival.trailers = trailers;
                }
            } else {
                self.exactly(length.unwrap_or(0)).await?;
            }
            let told = lock(&self.seen).answers.remove(&nonce);
            let told = told.as_deref().unwrap_or(FINE);
            if told.is_empty() {
                return Some(());
            }
            self.stream.write_all(told).await.ok()?;
        }
    }

    /// Reads a chunked body; its trailers.
    async fn chunks(&mut self) -> Option<Vec<u8>> {
        loop {
            let line = self.until(b"\r\n").await?;
            let digits = String::from_utf8_lossy(&line).trim().to_owned();
            match usize::from_str_radix(&digits, 16).ok()? {
                0 => break,
                length => self.exactly(length.saturating_add(2)).await?,
            };
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            if line == b"\r\n" {
                return Some(trailers);
            }
            trailers.extend(line);
        }
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let mut searched = 0_usize;
        loop {
            let rest = self.unread.get(searched..).unwrap_or_default();
            if let Some(at) = rest.windows(end.len()).position(|bytes| bytes == end) {
                return self.exactly(searched.saturating_add(at).saturating_add(end.len())).await;
            }
            searched = self.unread.len().saturating_sub(end.len());
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        Some(self.unread.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        self.unread.reserve(16_384);
        (self.stream.read_buf(&mut self.unread).await.ok()? > 0).then_some(())
    }
}

fn number(value: &[u8]) -> Option<usize> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;

    #[tokio::test]
    async fn what_arrives_is_written_down_and_answered_as_told() {
        let witness = Witness::start().await.unwrap();
        witness.answer("b", b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_vec());
        witness.answer("c", Vec::new());
        let bytes = b"GET /a b HTTP/1.1\r\nX-A: \xff\r\n\r\n\
            POST /b HTTP/1.1\r\nx-nonce: b\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-t: 1\r\n\r\n\
            GET /c HTTP/1.1\r\nx-nonce: c\r\n\r\n";
        let answer = raw::exchange(witness.address(), bytes).await.unwrap();
        assert_eq!(answer.windows(5).filter(|bytes| *bytes == b"HTTP/").count(), 2, "the third is not answered");
        let arrivals = witness.take();
        assert_eq!((arrivals[0].method(), arrivals[0].target()), (b"GET".as_slice(), b"/a b".as_slice()));
        assert_eq!(arrivals[0].fields(), [("x-a".to_owned(), b"\xff".to_vec())]);
        assert_eq!(arrivals[1].fields()[2], ("x-t".to_owned(), b"1".to_vec()));
        assert_eq!((arrivals.len(), witness.take()), (3, vec![]));
    }
}
