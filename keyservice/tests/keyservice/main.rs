//! The key service as clients, nodes and operators see it: the real program, real sockets, a real SQLite file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]

#[path = "behaviours.rs"]
mod behaviours;
mod connections;
mod database;
mod described;
mod harness;
mod quota_store;
mod replica;
mod storage;
