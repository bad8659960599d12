//! What is sent for a case, byte for byte.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lab::raw_http2::{Fields, Request};

use super::corpus::Case;

/// What stands for `{name}`.
pub(super) type Names = BTreeMap<String, String>;

/// The bytes of `text`: `{name}` is what it stands for, `{x*3}` is `xxx`, what stands between ‹ and › is written in
/// base64url, and a character up to U+00FF is one byte.
pub(super) fn bytes(text: &str, names: &Names) -> Vec<u8> {
    if let Some((before, rest)) = text.split_once('‹') {
        let (inside, behind) = rest.split_once('›').expect("a ›");
        let inside = URL_SAFE_NO_PAD.encode(bytes(inside, names)).into_bytes();
        return [bytes(before, names), inside, bytes(behind, names)].concat();
    }
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let place = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        match place.and_then(|(name, behind)| Some((value(name, names)?, behind))) {
            Some((value, behind)) => {
                out.extend_from_slice(value.as_bytes());
                rest = behind;
            }
            None => {
                match u8::try_from(char) {
                    Ok(byte) => out.push(byte),
                    Err(_) => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                }
                rest = &rest[char.len_utf8()..];
            }
        }
    }
    out
}

fn value(name: &str, names: &Names) -> Option<String> {
    // Only short texts are repeated, so that what stands between braces may hold an asterisk.
    if let Some((text, count)) = name.split_once('*').filter(|(text, _)| text.len() <= 10) {
        return Some(text.repeat(count.parse().ok()?));
    }
    if let Some(counted) = name.strip_prefix("lines ") {
        return Some((0..counted.parse().ok()?).map(|line: u32| format!("x-{line}: {line}\r\n")).collect());
    }
    names.get(name).cloned()
}

/// The target of a case: its path, with a nonce in the query.
pub(super) fn target(case: &Case) -> String {
    let mark = if case.path.contains('?') { '&' } else { '?' };
    if case.path.contains("{nonce}") { case.path.clone() } else { format!("{}{mark}n={{nonce}}", case.path) }
}

/// A case over HTTP/1.1.
pub(super) fn http1(case: &Case, names: &Names) -> Vec<u8> {
    let text = match &case.raw {
        Some(raw) => raw.clone(),
        None => {
            let line = case.line.clone().unwrap_or_else(|| format!("{} {} HTTP/1.1", case.method, target(case)));
            let usual = if case.bare { "" } else { "host: edge\r\nconnection: close\r\n" };
            let head: String = case.head.iter().map(|line| format!("{line}\r\n")).collect();
            format!("{line}\r\n{usual}x-nonce: {{nonce}}\r\n{head}{}\r\n{}", framing(case), sent_body(case))
        }
    };
    assert!(text.contains("{nonce}"), "{}: no nonce", case.name);
    bytes(&text, names)
}

fn framing(case: &Case) -> String {
    match (case.trailers.is_empty(), case.body.len()) {
        (false, _) => "transfer-encoding: chunked\r\n".to_owned(),
        (true, 0) => String::new(),
        (true, length) => format!("content-length: {length}\r\n"),
    }
}

fn sent_body(case: &Case) -> String {
    if case.trailers.is_empty() {
        return case.body.clone();
    }
    let trailers: String = case.trailers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{:x}\r\n{}\r\n0\r\n{trailers}\r\n", case.body.len(), case.body)
}

/// A case over HTTP/2.
pub(super) fn http2(case: &Case, names: &Names) -> Request {
    let pair = |name: &str, value: &str| (bytes(name, names), bytes(value, names));
    let fields = match &case.fields {
        Some(fields) => fields.iter().map(|(name, value)| pair(name, value)).collect(),
        None => {
            let authority = (!case.bare).then(|| pair(":authority", "edge"));
            let path = target(case);
            let pseudo = [pair(":method", &case.method), pair(":scheme", "http"), pair(":path", &path)];
            pseudo.into_iter().chain(authority).chain(lines(&case.head, names)).collect()
        }
    };
    let mut request = Request { fields, body: bytes(&case.body, names), trailers: lines(&case.trailers, names) };
    request.fields.push(pair("x-nonce", "{nonce}"));
    request
}

/// Names are in lower case in HTTP/2; `fields` are for those that are not.
fn lines(head: &[String], names: &Names) -> Fields {
    let line = |line: &String| {
        let (name, value) = line.split_once(':').expect("a colon");
        (bytes(&name.to_lowercase(), names), bytes(value.strip_prefix(' ').unwrap_or(value), names))
    };
    head.iter().map(line).collect()
}

#[test]
fn the_text_of_a_case_is_what_is_sent() {
    let names = Names::from([("key".to_owned(), "secret".to_owned())]);
    assert_eq!(bytes("a{key}{x*3}{\u{ff}\u{430}{no}", &names), b"asecretxxx{\xff\xd0\xb0{no}");
    assert_eq!(bytes("a.‹{\"b\":\"{key}\"}›.c", &names), b"a.eyJiIjoic2VjcmV0In0.c");
    assert_eq!(bytes("{{*3}{lines 1}", &names), b"{{{x-0: 0\r\n");
    assert_eq!(bytes("{lines 2}", &names), b"x-0: 0\r\nx-1: 1\r\n");
}
