//! The lab: real Envoy, real key service and a small upstream, started together for tests and for `make run`.
//!
//! A test starts everything with [`edge::Edge::start`]; `lab run` does the same with data that stays. What they share
//! is below them: [`envoy`], [`keyservice_process`], [`upstream`], and [`bootstrap`], which edits `envoy/edge.yaml`.
//! [`postgres`] lends the tests of the key service a server, and a test starts as many as it likes with [`valkey`].
//! [`faults`] are those of the machine under a program, and [`way`] is a network that breaks. What ordinary clients and servers
//! would repair is sent with [`raw`] and [`raw_http2`], and seen by [`witness`].

pub mod access;
pub mod artifacts;
pub mod authority;
pub mod bootstrap;
pub mod edge;
pub mod envoy;
pub mod faults;
pub mod http;
pub mod key_service;
pub mod keyservice_process;
pub mod pack;
pub mod poll;
pub mod port;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod raw_http2;
pub mod run;
pub mod secret;
pub mod upstream;
pub mod valkey;
pub mod way;
pub mod witness;
