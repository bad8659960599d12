//! What must hold of any input, whoever sends it: each probe takes bytes, and panics if it does not.
//!
//! A probe never asks the code under test what is right. It compares with a second, plain reading of the rule, with
//! another library, or with what the bytes were made of. `cargo test` gives each 100,000 inputs made from its seeds,
//! `make fuzz` lets libFuzzer look for more; what ever broke one stays in `crashes/`.

pub mod answers;
pub mod bodies;
pub mod bucket;
pub mod config;
pub mod credential;
pub mod gate;
pub mod key_text;
pub mod lease;
pub mod mutation;
pub mod origin;
pub mod path;
pub mod sealed;
pub mod shard;
pub mod token;
pub mod window;

/// One probe.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    /// Its name, also of its target for `cargo fuzz`.
    pub name: &'static str,
    /// Looks at one input.
    pub look: fn(&[u8]),
    /// Inputs that reach far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! probes {
    ($($name:ident),* $(,)?) => {
        /// Every probe there is.
        pub const ALL: &[Probe] = &[$(Probe { name: stringify!($name), look: $name::look, seeds: $name::seeds }),*];
    };
}

probes!(answers, bodies, bucket, config, credential, gate, key_text, lease, origin, path, sealed, shard, token, window);

/// Texts as seeds.
fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
