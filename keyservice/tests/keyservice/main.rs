//! The key service as clients, nodes and operators see it: the real program, real sockets, a real database file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod commands;
mod harness;
mod idempotency;
mod keys;
mod ledger;
mod lifecycle;
mod mistakes;
mod publication;
mod replica;
mod retention;
mod secrecy;
mod storage;
mod teams;
