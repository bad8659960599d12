//! Shared data as only the steward may write it.
//!
//! A steward can be stalled at any moment, replaced meanwhile, and go on without noticing. Each of its writes is a
//! compare-and-swap on what it read *before* it looked whether the lease is still its own. A successor takes the lease
//! before it writes anything: either this look sees that, or the successor's write comes later and makes the swap fail.

use crate::{
    shared::{Expected, HostFailure, SharedData, Swap, Value},
    table::Names,
};

use super::lease::{Candidate, Holder};

/// Shared data for as long as `holder` is steward.
#[derive(Debug)]
pub(super) struct Fenced<'a, Shared> {
    pub(super) shared: &'a Shared,
    pub(super) names: &'a Names,
    pub(super) holder: Holder,
}

impl<Shared: SharedData> SharedData for Fenced<'_, Shared> {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        self.shared.get(name)
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        if !Candidate::holds(self.holder, self.shared, self.names)? {
            return Ok(Swap::Conflict);
        }
        self.shared.swap(name, value, expected)
    }
}
