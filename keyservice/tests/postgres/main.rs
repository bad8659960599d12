//! The key service on a real PostgreSQL: all that it does on SQLite, and several services that work as one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]

#[path = "../keyservice/behaviours.rs"]
mod behaviours;
mod database;
#[path = "../keyservice/described.rs"]
mod described;
#[path = "../keyservice/harness.rs"]
mod harness;
mod plans;
#[path = "../keyservice/replica.rs"]
mod replica;
mod server;
mod several;
