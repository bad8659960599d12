//! What stands in a token (RFC 7519), read so strictly that it has one meaning only.
//!
//! A token is three parts in base64url without padding: the header, the claims, and a signature over both as they
//! stand there (RFC 7515 section 7.1). Whoever reads one looks at the header, takes the algorithm from the key that it
//! names, verifies the signature, and only then believes the claims.

mod claims;
mod parts;
#[cfg(test)]
mod tests;

use serde::Deserialize;

pub use claims::Claims;
pub use parts::{Header, Parts, with_signature};

/// The longest token that is looked at, in bytes.
pub const MAX_LENGTH: usize = 4096;

/// The greatest number in a claim: what every JSON reader takes as it is.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// A token that cannot be read in exactly one way, or that has something that is not known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A JSON object: derived readers would also take an array of the values in their order.
fn object<T: for<'de> Deserialize<'de>>(json: &[u8]) -> Result<T, Malformed> {
    if json.first() != Some(&b'{') {
        return Err(Malformed);
    }
    serde_json::from_slice(json).map_err(|_| Malformed)
}
