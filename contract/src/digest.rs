//! SHA-256 of a credential: all that is ever kept of it.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of a presented or issued key, or of a team's id.
///
/// Equality takes the same time wherever two digests differ. Ordering does not, and is for sorting tables only.
#[derive(Clone, Copy)]
pub struct Digest([u8; Digest::LENGTH]);

impl Digest {
    /// Bytes in a digest.
    pub const LENGTH: usize = 32;

    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that was computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Reads 64 hexadecimal digits of either case; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || pairs.len() != Self::LENGTH {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte = hex_pair(*pair)?;
        }
        Some(Self(bytes))
    }

    /// The digest as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn hex_pair([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4) | digit(low)?)
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Digest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn a_digest_is_sha_256() {
        // FIPS 180-4, the one-block example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_hex(), expected);
        assert_eq!(Digest::from_hex(&expected.to_uppercase()), Some(Digest::of(b"abc")));
    }

    #[test]
    fn anything_but_64_hexadecimal_digits_is_no_digest() {
        for text in ["", "ab", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"+0".repeat(32)] {
            assert_eq!(Digest::from_hex(text), None, "{text}");
        }
    }
}
