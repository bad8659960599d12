//! `cargo +nightly fuzz run token`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::token::look(data));
