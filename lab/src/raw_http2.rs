//! HTTP/2 by hand (RFC 9113): one request of exactly these fields, in this order, however wrong they are.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The peer is to keep no table of fields: then each is written in full.
const NO_TABLE: &[u8] = &[0, 1, 0, 0, 0, 0];
/// The longest frame that everybody takes.
const LONGEST: usize = 16_384;
const STREAM: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Names and values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Pseudo-headers and headers, in their order.
    pub fields: Fields,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// What follows the body; empty for none.
    pub trailers: Fields,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; `None` if the stream or the connection ended without one.
    pub status: Option<u16>,
    /// The answer's fields as they came, compressed: literals can be looked for.
    pub fields: Vec<u8>,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// Sends a request over a new connection, and returns what came of it when the stream or the connection has ended, or
/// nothing has come for `silence`.
///
/// # Errors
/// When there is no connection.
pub async fn answer(address: SocketAddr, request: &Request, silence: Duration) -> Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    // A server that refuses early does not read to the end.
    let _ = stream.write_all(&written(request)).await;
    let mut answer = Answer { status: None, fields: Vec::new(), body: Vec::new() };
    while let Ok(Ok((kind, flags, id, payload))) = timeout(silence, frame(&mut stream)).await {
        match (kind, id) {
            (SETTINGS, _) if flags & ACK == 0 => {
                let _ = stream.write_all(&framed(SETTINGS, ACK, 0, &[])).await;
            }
            (HEADERS, STREAM) => {
                answer.status = status(&payload).or(answer.status);
                answer.fields.extend(payload);
            }
            (DATA, STREAM) => answer.body.extend(payload),
            (RST_STREAM, STREAM) | (GOAWAY, _) => break,
            _ => continue,
        }
        if matches!((kind, id), (HEADERS | DATA, STREAM)) && flags & END_STREAM != 0 {
            break;
        }
    }
    Ok(answer)
}

fn written(request: &Request) -> Vec<u8> {
    let mut bytes = [PREFACE, &framed(SETTINGS, 0, 0, NO_TABLE)].concat();
    let more = !request.body.is_empty() || !request.trailers.is_empty();
    bytes.extend(block(&request.fields, if more { 0 } else { END_STREAM }));
    for (at, part) in request.body.chunks(LONGEST).enumerate() {
        let last = request.trailers.is_empty() && at.saturating_add(1) == request.body.chunks(LONGEST).count();
        bytes.extend(framed(DATA, u8::from(last), STREAM, part));
    }
    if !request.trailers.is_empty() {
        bytes.extend(block(&request.trailers, END_STREAM));
    }
    bytes
}

/// A field section in as many frames as it needs.
fn block(fields: &Fields, flags: u8) -> Vec<u8> {
    let mut section = Vec::new();
    for (name, value) in fields {
        // A literal without indexing, with a literal name (RFC 7541 section 6.2.2).
        section.push(0);
        put_string(&mut section, name);
        put_string(&mut section, value);
    }
    let count = section.chunks(LONGEST).count();
    let frames = section.chunks(LONGEST).enumerate().map(|(at, part)| {
        let end = if at.saturating_add(1) == count { END_HEADERS } else { 0 };
        if at == 0 { framed(HEADERS, flags | end, STREAM, part) } else { framed(CONTINUATION, end, STREAM, part) }
    });
    frames.flatten().collect()
}

/// A length in 7 bits and more (RFC 7541 section 5.1), and the bytes as they are.
fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes.len().checked_sub(127) {
        None => out.push(bytes.len() as u8),
        Some(mut rest) => {
            out.push(127);
            while rest >= 128 {
                out.push((rest & 127) as u8 | 128);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(bytes);
}

fn framed(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
}

async fn frame(stream: &mut TcpStream) -> Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok((kind, flags, u32::from_be_bytes(id), payload))
}

/// `:status`, which comes first (RFC 7541 section 6 and appendices A and B, as far as digits need them).
fn status(section: &[u8]) -> Option<u16> {
    let section = match section {
        // The table's new size, which is 0.
        [0x20, rest @ ..] => rest,
        whole => whole,
    };
    match section {
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500].get(usize::from(indexed & 0x7f) - 8).copied()
        }
        [0x08 | 0x18 | 0x48, length, rest @ ..] => {
            let value = rest.get(..usize::from(length & 0x7f))?;
            let digits = if length & 0x80 == 0 { String::from_utf8(value.to_vec()).ok()? } else { decoded(value)? };
            digits.parse().ok()
        }
        _ => None,
    }
}

/// Three digits in Huffman code: five bits for 0, 1 and 2, six for the others.
fn decoded(value: &[u8]) -> Option<String> {
    let mut bits = value.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
    let mut number = |count: usize| (0..count).try_fold(0, |number, _| Some(number << 1 | bits.next()?));
    let mut digit = || match number(5)? {
        short @ 0..=2 => Some(short),
        long @ 12..=15 => (long << 1 | number(1)?).checked_sub(22),
        _ => None,
    };
    (0..3).map(|_| char::from_digit(digit()?, 10)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8e, 1, 2]), Some(500));
        assert_eq!(status(b"\x48\x03401"), Some(401));
        // 4, 0 and 3: 011010 00000 011001, and ones to the end.
        assert_eq!(status(&[0x48, 0x83, 0b0110_1000, 0b0000_1100, 0b1111_1111]), Some(403));
        assert_eq!(status(&[0x41]), None);
    }

    #[test]
    fn long_strings_and_sections_are_written_as_everybody_reads_them() {
        let mut out = Vec::new();
        put_string(&mut out, &[b'a'; 127 + 300]);
        assert_eq!(out[..3], [127, 0b1010_1100, 2]);
        let long = vec![(b"a".to_vec(), vec![b'b'; LONGEST])];
        let frames = block(&long, END_STREAM);
        assert_eq!(frames[..9], [0, 0x40, 0, HEADERS, END_STREAM, 0, 0, 0, 1]);
        assert_eq!(frames[9 + LONGEST..][3..5], [CONTINUATION, END_HEADERS]);
    }
}
