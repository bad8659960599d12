//! Traps on purpose, so that tests see what comes after: only with the feature `traps`, and never where anybody is served.

use proxy_wasm::{hostcalls, types::MapType};

use crate::steward::Standing;

/// Says who is to trap: `worker`, the VM that reads it, at once; `steward`, whoever is that, with its next duties; or `both`.
const HEADER: &str = "x-test-trap";

/// Where the steward is told, in shared data.
const FLAG: &str = "tk1/test-trap";

/// A request's headers have come.
pub(super) fn at_request() {
    let asked = hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, HEADER).ok().flatten().unwrap_or_default();
    if asked == b"steward" || asked == b"both" {
        let _ = hostcalls::set_shared_data(FLAG, Some(b"trap"), None);
    }
    if asked == b"worker" || asked == b"both" {
        core::arch::wasm32::unreachable();
    }
}

/// A VM is about to look after its duties.
pub(super) fn at_duties(standing: Standing) {
    let is_told = || hostcalls::get_shared_data(FLAG).is_ok_and(|(flag, _)| flag.is_some_and(|flag| !flag.is_empty()));
    if standing == Standing::Steward && is_told() {
        let _ = hostcalls::set_shared_data(FLAG, Some(b""), None);
        core::arch::wasm32::unreachable();
    }
}
