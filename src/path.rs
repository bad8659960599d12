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
    /// When it does not begin with `/`, or has an empty segment before its last, a dot segment (also encoded or with
    /// parameters), a backslash, a fragment, a byte outside visible ASCII, an encoded slash, backslash, percent sign,
    /// control character or unreserved character (RFC 3986 section 2.3), or escapes that encode nothing or no UTF-8.
    pub fn parse(target: &'a [u8]) -> Result<Self, AmbiguousPath> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let Some(inner) = path.strip_prefix(b"/") else { return Err(AmbiguousPath) };
        let mut segments = inner.split(|byte| *byte == b'/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none();
            if (segment.is_empty() && !is_last) || is_dot_segment(segment) || !has_one_reading(segment) {
                return Err(AmbiguousPath);
            }
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

/// `.` and `..`, also in front of path parameters, which some servers cut off first, and of `;`, `?` and `#` in their
/// encoded form, at which a server cuts that follows one that decodes.
fn is_dot_segment(segment: &[u8]) -> bool {
    let ([b'.', b'.', behind @ ..] | [b'.', behind @ ..]) = segment else { return false };
    matches!(behind, [] | [b';', ..] | [b'%', b'3', b'b' | b'B' | b'f' | b'F', ..] | [b'%', b'2', b'3', ..])
}

fn has_one_reading(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut run = EncodedRun::default();
    while let Some((byte, behind)) = rest.split_first() {
        rest = match byte {
            b'%' => match encoded(behind) {
                Some((value, behind)) if is_meant_to_be_encoded(value) => {
                    run.push(value);
                    behind
                }
                _ => return false,
            },
            _ if !run.ends_as_utf8() => return false,
            b'\\' | b'#' => return false,
            byte if byte.is_ascii_graphic() => behind,
            _ => return false,
        };
    }
    run.ends_as_utf8()
}

/// Escapes in a row. Together they must be UTF-8: lenient decoders read `%c0%ae`, which is none, as a dot.
#[derive(Default)]
struct EncodedRun(Vec<u8>);

impl EncodedRun {
    fn push(&mut self, value: u8) {
        self.0.push(value);
    }

    fn ends_as_utf8(&mut self) -> bool {
        std::str::from_utf8(&std::mem::take(&mut self.0)).is_ok()
    }
}

fn encoded(digits: &[u8]) -> Option<(u8, &[u8])> {
    let ([high, low], behind) = digits.split_first_chunk()?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(((digit(*high)? << 4) | digit(*low)?, behind))
}

fn is_meant_to_be_encoded(value: u8) -> bool {
    let unreserved = value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~');
    !unreserved && !value.is_ascii_control() && !matches!(value, b'/' | b'\\' | b'%')
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
            "/a;v=1/b",
            "/caf%C3%A9",
            "/a%20b",
            "/...",
            "/a:b@c!$&'()*+,=",
            "/%3F",
            "/.a%3B",
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
        let ambiguous: [&[u8]; 36] = [
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
