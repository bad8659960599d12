//! Structured logs on standard error; standard output belongs to the commands.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Starts to write logs in `format`, those that `filter` lets through (for example `info` or `keyservice=debug`).
///
/// # Errors
/// When the filter cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("TOLLKEEPER_LOG: {filter:?} is no filter ({error}); write a level such as info, or keyservice=debug")
    })?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // It would say so on standard error, which is what cannot be written, and panic in the middle of a request.
    let logs = logs.log_internal_errors(false);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        LogFormat::Text => logs.with_ansi(false).init(),
    }
    Ok(())
}
