//! `keyservice keys export`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Filter;
use crate::{
    api::wire::KeyView,
    cli::{
        CommandError, Target, output,
        thing::{Pages, Thing},
    },
};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a head.
    Csv,
}

#[derive(Args)]
pub(crate) struct Export {
    /// How lines look.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    #[command(flatten)]
    filter: Filter,
}

/// The columns of CSV; lists are parted by spaces, and null is empty.
const COLUMNS: [&str; 21] = [
    "id",
    "kind",
    "team",
    "enterprise",
    "service_account",
    "user",
    "name",
    "subject",
    "scopes",
    "state",
    "not_before",
    "expires",
    "origin",
    "created_at",
    "revoked_at",
    "revoke_reason",
    "compromised",
    "superseded_by",
    "granted",
    "limited",
    "last_used_at",
];

pub(super) async fn run(args: Export, target: &Target) -> Result<(), CommandError> {
    let client = target.client()?;
    let filters = args.filter.filters();
    let mut pages = Pages::new(&client, KeyView::PATH, &filters);
    if args.format == Format::Csv {
        output::write(&csv_lines(&[COLUMNS.map(str::to_owned).to_vec()])?)?;
    }
    // Each page is written before the next is read: the export of a large table needs no memory of that size.
    while let Some(keys) = pages.next(KeyView::LIST).await? {
        let lines = match args.format {
            Format::Jsonl => keys.iter().map(|key| format!("{key}\n")).collect(),
            Format::Csv => csv_lines(&keys.iter().map(cells).collect::<Vec<_>>())?,
        };
        output::write(&lines)?;
    }
    Ok(())
}

fn cells(key: &Value) -> Vec<String> {
    COLUMNS.iter().map(|column| cell(key.get(column).unwrap_or(&Value::Null))).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

fn csv_lines(rows: &[Vec<String>]) -> Result<String, CommandError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).map_err(std::io::Error::other)?;
    }
    let bytes = writer.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| std::io::Error::other(error).into())
}
