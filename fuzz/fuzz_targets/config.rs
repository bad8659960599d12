//! `cargo +nightly fuzz run config`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::config::look(data));
