//! Keys and teams in Envoy's shared data: what the steward writes is what the next request on any worker sees.
//!
//! | name | value |
//! |---|---|
//! | `tk3/<instance>/meta` | which database, which revision, since when: [`Meta`] |
//! | `tk3/<instance>/k/<shard>` | keys by digest |
//! | `tk3/<instance>/t/<shard>` | teams by the digest of their id |
//! | `tk3/<instance>/c/<team>` | the team's [`Cell`]: its limiter and a copy of its record, from its first request on |
//! | `tk3/<instance>/steward` | who is steward, until when |
//! | `tk3/<instance>/process` | this process's random name |
//! | `tk3/<instance>/ledger` | the shared queue from workers to the steward |

mod cell;
mod meta;
mod names;
mod read;
mod snapshot;
mod write;

pub use cell::{Cell, Charge};
pub use meta::Meta;
pub use names::Names;
pub use snapshot::SnapshotWriter;
pub use write::WriteError;

use crate::{limiter::Limit, time::Monotonic};

/// The key table at a moment: where it is, and what holds for teams without a quota of their own.
#[derive(Debug)]
pub struct KeyTable<'a, Shared> {
    /// Where it is.
    pub shared: &'a Shared,
    /// What its parts are called.
    pub names: &'a Names,
    /// What holds for a team that has no quota of its own.
    pub default_limit: Limit,
    /// The time.
    pub now: Monotonic,
}
