//! `cargo +nightly fuzz run key_text`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::key_text::look(data));
