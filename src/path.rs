//! Whether a path has one meaning only: what the filter matches must be what the upstream serves.
//!
//! Envoy does not normalise paths unless it is told to, and upstreams differ in what they decode. A path that could be
//! read in two ways could be public in one and protected in the other, so it is refused instead of guessed at.

use std::fmt;

/// The path of a request, without its query, in the one spelling that has one meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path<'a>(&'a [u8]);

impl<'a> Path<'a> {
    /// Reads the path from a request target, up to its query.
    ///
    /// # Errors
    /// When it does not begin with `/`; when it has an empty segment before its last, a segment of nothing but dots and
    /// white space, a backslash, a fragment, a `;` or a byte outside visible ASCII;
    /// or when an escape is broken, is not UTF-8, or stands for a slash, backslash, percent sign, `;`, `?`, `#`,
    /// control character or unreserved character (RFC 3986 section 2.3).
    pub fn parse(target: &'a [u8]) -> Result<Self, AmbiguousPath> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        // Lenient decoders read `%c0%ae`, which is no UTF-8, as a dot.
        let decoded = decode(path).and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(AmbiguousPath)?;
        // No escape stands for a slash, so these are the segments of the path as it was sent.
        if !decoded.starts_with('/') || decoded.contains("//") || decoded.split('/').any(vanishes) {
            return Err(AmbiguousPath);
        }
        Ok(Self(path))
    }

    /// The path as it was sent.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// A path that could be read in more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AmbiguousPath;

impl fmt::Display for AmbiguousPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path can be read in more than one way")
    }
}

impl std::error::Error for AmbiguousPath {}

/// Decodes each escape once, unless there is a byte that servers read in different ways.
fn decode(path: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, behind)) = rest.split_first() {
        let value;
        (value, rest) = match byte {
            b'%' => encoded(behind).filter(|(value, _)| is_meant_to_be_encoded(*value))?,
            // Many servers cut a segment at `;`, where path parameters begin.
            b'\\' | b'#' | b';' => return None,
            _ if byte.is_ascii_graphic() => (byte, behind),
            _ => return None,
        };
        decoded.push(value);
    }
    Some(decoded)
}

/// Whether a decoded segment is, or becomes once a server has trimmed it, no segment: `.`, `..`, and on some systems
/// more dots and white space.
fn vanishes(segment: &str) -> bool {
    !segment.is_empty() && segment.chars().all(|char| char == '.' || char.is_whitespace())
}

fn encoded(digits: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = digits.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(((digit(*high)? << 4) | digit(*low)?, behind))
}

fn is_meant_to_be_encoded(value: u8) -> bool {
    let unreserved = value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~');
    // A server behind one that decodes cuts the path at these.
    let cuts = matches!(value, b'/' | b'\\' | b'%' | b';' | b'?' | b'#');
    !unreserved && !value.is_ascii_control() && !cuts
}

#[cfg(test)]
mod tests {
    use super::Path;
    use proptest::prelude::*;

    #[test]
    fn a_plain_path_is_taken_as_it_is() {
        for path in [
            "/",
            "/api/acme/reports",
            "/a/",
            "/caf%C3%A9",
            "/a%20b",
            "/a:b@c!$&'()*+,=",
            "/.well-known/x",
            "/a..",
            "/a%20",
            "/%E2%82%AC%20x",
        ] {
            assert_eq!(Path::parse(path.as_bytes()).map(Path::as_bytes), Ok(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn the_query_is_no_part_of_the_path() {
        assert_eq!(Path::parse(b"/a?b=../%2f//").map(Path::as_bytes), Ok(b"/a".as_slice()));
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        let ambiguous: [&[u8]; 50] = [
            b"",
            b"*",
            b"a",
            b"//",
            b"//a",
            b"/a//b",
            b"/.",
            b"/..",
            b"/a/./b",
            b"/a/../b",
            b"/a/..",
            b"/..;/a",
            b"/a/.;x=1/b",
            b"/a/..%3b/b",
            b"/a/.%3Bx/b",
            b"/a/..%23/b",
            b"/a/..%3fx/b",
            b"/a/..%20%3Fx/b",
            b"/a;/b",
            b"/a;v=1/b",
            b"/a%3b/b",
            b"/a/b%3B",
            b"/...",
            b"/a/..../b",
            b"/..%20/a",
            b"/a/%20./b",
            b"/%20",
            b"/..%C2%A0/a",
            b"/a\\b",
            b"/a%2fb",
            b"/a%2Fb",
            b"/a%5cb",
            b"/%2e%2e/a",
            b"/%2E/a",
            b"/a%00",
            b"/a%0d%0a",
            b"/a%",
            b"/a%2",
            b"/a%zz",
            b"/%61dmin",
            b"/a%252fb",
            b"/admin%3Fx",
            b"/admin%23x",
            b"/a#b",
            b"/caf\xc3\xa9",
            b"/%c0%ae%c0%ae/a",
            b"/%e0%80%ae",
            b"/%ff",
            b"/%C3/%A9",
            b"/%C3x%A9",
        ];
        for path in ambiguous {
            assert!(Path::parse(path).is_err(), "{}", String::from_utf8_lossy(path));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
            let _ = Path::parse(&bytes);
        }

        #[test]
        fn what_is_accepted_means_the_same_once_decoded(path in "/[a-b./%;25ef\\\\]{0,12}") {
            // Decoding an accepted path, even twice, must not make new segments.
            if Path::parse(path.as_bytes()).is_ok() {
                let decoded = path.replace("%25", "%").replace("%2f", "/").replace("%2e", ".").replace("%5c", "\\");
                prop_assert_eq!(decoded, path);
            }
        }
    }
}
