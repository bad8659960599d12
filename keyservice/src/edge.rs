//! The only place that reads the clock and the system's randomness; everything else takes them as values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollkeeper_contract::{
    KeyId, SessionId,
    key_text::{ID_ENTROPY, compose_id},
};

use crate::domain::{KeySeed, Moment, SALT_ENTROPY};

/// The current second.
#[must_use]
pub fn now() -> Moment {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Moment::from_unix(seconds).unwrap_or_default()
}

/// What a new key is made of, from the system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn key_seed() -> Result<KeySeed, getrandom::Error> {
    Ok(KeySeed { id: random()?, secret: random()? })
}

/// A new key id from the system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn key_id() -> Result<KeyId, getrandom::Error> {
    random().map(compose_id)
}

/// Salt for the hash of a password.
///
/// # Errors
/// When the system has no randomness to give.
pub fn salt() -> Result<[u8; SALT_ENTROPY], getrandom::Error> {
    random()
}

/// A new session id from the system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn session_id() -> Result<SessionId, getrandom::Error> {
    random().map(SessionId::compose)
}

/// What the name of a new token key is made of.
///
/// # Errors
/// When the system has no randomness to give.
pub fn token_key_entropy() -> Result<[u8; ID_ENTROPY], getrandom::Error> {
    random()
}

/// A time of any length up to `most`.
///
/// # Errors
/// When the system has no randomness to give.
pub fn up_to(most: Duration) -> Result<Duration, getrandom::Error> {
    let part = u32::from_le_bytes(random()?);
    Ok(most.mul_f64(f64::from(part) / f64::from(u32::MAX)))
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
