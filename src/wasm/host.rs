//! What only the host can do, with a `Result` where it can fail.
//!
//! Most goes through the SDK. Some calls are made here, because the SDK's panic where the host says no (a missing
//! header map, a foreign function that is not there), cannot say what the host can take (details and a gRPC status for a
//! local reply), or are not there (the monotonic clock).
#![allow(unsafe_code, reason = "calls of the proxy-wasm ABI and WASI have no safe form")]

use std::{
    cell::{Cell, RefCell},
    collections::hash_map::RandomState,
    hash::BuildHasher,
};

use proxy_wasm::{
    hostcalls,
    types::{MapType, Status},
};

use crate::{
    request::Wire,
    shared::{Expected, HostFailure, Next, Own, SharedData, Swap, Value, Version, are_in_turn},
    time::{Monotonic, Now},
    verdict::{Header, Reply},
};

use super::header_map::HeaderMap;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        answer: *mut *mut u8,
        answer_size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    fn random_get(bytes: *mut u8, length: usize) -> u16;
}

/// WASI's number of the clock that never goes back.
const MONOTONIC: u32 = 1;

thread_local! {
    /// The date less the monotonic clock, in nanoseconds, when both were last read. A VM is one thread.
    static DATE: Cell<Option<u64>> = const { Cell::new(None) };

    /// What this VM wrote lately.
    static OWN: RefCell<Own> = RefCell::default();

    /// Whether the host's numbers are such that it can be guessed; once that was found out.
    static IN_TURN: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The time, by the monotonic clock alone since [`read_date`]: each clock is a call to the host.
pub(super) fn now() -> Result<Now, HostFailure> {
    if DATE.get().is_none() {
        read_date()?;
    }
    let monotonic = nanoseconds()?;
    let date = DATE.get().unwrap_or_default().wrapping_add(monotonic);
    Ok(Now { unix: date / 1_000_000_000, monotonic: Monotonic(monotonic / 1_000_000) })
}

/// Reads the date. With every tick, so that a date that was corrected is soon known.
pub(super) fn read_date() -> Result<(), HostFailure> {
    let mut date = 0;
    // SAFETY: the call writes one `u64` to the place that it is given.
    if unsafe { proxy_get_current_time_nanoseconds(&raw mut date) } != 0 {
        return Err(HostFailure);
    }
    DATE.set(Some(date.wrapping_sub(nanoseconds()?)));
    Ok(())
}

/// The monotonic clock.
pub(super) fn nanoseconds() -> Result<u64, HostFailure> {
    let mut time = 0;
    // SAFETY: the call writes one `u64` to the place that it is given.
    if unsafe { clock_time_get(MONOTONIC, 1, &raw mut time) } != 0 {
        return Err(HostFailure);
    }
    Ok(time)
}

/// All headers of the message; the SDK's call would panic where there are none.
pub(super) fn headers(map: MapType) -> Result<HeaderMap, HostFailure> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host allocates `size` bytes with this module's allocator and hands them over.
    unsafe {
        if proxy_get_header_map_pairs(map as u32, &raw mut data, &raw mut size) != 0 {
            return Err(HostFailure);
        }
        if data.is_null() {
            return Ok(HeaderMap::new(Vec::new()));
        }
        Ok(HeaderMap::new(Vec::from_raw_parts(data, size, size)))
    }
}

/// Calls a function of Envoy's own; `None` where there is no such function, or it does not take the arguments.
pub(super) fn call_foreign(name: &str, arguments: &[u8]) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host reads the given numbers of bytes before it returns, allocates `size` bytes with this module's
    // allocator and hands them over.
    unsafe {
        let (name, arguments) = ((name.as_ptr(), name.len()), (arguments.as_ptr(), arguments.len()));
        let status =
            proxy_call_foreign_function(name.0, name.1, arguments.0, arguments.1, &raw mut data, &raw mut size);
        match (status, data.is_null()) {
            (0, true) => Some(Vec::new()),
            (0, false) => Some(Vec::from_raw_parts(data, size, size)),
            _ => None,
        }
    }
}

/// An answer instead of the upstream's, as the host takes it.
pub(super) struct Answer {
    status: u16,
    /// Access logs show it as %RESPONSE_CODE_DETAILS%.
    details: String,
    body: String,
    headers: Vec<u8>,
    grpc_status: i32,
}

impl Answer {
    /// The reply; `told` are headers besides its own.
    pub(super) fn new(reply: Reply, told: &[Header<'_>], wire: Wire) -> Result<Self, HostFailure> {
        let its_own = reply.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let headers: Vec<_> = its_own.chain(told.iter().map(|(name, value)| (*name, value.as_bytes()))).collect();
        // A negative status leaves it to Envoy, which sends none over plain HTTP.
        let grpc_status = match wire {
            Wire::Http => -1,
            Wire::Grpc => i32::from(reply.grpc_status),
        };
        let (headers, details) = (serialise(&headers)?, ["tollkeeper:", reply.reason].concat());
        Ok(Self { status: reply.status, details, body: reply.body, headers, grpc_status })
    }

    /// Answers the request.
    pub(super) fn send(&self) -> Result<(), HostFailure> {
        let Self { status, details, body, headers, grpc_status } = self;
        // SAFETY: the host reads the given numbers of bytes before it returns.
        let status = unsafe {
            proxy_send_local_response(
                u32::from(*status),
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                headers.as_ptr(),
                headers.len(),
                *grpc_status,
            )
        };
        if status == 0 { Ok(()) } else { Err(HostFailure) }
    }
}

/// The form that [`HeaderMap`] reads.
fn serialise(headers: &[(&str, &[u8])]) -> Result<Vec<u8>, HostFailure> {
    let number = |length: usize| u32::try_from(length).map(u32::to_le_bytes).map_err(|_| HostFailure);
    // Two numbers and two zero bytes for each, and its texts.
    let size = |(name, value): &(&str, &[u8])| name.len().saturating_add(value.len()).saturating_add(10);
    let mut out = Vec::with_capacity(headers.iter().map(size).fold(4, usize::saturating_add));
    out.extend_from_slice(&number(headers.len())?);
    for (name, value) in headers {
        out.extend_from_slice(&number(name.len())?);
        out.extend_from_slice(&number(value.len())?);
    }
    for (name, value) in headers {
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        out.extend_from_slice(value);
        out.push(0);
    }
    Ok(out)
}

/// A random number other than 0; the standard library seeds its hash maps from the host's randomness.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0_u8).max(1)
}

/// Random bytes for a secret.
pub(super) fn random_bytes() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the host writes so many bytes to the place that it is given.
    let status = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (status == 0).then_some(bytes)
}

/// Envoy's shared data.
#[derive(Debug)]
pub(super) struct HostSharedData;

impl SharedData for HostSharedData {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        match hostcalls::get_shared_data(name) {
            Ok((bytes, Some(version))) => {
                Ok(Some(Value { bytes: bytes.unwrap_or_default(), version: Version(version) }))
            }
            Ok((_, None)) => Ok(None),
            Err(_) => Err(HostFailure),
        }
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        // The host overwrites blindly when told 0, and creates what is missing when told anything else: so a number
        // that no value has makes an atomic insert.
        let version = match expected {
            Expected::Absent => u32::MAX,
            Expected::Version(Version(version)) => version,
        };
        match hostcalls::set_shared_data(name, Some(value), Some(version)) {
            Ok(()) => Ok(Swap::Done),
            Err(Status::CasMismatch) => Ok(Swap::Conflict),
            Err(_) => Err(HostFailure),
        }
    }

    fn guess(&self, name: &str) -> Option<Value> {
        own(|own| own.guess(name)).flatten()
    }

    fn swap_own(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        let swap = self.swap(name, value, expected)?;
        if !is_in_turn() {
            return Ok(swap);
        }
        let next = own(|own| match swap {
            Swap::Done => own.note_written(name, value, expected),
            Swap::Conflict => {
                own.note_conflict();
                Next::Rest
            }
        });
        if next == Some(Next::Read)
            && let Ok(Some(read)) = self.get(name)
        {
            own(|own| own.note_read(name, read));
        }
        Ok(swap)
    }
}

/// A failure of the host shows itself elsewhere; here it only costs that nothing is guessed.
fn is_in_turn() -> bool {
    let is = IN_TURN.get().unwrap_or_else(|| are_in_turn(&HostSharedData).unwrap_or(false));
    IN_TURN.set(Some(is));
    is
}

/// Tells what this VM wrote lately that time goes on. With every usual tick.
pub(super) fn age_own() {
    own(Own::tick);
}

fn own<T>(act: impl FnOnce(&mut Own) -> T) -> Option<T> {
    OWN.with(|own| own.try_borrow_mut().ok().map(|mut own| act(&mut own)))
}

/// Shows a text as filter state `wasm.<name>`.
pub(super) fn publish(name: &str, value: &str) {
    // SAFETY: the host reads the given numbers of bytes before it returns.
    let _ = unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// A text that the host knows about this node or plugin.
pub(super) fn property(path: &[&str]) -> Option<String> {
    let bytes = hostcalls::get_property(path.to_vec()).ok().flatten()?;
    String::from_utf8(bytes).ok()
}
