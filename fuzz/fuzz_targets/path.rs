//! `cargo +nightly fuzz run path`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::path::look(data));
