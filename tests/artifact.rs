//! The compiled module itself, as it is shipped: what it asks of Envoy, what it offers, how large it is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends where it stands")]

use std::collections::BTreeSet;

use lab::artifacts;
use wasmparser::{Parser, Payload};

const BUDGET: usize = 860_000;

/// What the filter calls.
const USED: &[&str] = &[
    "env.proxy_add_header_map_value",
    // Envoy's own way to verify ES256 signatures.
    "env.proxy_call_foreign_function",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_property",
    "env.proxy_get_shared_data",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_resolve_shared_queue",
    "env.proxy_send_local_response",
    "env.proxy_set_effective_context",
    "env.proxy_set_property",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    // WASI: the monotonic clock, the node token's variable, randomness, and what the standard library's panic needs.
    "wasi_snapshot_preview1.clock_time_get",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
];

/// Default methods of the SDK's traits ask for these. The filter calls none of them, but the linker cannot know.
const SDK: &[&str] = &[
    "env.proxy_close_stream",
    "env.proxy_done",
    "env.proxy_get_header_map_value",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_replace_header_map_value",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_header_map_pairs",
];

/// What the host may call.
const EXPORTED: &[&str] = &[
    "_initialize",
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_delete",
    "proxy_on_http_call_response",
    "proxy_on_memory_allocate",
    "proxy_on_queue_ready",
    "proxy_on_request_headers",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_trailers",
    "proxy_on_tick",
    "proxy_on_vm_start",
];

fn module() -> Vec<u8> {
    std::fs::read(artifacts::filter().unwrap()).unwrap()
}

/// What the module asks the host for.
fn imports(module: &[u8]) -> BTreeSet<String> {
    let mut imports = BTreeSet::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            for import in section.into_imports() {
                let import = import.unwrap();
                imports.insert(format!("{}.{}", import.module, import.name));
            }
        }
    }
    imports
}

#[test]
fn the_module_is_within_its_budget() {
    let size = module().len();
    assert!(size <= BUDGET, "{size} bytes, the budget is {BUDGET}");
}

/// As tests that make it trap know it (`src/wasm/traps.rs`).
#[test]
fn the_module_that_is_shipped_cannot_be_told_to_trap() {
    let knows = |module: &[u8]| module.windows(11).any(|bytes| bytes == b"x-test-trap");
    assert!(!knows(&module()), "it was built with the feature `traps`");
    assert!(knows(&std::fs::read(artifacts::filter_that_traps().unwrap()).unwrap()), "else this would find nothing");
}

#[test]
fn the_module_asks_the_host_for_nothing_but_this() {
    let imports = imports(&module());
    let allowed: BTreeSet<_> = USED.iter().chain(SDK).map(ToString::to_string).collect();
    let surprising: Vec<_> = imports.difference(&allowed).collect();
    let needless: Vec<_> = allowed.difference(&imports).collect();
    assert!(surprising.is_empty(), "not on the list: {surprising:?}");
    assert!(needless.is_empty(), "on the list and not asked for: {needless:?}");
}

#[test]
fn the_module_exports_only_the_callbacks_that_it_uses() {
    let module = module();
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(&module) {
        if let Payload::ExportSection(section) = payload.unwrap() {
            exports.extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
        }
    }
    exports.sort();
    assert_eq!(exports, EXPORTED);
}
