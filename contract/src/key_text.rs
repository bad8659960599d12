//! How a key looks: a prefix that secret scanners know, and a checksum that catches typing errors without a lookup.
//!
//! `tk_live_<kind>_<id>_<secret>_<crc32>`, for example
//! `tk_live_app_c7tq4m2xkz5r6y3a_…32 characters…_1f0b9a7e`. The id is public and stands in logs; the secret is
//! 160 random bits. Keys of other makers may have any form and are known by their digest alone.

use std::fmt;

use crate::{KeyId, Kind};

/// What every key of ours begins with.
pub const PREFIX: &str = "tk_live_";

/// The longest credential that is looked at, in bytes.
pub const MAX_LENGTH: usize = 512;

/// Random bytes in a key's id.
pub const ID_ENTROPY: usize = 10;

/// Random bytes in a key's secret.
pub const SECRET_ENTROPY: usize = 20;

/// A whole key in clear text, shown once to whoever asked for it; it cannot be printed by accident.
pub struct KeyText(String);

impl KeyText {
    /// Composes a key of `kind` and `id` around 160 random bits.
    #[must_use]
    pub fn compose(kind: Kind, id: &KeyId, secret: [u8; SECRET_ENTROPY]) -> Self {
        let body = format!("{PREFIX}{}_{id}_{}", kind.in_key_text(), base32(&secret));
        let checksum = crc32(body.as_bytes());
        Self(format!("{body}_{checksum:08x}"))
    }

    /// The clear text, for the one answer that shows it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// A key id from 80 random bits.
#[must_use]
pub fn compose_id(entropy: [u8; ID_ENTROPY]) -> KeyId {
    KeyId::from_trusted(base32(&entropy))
}

/// Whether bytes could be a key at all, before anything is looked up.
///
/// A key of ours must have its form and checksum. Any other is up to [`MAX_LENGTH`] visible ASCII characters but the
/// comma, with which Envoy joins repeated headers.
#[must_use]
pub fn could_be_key(bytes: &[u8]) -> bool {
    let visible = |byte: &u8| byte.is_ascii_graphic() && *byte != b',';
    if bytes.is_empty() || bytes.len() > MAX_LENGTH || !bytes.iter().all(visible) {
        return false;
    }
    match bytes.strip_prefix(PREFIX.as_bytes()) {
        Some(rest) => is_own_form(rest) && has_checksum(bytes),
        None => true,
    }
}

fn is_own_form(rest: &[u8]) -> bool {
    let mut parts = rest.split(|byte| *byte == b'_');
    let lengths = [parts.next(), parts.next(), parts.next(), parts.next()].map(|part| part.map_or(0, <[u8]>::len));
    let [kind, id, secret, checksum] = lengths;
    kind > 0 && id > 0 && secret > 0 && checksum == 8 && parts.next().is_none()
}

fn has_checksum(bytes: &[u8]) -> bool {
    let Some((body, [b'_', checksum @ ..])) = bytes.split_last_chunk::<9>() else { return false };
    let crc = crc32(body);
    let digits = [28, 24, 20, 16, 12, 8, 4, 0].map(|shift| char::from_digit((crc >> shift) & 0xf, 16));
    digits.into_iter().eq(checksum.iter().map(|byte| Some(char::from(*byte))))
}

/// CRC-32 as in IEEE 802.3 and zip: half a byte at a time, because a table for more would be a fiftieth of the filter.
fn crc32(bytes: &[u8]) -> u32 {
    const REMAINDERS: [u32; 16] = remainders();
    let step = |crc: u32, half: u8| {
        let index = usize::from((crc as u8 ^ half) & 0xf);
        (crc >> 4) ^ REMAINDERS.get(index).copied().unwrap_or_default()
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| step(step(crc, *byte), *byte >> 4))
}

/// What each half of a byte leaves.
const fn remainders() -> [u32; 16] {
    let mut table = [0; 16];
    let mut half = 0_u32;
    let mut left: &mut [u32] = &mut table;
    while let Some((entry, others)) = left.split_first_mut() {
        *entry = divide(divide(divide(divide(half))));
        half = half.wrapping_add(1);
        left = others;
    }
    table
}

const fn divide(bits: u32) -> u32 {
    if bits & 1 == 1 { (bits >> 1) ^ 0xedb8_8320 } else { bits >> 1 }
}

/// RFC 4648 base32 in lower case, without padding: no character that a path, a shell or a double click breaks at.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| (byte >> (7_usize.saturating_sub(index % 8))) & 1);
    let digit = |start: usize| (start..start.saturating_add(5)).fold(0_u8, |value, index| (value << 1) | bit(index));
    (0..bytes.len().saturating_mul(8))
        .step_by(5)
        .filter_map(|start| ALPHABET.get(usize::from(digit(start))))
        .map(|byte| char::from(*byte))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{KeyText, base32, compose_id, could_be_key, crc32};
    use crate::Kind;
    use proptest::prelude::*;

    fn key() -> String {
        KeyText::compose(Kind::Application, &compose_id([7; 10]), [9; 20]).expose().to_owned()
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        // RFC 4648 section 10.
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"foob"), "mzxw6yq");
    }

    #[test]
    fn the_checksum_is_the_common_crc_32() {
        // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_composed_key_could_be_a_key() {
        assert!(could_be_key(key().as_bytes()), "{}", key());
        assert_eq!(key().len(), 70);
    }

    #[test]
    fn a_key_cannot_be_printed_by_accident() {
        let text = KeyText::compose(Kind::Application, &compose_id([7; 10]), [9; 20]);
        assert_eq!(format!("{text:?}"), "KeyText(…)");
    }

    #[test]
    fn keys_of_other_makers_may_have_any_visible_form() {
        for foreign in ["x", "sk-1234567890", "a_b_c", "QWxhZGRpbjpvcGVu==", "tk_test_1"] {
            assert!(could_be_key(foreign.as_bytes()), "{foreign}");
        }
        for bad in ["", "a b", "a,b", "a\u{7f}", "ä", &"x".repeat(513)] {
            assert!(!could_be_key(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn one_wrong_letter_in_a_key_of_ours_is_noticed() {
        let key = key();
        for index in 0..key.len() {
            let mut wrong = key.clone().into_bytes();
            wrong[index] = if wrong[index] == b'q' { b'r' } else { b'q' };
            let still_ours = wrong.starts_with(b"tk_live_");
            assert!(!still_ours || !could_be_key(&wrong), "position {index}");
        }
    }

    #[test]
    fn a_cut_or_lengthened_key_of_ours_is_noticed() {
        let key = key();
        for length in "tk_live_".len()..key.len() {
            assert!(!could_be_key(&key.as_bytes()[..length]), "length {length}");
        }
        assert!(!could_be_key(format!("{key}a").as_bytes()));
    }

    proptest! {
        #[test]
        fn any_entropy_makes_a_key(id: [u8; 10], secret: [u8; 20]) {
            let text = KeyText::compose(Kind::Application, &compose_id(id), secret);
            prop_assert!(could_be_key(text.expose().as_bytes()));
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes: Vec<u8>) {
            let _ = could_be_key(&bytes);
        }
    }
}
