//! Checks configurations of the filter before Envoy sees them, by the filter's own code.

#[cfg(not(target_arch = "wasm32"))]
#[path = "tollkeeper/cli.rs"]
mod cli;
#[cfg(not(target_arch = "wasm32"))]
#[path = "tollkeeper/envoy_file.rs"]
mod envoy_file;
#[cfg(not(target_arch = "wasm32"))]
#[path = "tollkeeper/guard.rs"]
mod guard;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> std::process::ExitCode {
    cli::run()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
