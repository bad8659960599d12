//! Envoy's foreign function `verify_signature`: what it is asked, what it answers, and whether it can be believed.
//!
//! It takes a protobuf message (envoy: source/extensions/common/wasm/ext/verify_signature.proto) with the name of a hash
//! (1), a public key (2, SubjectPublicKeyInfo in DER), a signature (3, for ECDSA in DER) and the text (4), and answers
//! with one whose field 1 says whether the signature is good. It always hashes, so it cannot do Ed25519.

use std::{cell::OnceCell, fmt};

use super::signature::Signatures;

/// The name under which Envoy has the function.
pub const NAME: &str = "verify_signature";

/// An uncompressed point on P-256 is a public key behind these bytes (RFC 5480 section 2).
const P256_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The function, called by `Call`, which gives its answer, or `None` where there is no such function.
pub struct Foreign<Call> {
    call: Call,
    trusted: OnceCell<bool>,
}

impl<Call: Fn(&[u8]) -> Option<Vec<u8>>> Foreign<Call> {
    /// The function; it is not called before it is needed.
    pub fn new(call: Call) -> Self {
        Self { call, trusted: OnceCell::new() }
    }

    /// Whether the function is there and right about signatures that are known; asked once.
    pub fn is_trusted(&self) -> bool {
        *self.trusted.get_or_init(|| {
            let ask = |message: &[u8]| self.ask(&example::KEY, message, &example::SIGNATURE);
            ask(example::MESSAGE) == Some(true) && ask(b"another message") == Some(false)
        })
    }

    fn ask(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        let key = [P256_KEY.as_slice(), key].concat();
        let mut arguments = Vec::with_capacity(message.len().saturating_add(256));
        for (field, value) in [(1, b"sha256".as_slice()), (2, &key), (3, &der(signature)), (4, message)] {
            put_field(&mut arguments, field, value);
        }
        // Field 1, a number, 1: false would not be written at all.
        (self.call)(&arguments).map(|answer| answer.starts_with(&[0x08, 0x01]))
    }
}

impl<Call: Fn(&[u8]) -> Option<Vec<u8>>> Signatures for Foreign<Call> {
    fn es256(&self, key: &[u8; 65], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        if self.is_trusted() { self.ask(key, message, signature) } else { None }
    }
}

impl<Call> fmt::Debug for Foreign<Call> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Foreign").field("trusted", &self.trusted).finish_non_exhaustive()
    }
}

/// A protobuf field of bytes: its number and wire type 2, the length, the bytes.
fn put_field(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push((field << 3) | 2);
    let mut length = value.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
}

/// ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r and s.
fn der(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let (r, s) = (der_integer(r), der_integer(s));
    let content = [r, s].concat();
    [&[0x30, content.len() as u8], content.as_slice()].concat()
}

/// The shortest form of a number that is not negative; of at most 33 bytes, so its length is one byte.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = number.get(zeros..).unwrap_or_default();
    // The first bit is the sign.
    let positive: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    let length = positive.len().saturating_add(digits.len());
    [&[0x02, length as u8], positive, digits].concat()
}

mod example {
    //! RFC 7515 appendix A.3: a signature that is known to be good.

    pub(super) const MESSAGE: &[u8] = b"eyJhbGciOiJFUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    pub(super) const KEY: [u8; 65] = [
        0x04, 0x7f, 0xcd, 0xce, 0x27, 0x70, 0xf6, 0xc4, 0x5d, 0x41, 0x83, 0xcb, 0xee, 0x6f, 0xdb, 0x4b, 0x7b, 0x58,
        0x07, 0x33, 0x35, 0x7b, 0xe9, 0xef, 0x13, 0xba, 0xcf, 0x6e, 0x3c, 0x7b, 0xd1, 0x54, 0x45, 0xc7, 0xf1, 0x44,
        0xcd, 0x1b, 0xbd, 0x9b, 0x7e, 0x87, 0x2c, 0xdf, 0xed, 0xb9, 0xee, 0xb9, 0xf4, 0xb3, 0x69, 0x5d, 0x6e, 0xa9,
        0x0b, 0x24, 0xad, 0x8a, 0x46, 0x23, 0x28, 0x85, 0x88, 0xe5, 0xad,
    ];

    pub(super) const SIGNATURE: [u8; 64] = [
        0x0e, 0xd1, 0x21, 0x53, 0x79, 0x63, 0x6c, 0x48, 0x3c, 0x2f, 0x7f, 0x15, 0x58, 0x07, 0xd4, 0x02, 0xa3, 0xb2,
        0x28, 0x03, 0x3a, 0xf9, 0x7c, 0x7e, 0x17, 0x81, 0x9a, 0xc3, 0x16, 0x9e, 0xa6, 0x65, 0xc5, 0x0a, 0x07, 0xd3,
        0x8c, 0x3c, 0x70, 0xe5, 0xd8, 0xf1, 0x2d, 0xaf, 0x08, 0x4a, 0x54, 0x80, 0xa6, 0x65, 0x90, 0xc5, 0xf2, 0x93,
        0x50, 0x9a, 0x8f, 0x3f, 0x7f, 0x8a, 0x83, 0xa3, 0x54, 0xd5,
    ];
}

#[cfg(test)]
mod tests {
    use super::{Foreign, der, example, put_field};
    use crate::token::signature::Signatures;
    use std::cell::{Cell, RefCell};

    /// Answers as Envoy does: by whether this is the known message, however it is written.
    fn honest(arguments: &[u8]) -> Option<Vec<u8>> {
        let good = arguments.ends_with(example::MESSAGE);
        Some(if good { vec![8, 1] } else { vec![18, 3, b'b', b'a', b'd'] })
    }

    fn judge(call: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<bool> {
        Foreign::new(call).es256(&example::KEY, example::MESSAGE, &example::SIGNATURE)
    }

    #[test]
    fn a_host_that_knows_good_from_bad_is_asked() {
        assert_eq!(judge(honest), Some(true));
        assert_eq!(Foreign::new(honest).es256(&example::KEY, b"x", &example::SIGNATURE), Some(false));
    }

    #[test]
    fn a_host_without_the_function_or_with_a_wrong_one_is_not_asked() {
        assert_eq!(judge(|_| None), None);
        assert_eq!(judge(|_| Some(vec![])), None);
        assert_eq!(judge(|_| Some(vec![8, 1])), None);
        assert_eq!(judge(|_| Some(vec![18, 0, 8, 1])), None);
    }

    #[test]
    fn a_host_is_tried_once() {
        let calls = Cell::new(0);
        let foreign = Foreign::new(|_: &[u8]| {
            calls.set(calls.get() + 1);
            None
        });
        for _ in 0..3 {
            assert_eq!(foreign.es256(&example::KEY, b"x", &example::SIGNATURE), None);
        }
        assert_eq!(calls.get(), 1);
    }

    #[test]
    fn the_question_is_the_protobuf_message_that_envoy_reads() {
        let asked = RefCell::new(Vec::new());
        judge(|arguments| {
            asked.borrow_mut().push(arguments.to_vec());
            honest(arguments)
        });
        let asked = asked.into_inner();
        let question = &asked[0];
        assert!(question.starts_with(b"\x0a\x06sha256\x12\x5b\x30\x59\x30\x13"));
        // r and s of the example begin with 0x0e and 0xc5: the second needs a zero before it.
        let signature = [&[0x1a, 71, 0x30, 69, 0x02, 32, 0x0e, 0xd1], &example::SIGNATURE[2..32], &[0x02, 33, 0, 0xc5]];
        let signature = signature.concat();
        assert!(question.windows(signature.len()).any(|window| window == signature));
        assert!(question.ends_with(&[&[0x22, 115], example::MESSAGE].concat()));
    }

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        let mut signature = [0; 64];
        signature[31] = 0x80;
        assert_eq!(der(&signature), [0x30, 7, 2, 2, 0, 0x80, 2, 1, 0]);
        assert_eq!(der(&[0xff; 64]).len(), 2 + 2 * 35);
        let mut field = Vec::new();
        put_field(&mut field, 4, &[7; 300]);
        assert_eq!((field.len(), &field[..3]), (303, [0x22, 0xac, 0x02].as_slice()));
    }
}
