//! Bodies that are put together from flags.

use clap::Args;
use serde_json::{Map, Value, json};

use super::CommandError;

/// A body: only what was said is in it.
#[derive(Default)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field if it was said.
    pub(crate) fn maybe(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        self.0.extend(value.map(|value| (name.to_owned(), value.into())));
        self
    }

    /// Adds a field that an empty text clears: there is no other way to write nothing in a shell.
    pub(crate) fn clearable(self, name: &str, text: Option<String>) -> Self {
        self.maybe(name, text.map(|text| if text.is_empty() { Value::Null } else { text.into() }))
    }

    /// The body of a request that makes something.
    pub(crate) fn body(self) -> Value {
        Value::Object(self.0)
    }

    /// The body of a request that changes something; `command` says what was typed.
    pub(crate) fn change(self, command: &str) -> Result<Value, CommandError> {
        if self.0.is_empty() {
            return Err(CommandError::Usage(format!("nothing to change; see `keyservice {command} --help`")));
        }
        Ok(self.body())
    }
}

/// Requests per window.
#[derive(Args)]
pub(crate) struct Quota {
    /// Requests per window; without it, the filter's default holds.
    #[arg(long, requires = "window", value_name = "REQUESTS")]
    limit: Option<u32>,
    /// The window in seconds.
    #[arg(long, requires = "limit", value_name = "SECONDS")]
    window: Option<u32>,
}

impl Quota {
    pub(crate) fn to_json(&self) -> Option<Value> {
        let (limit, window) = self.limit.zip(self.window)?;
        Some(json!({ "limit": limit, "window_seconds": window }))
    }
}

/// A quota to be set, or given up.
#[derive(Args)]
pub(crate) struct QuotaChange {
    #[command(flatten)]
    quota: Quota,
    /// Return to the filter's default quota.
    #[arg(long, conflicts_with_all = ["limit", "window"])]
    default_quota: bool,
}

impl QuotaChange {
    pub(crate) fn to_json(&self) -> Option<Value> {
        self.quota.to_json().or(self.default_quota.then_some(Value::Null))
    }
}

/// A list that is replaced as a whole; `None` if nothing was said about it.
pub(crate) fn list(values: Vec<String>, none: bool) -> Option<Vec<String>> {
    (none || !values.is_empty()).then_some(values)
}
