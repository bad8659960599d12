//! `cargo +nightly fuzz run origin`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::origin::look(data));
