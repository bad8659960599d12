//! `cargo +nightly fuzz run sealed`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::sealed::look(data));
