//! Keys and teams in Envoy's shared data: what the steward writes is what the next request on any worker sees.
//!
//! | name | value |
//! |---|---|
//! | `tk6/<instance>/meta` | which database, which revision, since when: [`Meta`] |
//! | `tk6/<instance>/stamp` | empty, or that records are being written: [`Recent`] |
//! | `tk6/<instance>/k/<shard>` | keys by digest, packed |
//! | `tk6/<instance>/t/<shard>` | teams by the digest of their id |
//! | `tk6/<instance>/l/<shard>` | what holds for all limits, in one record: [`Limits`] |
//! | `tk6/<instance>/c/<team>` | the team's [`Cell`]: its purse and a copy of its record, from its first request on |
//! | `tk6/<instance>/fleet` | how many nodes there are |
//! | `tk6/<instance>/steward` | who is steward, until when |
//! | `tk6/<instance>/process` | this process's random name |
//! | `tk6/<instance>/ledger` | the shared queue from workers to the steward |

mod cell;
mod lending;
mod limits;
mod meta;
mod names;
mod packed;
mod read;
mod recent;
mod snapshot;
mod write;

pub use cell::{Cell, Charge, Order};
pub use lending::{Company, Upkeep};
pub use limits::{Limits, read_factor};
pub use meta::Meta;
pub use names::Names;
pub use recent::{Recent, Records};
pub use snapshot::SnapshotWriter;
pub use write::WriteError;

use crate::time::Monotonic;

/// The key table at a moment: where it is, and what holds for everybody's limits.
#[derive(Debug)]
pub struct KeyTable<'a, Shared> {
    /// Where it is.
    pub shared: &'a Shared,
    /// What its parts are called.
    pub names: &'a Names,
    /// What limits follow from.
    pub limits: Limits,
    /// The time.
    pub now: Monotonic,
}
