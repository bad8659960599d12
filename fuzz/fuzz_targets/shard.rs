//! `cargo +nightly fuzz run shard`
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tollkeeper_probes::shard::look(data));
