//! A vector of ECDSA as a token: its signature under another message, by a key that makes it as good there.

use p256::{FieldBytes, ProjectivePoint, Scalar, ecdsa::VerifyingKey, elliptic_curve::ops::Reduce};
use sha2::{Digest as _, Sha256};

/// The key under which `signature` is for `message` what under `key` it is for `signed`: good, or not, and by the same
/// point.
///
/// With z the hash and Q the key, a verifier computes (z G + r Q) / s. For the hash z' that is the same with the key
/// Q + (z - z') / r G.
pub(crate) fn moved(key: &[u8], signed: &[u8], signature: &[u8], message: &[u8]) -> [u8; 65] {
    let from = VerifyingKey::from_sec1_bytes(key).unwrap();
    let (r, _) = halves(signature);
    let by = (hash(signed) - hash(message)) * Option::from(r.invert()).unwrap_or(Scalar::ZERO);
    let to = ProjectivePoint::from(*from.as_affine()) + ProjectivePoint::GENERATOR * by;
    // Only the point at infinity is no key.
    let to = VerifyingKey::from_affine(to.to_affine()).unwrap_or(from);
    to.to_sec1_point(false).as_bytes().try_into().unwrap()
}

fn hash(message: &[u8]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(<[u8; 32]>::from(Sha256::digest(message))))
}

/// r and s as numbers, whatever their length: of more than 32 bytes the last 32.
pub(crate) fn halves(signature: &[u8]) -> (Scalar, Scalar) {
    let (r, s) = signature.split_at(signature.len() / 2);
    let number = |bytes: &[u8]| {
        let mut whole = [0; 32];
        let digits = &bytes[bytes.len().saturating_sub(32)..];
        whole[32 - digits.len()..].copy_from_slice(digits);
        Scalar::reduce(&FieldBytes::from(whole))
    };
    (number(r), number(s))
}
