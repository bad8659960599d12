//! `cargo +nightly fuzz run gate`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::gate::look(data));
