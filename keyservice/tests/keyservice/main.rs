//! The key service as clients, nodes and operators see it: the real program, real sockets, a real database file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, reason = "what is measured belongs into the report of the run")]

mod audit;
mod bad_bodies;
mod bad_fields;
mod commands;
mod enterprises;
mod harness;
mod hosts;
mod idempotency;
mod import;
mod import_speed;
mod keys;
mod kinds;
mod ledger;
mod lifecycle;
mod login;
mod login_failures;
mod login_speed;
mod mistakes;
mod oauth;
mod publication;
mod replica;
mod retention;
mod rotation;
mod secrecy;
mod service_accounts;
mod sessions;
mod storage;
mod teams;
mod token_keys;
mod users;
