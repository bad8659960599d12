//! Tollkeeper's filter: authentication and per-team quotas inside Envoy.
//!
//! The rooms stand in the order in which a request walks through them; [`gate`] is the corridor that calls them.
//! Each takes values and the time and returns a decision. What only the host can do (headers, shared data, clocks,
//! calls) is done in `wasm`, which exists for wasm32 only, so a room that reaches for the host does not compile.
//!
//! | room | duty |
//! |---|---|
//! | [`config`] | what users write, checked; all mistakes at once |
//! | [`request`] | the few facts of a request, read once, as bytes |
//! | [`path`] | whether a path has one meaning only |
//! | [`credential`] | request to key digest, or a denial |
//! | [`familiar`] | the same for less, where it was found good before |
//! | [`table`] | keys and teams in shared data |
//! | [`token`] | bearer token to claims, or a denial |
//! | [`principal`] | who a credential proved to be |
//! | [`policy`] | whether this key may do this, now |
//! | [`purse`] | whether the team has a token left: arithmetic only, of a [`limiter`] of this node's own ([`bucket`] or [`window`]) or of a [`lease`] |
//! | [`refusal`] | why a request is refused, in closed vocabularies |
//! | [`verdict`] | what the client, the upstream and the operator get to see |
//! | [`usage`] | what was used since the last settlement |
//! | [`wanted`] | for whom tokens are to be asked |
//! | [`steward`] | the one VM per process that syncs and reports |
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]
// One panic stops a worker's VM for everybody; see also the workspace's lints.
#![deny(clippy::indexing_slicing, clippy::string_slice)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

pub mod bucket;
pub mod config;
pub mod credential;
pub mod familiar;
pub mod gate;
pub mod lease;
pub mod limiter;
pub mod path;
pub mod policy;
pub mod principal;
pub mod purse;
pub mod refusal;
pub mod request;
pub mod shared;
#[cfg(test)]
mod simulation;
pub mod steward;
pub mod table;
pub mod time;
pub mod token;
pub mod usage;
pub mod verdict;
pub mod wanted;
#[cfg(target_arch = "wasm32")]
mod wasm;
pub mod window;
