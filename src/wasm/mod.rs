//! The only rooms that know proxy-wasm: they read the host, call the gate and the steward, and do what these say.
//!
//! Envoy runs one VM per worker and one on the main thread. Each has a root context per configuration, which ticks,
//! and a context per request.

mod answers;
mod door;
mod header_map;
mod host;
mod memory;
mod metrics;
mod request_context;
mod root_context;
#[cfg(feature = "traps")]
mod search;
mod settlement;
#[cfg(feature = "traps")]
mod shown;
mod signatures;
mod stream;
#[cfg(feature = "traps")]
mod traps;
mod waiting;

use proxy_wasm::types::LogLevel;

use root_context::RootContext;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|id| Box::new(RootContext::new(id)));
}}
