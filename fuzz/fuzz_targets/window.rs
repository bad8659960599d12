//! `cargo +nightly fuzz run window`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::window::look(data));
