//! Makes the calls that tollkeeper makes for a request, with values of the same sizes, and has no code of its own: nobody is
//! judged. Its configuration is a letter: `k` for a good key, `n` for one without headers, `r` for one that is refused.

use std::{
    cell::{Cell, UnsafeCell},
    ptr::null_mut,
};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_buffer_bytes(buffer: u32, start: usize, most: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_add_header_map_value(map: u32, name: *const u8, name_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, size: usize) -> u32;
    fn proxy_get_shared_data(name: *const u8, length: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(name: *const u8, length: usize, data: *const u8, size: usize, cas: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
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
}

const REQUEST: u32 = 0;
const RESPONSE: u32 = 2;
const CONFIGURATION: u32 = 7;

const STAMP: &str = "tk6/bench/stamp";
const CELL: &str = "tk6/bench/c/bench";
/// With few keys, most shards were never written: a strange key is looked for in such a one.
const SHARD: &str = "tk6/bench/k/0000";

const TO_UPSTREAM: [(&str, &str); 3] =
    [("x-auth-status", "granted"), ("x-auth-team", "bench"), ("x-auth-subject", "benchmark")];
const TO_CLIENT: [(&str, &str); 11] = [
    ("x-auth-status", "granted"),
    ("x-auth-method", "raw"),
    ("x-auth-kind", "application"),
    ("x-auth-team", "bench"),
    ("x-auth-key-id", "k0123456789abcd"),
    ("x-auth-subject", "benchmark"),
    ("x-auth-scopes", "read write"),
    ("x-auth-expires", "1900000000"),
    ("x-auth-revision", "12"),
    ("ratelimit-policy", "\"team\";q=1000000;w=1"),
    ("ratelimit", "\"team\";r=999999;t=1"),
];
const OF_REFUSAL: [(&str, &str); 8] = [
    ("cache-control", "no-store"),
    ("www-authenticate", "ApiKey realm=\"api\", header=\"authorization\""),
    ("www-authenticate", "Token realm=\"api\""),
    ("www-authenticate", "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"The key is not known.\""),
    ("www-authenticate", "ApiKey realm=\"api\", header=\"x-api-key\""),
    ("content-type", "application/problem+json"),
    ("x-auth-status", "denied"),
    ("x-auth-reason", "unknown_key"),
];
const BODY: &str = "{\"detail\":\"The key is not known.\",\"reason\":\"unknown_key\",\"status\":401,\
    \"title\":\"Unauthorized\",\"type\":\"about:blank\"}";

thread_local! {
    static STATE: State = const { State { kind: Cell::new(b'k'), metric: Cell::new(0), refusal: UnsafeCell::new(Vec::new()) } };
    static ROOM: (Cell<usize>, UnsafeCell<[u8; 65536]>) = const { (Cell::new(0), UnsafeCell::new([0; 65536])) };
}

struct State {
    kind: Cell<u8>,
    metric: Cell<u32>,
    /// The headers of a refusal, as the host reads them.
    refusal: UnsafeCell<Vec<u8>>,
}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Nothing is kept, so it begins anew where the room ends.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    ROOM.with(|(used, room)| {
        let begin = if used.get() + size > 65536 { 0 } else { used.get() };
        used.set((begin + size + 7) & !7);
        room.get().cast::<u8>().wrapping_add(begin)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(_: u32, _: usize) -> u32 {
    let (mut data, mut size, mut metric) = (null_mut::<u8>(), 0, 0);
    let headers = OF_REFUSAL.iter().map(|(name, value)| (name.len() as u32, value.len() as u32));
    let mut refusal = (OF_REFUSAL.len() as u32).to_le_bytes().to_vec();
    refusal.extend(headers.flat_map(|(name, value)| [name.to_le_bytes(), value.to_le_bytes()]).flatten());
    refusal.extend(OF_REFUSAL.iter().flat_map(|(name, value)| [name.as_bytes(), b"\0", value.as_bytes(), b"\0"]).flatten());
    STATE.with(|state| unsafe {
        proxy_get_buffer_bytes(CONFIGURATION, 0, 1, &raw mut data, &raw mut size);
        state.kind.set(*data);
        let name = "calls";
        proxy_define_metric(0, name.as_ptr(), name.len(), &raw mut metric);
        state.metric.set(metric);
        *state.refusal.get() = refusal;
    });
    write(STAMP, &[]);
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(_: u32, _: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(_: u32) {}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(_: u32, _: u32, _: u32) -> u32 {
    let (kind, metric) = STATE.with(|state| (state.kind.get(), state.metric.get()));
    let mut time = 0;
    read_headers(REQUEST);
    unsafe { clock_time_get(1, 1, &raw mut time) };
    if kind == b'r' {
        read(SHARD);
        refuse();
    } else {
        read(STAMP);
        write(CELL, &[8; 90]);
        unsafe { proxy_remove_header_map_value(REQUEST, "authorization".as_ptr(), "authorization".len()) };
        if kind == b'k' {
            TO_UPSTREAM.iter().for_each(|header| add(REQUEST, header));
        }
    }
    unsafe { proxy_increment_metric(metric, 1) };
    u32::from(kind == b'r')
}

#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_headers(_: u32, _: u32, _: u32) -> u32 {
    let kind = STATE.with(|state| state.kind.get());
    if kind != b'r' {
        read_headers(RESPONSE);
    }
    if kind == b'k' {
        TO_CLIENT.iter().for_each(|header| add(RESPONSE, header));
    }
    0
}

fn read_headers(map: u32) {
    let (mut data, mut size) = (null_mut(), 0);
    unsafe { proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) };
}

fn add(map: u32, (name, value): &(&str, &str)) {
    unsafe { proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

fn read(name: &str) {
    let (mut data, mut size, mut cas) = (null_mut(), 0, 0);
    unsafe { proxy_get_shared_data(name.as_ptr(), name.len(), &raw mut data, &raw mut size, &raw mut cas) };
}

fn write(name: &str, value: &[u8]) {
    unsafe { proxy_set_shared_data(name.as_ptr(), name.len(), value.as_ptr(), value.len(), 0) };
}

fn refuse() {
    let details = "tollkeeper:unknown_key";
    STATE.with(|state| unsafe {
        let headers = &*state.refusal.get();
        let (body, about) = ((BODY.as_ptr(), BODY.len()), (details.as_ptr(), details.len()));
        proxy_send_local_response(401, about.0, about.1, body.0, body.1, headers.as_ptr(), headers.len(), -1);
    });
}
