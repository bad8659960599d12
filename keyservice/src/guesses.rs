//! Wrong tokens, counted by where they come from: whoever has shown too many waits. A right one is taken all the same, so
//! nobody is locked out by others at the same address.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Attempts, SourceNetwork};

/// Wrong tokens of the last minutes, apart from logins that failed.
pub struct Guesses {
    attempts: Mutex<Attempts>,
    since: Instant,
}

impl Guesses {
    /// Nobody has been wrong yet.
    #[must_use]
    pub fn none() -> Self {
        Self { attempts: Mutex::new(Attempts::none()), since: Instant::now() }
    }

    /// One more from there.
    ///
    /// # Errors
    /// How long to wait, when there have been too many.
    pub fn count(&self, source: Option<IpAddr>) -> Result<(), Duration> {
        let source = SourceNetwork::from(source.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let now = self.since.elapsed();
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = attempts.admit(source, None, now);
        attempts.failed(source, None, now);
        admitted
    }
}
