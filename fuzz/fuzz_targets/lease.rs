//! `cargo +nightly fuzz run lease`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::lease::look(data));
