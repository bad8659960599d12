//! `cargo +nightly fuzz run bodies`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::bodies::look(data));
