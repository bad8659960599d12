//! The key service: issues, revokes and publishes API keys, and counts their use.
//!
//! * [`settings`]: what the environment and flags say -> what the service needs
//! * [`serve`]: starts, listens, and ends in good order
//! * [`connections`], [`tls`]: who may connect, how many at a time, and with what certificate
//! * `renewal`: what is read again on SIGHUP
//! * [`api`]: HTTP in, HTTP out; no SQL
//! * [`domain`]: what it is about, as types that cannot hold a wrong value; no I/O
//! * [`guesses`]: wrong tokens, counted
//! * [`login`]: a login from its credential to its token
//! * [`store`]: all SQL, and the order of changes
//! * [`fleet`], [`nodes`]: who has come how far, and waiting for them all
//! * [`quota`]: quotas over the whole fleet
//! * [`edge`]: the clock and the randomness
//! * [`cli`]: the commands, which talk to the admin API like any other client
#![forbid(unsafe_code)]

pub mod api;
pub mod census;
pub mod cli;
pub mod connections;
pub mod domain;
pub mod edge;
pub mod fleet;
pub mod guesses;
pub mod login;
pub mod logs;
pub mod metrics;
pub mod nodes;
pub mod quota;
mod renewal;
pub mod serve;
pub mod settings;
pub mod store;
pub mod tls;
