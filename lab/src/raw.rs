//! HTTP/1.1 by hand: bytes in, bytes out, for requests that a well-behaved client cannot send.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a server sends before it reads a body that a client asks about.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const LIMIT: Duration = Duration::from_secs(20);

/// An answer, taken apart without judging it.
#[derive(Clone, PartialEq, Eq)]
pub struct RawAnswer {
    /// From the status line; 0 if there is none.
    pub status: u16,
    /// In the order of arrival, names in lower case, values as bytes.
    pub headers: Vec<(String, Vec<u8>)>,
    /// All that follows the empty line (chunked coding is not undone).
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// All values of a header, joined by `, ` and decoded lossily; `None` when it is not there.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| lossy(v)).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The body, decoded lossily.
    pub fn text(&self) -> String {
        lossy(&self.body)
    }
}

impl fmt::Debug for RawAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.status)?;
        for (name, value) in &self.headers {
            writeln!(formatter, "{name}: {}", lossy(value))?;
        }
        write!(formatter, "\n{}", self.text())
    }
}

/// Sends `bytes` over a new connection and returns everything that comes back until the server closes it: let the
/// request say `connection: close`.
///
/// # Errors
/// When the connection fails, or is still open after 20 s.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    timeout(LIMIT, talk).await.with_context(|| format!("{address} did not close the connection"))?
}

/// Sends the bytes of one request over a new connection and returns the answer as soon as it is whole. Envoy leaves a
/// connection open for another second after its last answer.
///
/// # Errors
/// When the connection fails, or the answer is not whole after 20 s.
pub async fn answer(address: SocketAddr, request: &[u8]) -> Result<RawAnswer> {
    let talk = async { talk(&mut TcpStream::connect(address).await?, request).await };
    timeout(LIMIT, talk).await.with_context(|| format!("{address} did not finish its answer"))?
}

async fn talk(stream: &mut TcpStream, request: &[u8]) -> Result<RawAnswer> {
    let without_body = request.starts_with(b"HEAD ");
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    while !is_whole(&answer, without_body) && stream.read_buf(&mut answer).await? > 0 {}
    Ok(parse(&answer))
}

/// Sends `bytes` over a new connection and returns everything that comes back until the server closes it, resets it, or
/// is silent for `silence`.
///
/// # Errors
/// When there is no connection.
pub async fn everything(address: SocketAddr, bytes: &[u8], silence: Duration) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut answer = Vec::new();
    // A server that refuses early does not read to the end.
    let _ = stream.write_all(bytes).await;
    while let Ok(Ok(1..)) = timeout(silence, stream.read_buf(&mut answer)).await {}
    Ok(answer)
}

/// Like [`everything`], but only until the first answer is whole.
///
/// # Errors
/// When there is no connection.
pub async fn first_answer(address: SocketAddr, request: &[u8], silence: Duration) -> Result<Vec<u8>> {
    let without_body = request.starts_with(b"HEAD ");
    let mut stream = TcpStream::connect(address).await?;
    let mut answer = Vec::new();
    let _ = stream.write_all(request).await;
    while !is_whole(answer.strip_prefix(CONTINUE).unwrap_or(&answer), without_body) {
        let Ok(Ok(1..)) = timeout(silence, stream.read_buf(&mut answer)).await else { break };
    }
    Ok(answer)
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Kept(TcpStream);

impl Kept {
    /// Opens one.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self(TcpStream::connect(address).await?))
    }

    /// Sends the bytes of one request, and returns the answer as soon as it is whole.
    ///
    /// # Errors
    /// See [`answer`].
    pub async fn answer(&mut self, request: &[u8]) -> Result<RawAnswer> {
        timeout(LIMIT, talk(&mut self.0, request)).await.context("the answer was not finished")?
    }
}

/// Sends one request without a body, with exactly these header bytes in this order (plus `host` and
/// `connection: close` in front), over a new connection.
///
/// # Errors
/// See [`answer`].
pub async fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Result<RawAnswer> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    answer(address, &bytes).await
}

/// Takes an answer apart.
pub fn parse(answer: &[u8]) -> RawAnswer {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(answer.len());
    let (head, rest) = answer.split_at(end);
    let mut lines = lines(head);
    let status_line = lossy(lines.next().unwrap_or_default());
    RawAnswer {
        status: status_line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0),
        headers: lines.filter_map(header_of_line).collect(),
        body: rest.get(4..).unwrap_or_default().to_vec(),
    }
}

/// An answer that does not say how long it is, and could be of any length, is whole when the connection ends.
fn is_whole(answer: &[u8], without_body: bool) -> bool {
    if !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        return false;
    }
    let answer = parse(answer);
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let without_body = without_body || matches!(answer.status, 101 | 204 | 304);
    without_body || length.is_some_and(|length: usize| answer.body.len() >= length)
}

/// The lines of a head.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii)
}

/// A header's name, in lower case, and its value.
pub(crate) fn header_of_line(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = line.split_at(colon);
    Some((lossy(name).to_ascii_lowercase(), value.get(1..)?.trim_ascii().to_vec()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse(b"HTTP/1.1 401 Unauthorized\r\nX-A: 1\r\nx-a: \xff\r\n\r\nno");
        assert_eq!(answer.status, 401);
        assert_eq!(answer.headers, [("x-a".to_owned(), b"1".to_vec()), ("x-a".to_owned(), b"\xff".to_vec())]);
        assert_eq!(answer.text(), "no");
    }

    #[test]
    fn an_answer_is_whole_when_it_is_as_long_as_it_says() {
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
        assert!(!is_whole(&head[..head.len() - 1], true));
        assert!(is_whole(head, true));
        assert!(!is_whole(&[head, b"a".as_slice()].concat(), false));
        assert!(is_whole(&[head, b"ab".as_slice()].concat(), false));
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\n\r\nab", false));
        assert!(is_whole(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", false));
    }

    #[test]
    fn silence_has_no_status() {
        assert_eq!(parse(b"").status, 0);
    }
}
