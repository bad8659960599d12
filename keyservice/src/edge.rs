//! The only place that reads the clock and the system's randomness; everything else takes them as values.

use std::time::{SystemTime, UNIX_EPOCH};

use tollkeeper_contract::{
    Kind,
    key_text::{ID_ENTROPY, SECRET_ENTROPY},
};

use crate::domain::{Issued, Moment};

/// The current second.
#[must_use]
pub fn now() -> Moment {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Moment::from_unix(seconds).unwrap_or_default()
}

/// A new key from the system's randomness.
///
/// # Errors
/// When the system has none to give.
pub fn issue(kind: Kind) -> Result<Issued, getrandom::Error> {
    let (mut id, mut secret) = ([0; ID_ENTROPY], [0; SECRET_ENTROPY]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    Ok(Issued::compose(kind, id, secret))
}
