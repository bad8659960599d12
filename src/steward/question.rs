//! Calls to the key service and their answers, as values.

use std::time::Duration;

/// A call to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which answer belongs to it.
    pub errand: Errand,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Path and query.
    pub path: String,
    /// The body; JSON.
    pub body: Option<Vec<u8>>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// A page of the table.
    Sync {
        /// The number in the question, which the answer must repeat.
        nonce: u64,
    },
    /// A question for leases.
    Lend {
        /// The number in the question, under which the answer is sealed.
        nonce: u64,
    },
    /// A report of usage.
    Report {
        /// Whose report it is.
        epoch: u64,
        /// Its number.
        seq: u64,
    },
}

/// What came back: from the key service, or from Envoy in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The key service answered.
    Service {
        /// The HTTP status.
        status: u16,
        /// The whole body.
        body: &'a [u8],
    },
    /// Something else did: Envoy (503 no connection, 504 too late) or a stranger.
    Stranger {
        /// The HTTP status, 0 if there was none.
        status: u16,
    },
    /// The connection broke, or the call could not be made.
    Nothing,
}

/// When to try again after a failure: soon at first, then ever more seldom.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

impl Patience {
    const FIRST: u64 = 100;
    const LONGEST: u64 = 2000;

    /// Milliseconds to wait after one more failure.
    pub(super) fn after_failure(&mut self) -> u64 {
        let wait = Self::FIRST.checked_shl(self.failures).unwrap_or(Self::LONGEST).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1).min(16);
        wait
    }

    /// All is well again.
    pub(super) fn restore(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Patience;

    #[test]
    fn failures_are_retried_soon_and_then_more_seldom() {
        let mut patience = Patience::default();
        let waits: Vec<_> = (0..40).map(|_| patience.after_failure()).collect();
        assert_eq!(waits[..6], [100, 200, 400, 800, 1600, 2000]);
        assert!(waits[6..].iter().all(|wait| *wait == 2000));
        patience.restore();
        assert_eq!(patience.after_failure(), 100);
    }
}
