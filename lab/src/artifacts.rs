//! Where the built components are: named by the environment, never searched for, so that nothing stale is tested.

use std::env;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// The packed filter, as `make filter` leaves it.
///
/// # Errors
/// When `TOLLKEEPER_WASM` is not set or names no file.
pub fn filter() -> Result<PathBuf> {
    from_environment("TOLLKEEPER_WASM", "the packed filter")
}

/// The filter as a request can make it trap, for tests of what comes after; `make test` builds it.
///
/// # Errors
/// When `TOLLKEEPER_TRAPS_WASM` is not set or names no file.
pub fn filter_that_traps() -> Result<PathBuf> {
    from_environment("TOLLKEEPER_TRAPS_WASM", "the filter with the feature `traps`")
}

/// The key service's program.
///
/// # Errors
/// When `KEYSERVICE_BIN` is not set or names no file.
pub fn key_service() -> Result<PathBuf> {
    from_environment("KEYSERVICE_BIN", "the key service")
}

/// Envoy's program.
///
/// # Errors
/// When `ENVOY` is not set or names no file.
pub fn envoy() -> Result<PathBuf> {
    from_environment("ENVOY", "Envoy")
}

/// The program of Valkey's (or Redis') server.
///
/// # Errors
/// When `VALKEY_SERVER` is not set or names no file.
pub fn valkey_server() -> Result<PathBuf> {
    from_environment("VALKEY_SERVER", "Valkey's server")
}

/// What stands between a program and the C library, see [`crate::faults`]; `make test` builds it.
///
/// # Errors
/// When `TOLLKEEPER_FAULTS` is not set or names no file.
pub fn faults() -> Result<PathBuf> {
    from_environment("TOLLKEEPER_FAULTS", "the faults of a machine, as a library")
}

/// The folder of PostgreSQL's programs.
///
/// # Errors
/// When `POSTGRES_SERVER` is not set or names no file.
pub fn postgres_programs() -> Result<PathBuf> {
    let server = from_environment("POSTGRES_SERVER", "PostgreSQL's server, beside its other programs")?;
    Ok(server.parent().map(PathBuf::from).unwrap_or_default())
}

fn from_environment(variable: &str, what: &str) -> Result<PathBuf> {
    const REMEDY: &str = "`make test` and `make run` build everything and set it; \
        `eval \"$(make -s env)\"` sets it in your shell";
    let Some(path) = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from) else {
        bail!("{variable} is not set: it names the file of {what}. {REMEDY}");
    };
    if !path.is_file() {
        bail!("{variable}={}: there is no such file, it should be {what}. {REMEDY}", path.display());
    }
    // Components start in directories of their own.
    Ok(path.canonicalize()?)
}
