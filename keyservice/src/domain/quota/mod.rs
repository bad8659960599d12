//! What the fleet has left of one account's quota, and what of it is lent to which node: arithmetic without I/O or clock.
//!
//! * [`Claim`]: what a node says and wants, once it can be true
//! * [`Book`]: settles a claim, and lends
//! * `allowance`, `bucket`, `runs`: what is left, under either promise
//! * `loan`: what one node was lent
//! * [`Trust`]: whether the books say all; if not, nodes only settle
//!
//! Times are milliseconds of the engine's clock. It may stand still or go back: then nothing comes back meanwhile.
//! Tokens are counted as spent when they are lent, so that no node that dies, and no message that is lost, can make more
//! of them.

mod allowance;
mod book;
mod bucket;
mod claim;
mod loan;
mod runs;
#[cfg(test)]
pub(crate) mod tests;
mod trust;

pub use book::{Book, Lending, Opening};
pub use claim::{Claim, InvalidClaim, MOST_COUNTED};
pub use trust::{Past, Trust};

/// For how long a node may spend what it was lent, counted from when it asked.
pub const TERM_MS: u32 = 5_000;

/// How much later a lease ends here: the node's clock may be slower.
pub const MARGIN_MS: u32 = 500;

/// How much later than told a client may come back: what it was told in whole seconds, and its way.
const AWAITED_MS: u64 = 2_000;

/// A lease is at least this part of the limit, if so much is left: else the last tokens would take the most questions.
const LEAST_PART: u64 = 16;

/// How long what is known of a node is kept after its lease ended: questions that arrive late are still told apart.
const LOAN_KEPT_MS: u64 = 10 * 60 * 1000;

/// How long a book is kept after the last question, besides two windows: by then all tokens have come back.
const BOOK_KEPT_MS: u64 = 2 * LOAN_KEPT_MS;
