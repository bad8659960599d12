//! The two clocks: one that tells the date, and one that never goes back.

/// A reading of the host's clocks, taken once per callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix time in seconds: what a key's dates are compared with.
    pub unix: u64,
    /// For durations: refill, leases, age.
    pub monotonic: Monotonic,
}

/// Milliseconds since some moment before this process began; the same for all its threads, and it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Milliseconds from `earlier` to this moment; 0 if it was not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `milliseconds` later.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}
