//! `cargo +nightly fuzz run answers`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::answers::look(data));
