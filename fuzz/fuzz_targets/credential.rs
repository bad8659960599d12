//! `cargo +nightly fuzz run credential`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::credential::look(data));
