//! `cargo +nightly fuzz run bucket`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::bucket::look(data));
