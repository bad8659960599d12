//! Structured logs on standard error; standard output belongs to the commands.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::settings::LogFormat;

/// Starts to write logs in `format`, those that `filter` lets through (for example `info` or `keyservice=debug`).
///
/// # Errors
/// When the filter cannot be read.
pub fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter = read(filter)?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // It would say so on standard error, which is what cannot be written, and panic in the middle of a request.
    let logs = logs.log_internal_errors(false);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
        LogFormat::Text => logs.with_ansi(false).init(),
    }
    Ok(())
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    let advice = "write a level (off, error, warn, info, debug, trace), or keyservice=debug";
    // A lone word that is no level is read as the name of a module, which turns everything else off.
    let lone = |part: &&str| !part.is_empty() && !part.contains(['=', '[']) && part.parse::<LevelFilter>().is_err();
    if let Some(word) = filter.split(',').map(str::trim).find(lone) {
        return Err(format!("TOLLKEEPER_LOG: {word:?} is no level; {advice}"));
    }
    EnvFilter::try_new(filter).map_err(|error| format!("TOLLKEEPER_LOG: {filter:?} is no filter ({error}); {advice}"))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn levels_and_filters_are_taken() {
        for filter in ["info", "OFF", "info,keyservice=debug", "warn,sqlx=trace"] {
            assert!(read(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_instead_of_silencing_the_log() {
        for filter in ["banana", "info,banana", "keyservice", "inf"] {
            let error = read(filter).unwrap_err();
            assert!(error.starts_with("TOLLKEEPER_LOG: ") && error.contains("is no level; write a level"), "{error}");
        }
    }
}
