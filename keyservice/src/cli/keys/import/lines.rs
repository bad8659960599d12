//! The lines of a file as keys for `POST /v1/keys/import`.

use serde_json::{Map, Value, json};

use super::super::export::Format;
use crate::cli::CommandError;

/// A key to be imported.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Its line in the file, from 1.
    pub(super) number: u64,
    /// The key as the admin API takes it.
    pub(super) key: Value,
}

/// The columns of CSV that stand for a field of the same name.
const TEXTS: [&str; 11] =
    ["digest", "id", "kind", "team", "service_account", "user", "name", "subject", "state", "not_before", "expires"];

/// Reads all lines; empty ones do not count.
pub(super) fn read(format: Format, text: &str) -> Result<Vec<Line>, CommandError> {
    match format {
        Format::Jsonl => json_lines(text),
        Format::Csv => csv_lines(text),
    }
}

fn json_lines(text: &str) -> Result<Vec<Line>, CommandError> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line): (u64, &str)| match serde_json::from_str(line) {
        Ok(key @ Value::Object(_)) => Ok(Line { number, key }),
        Ok(_) => Err(CommandError::Usage(format!("line {number} is not a JSON object"))),
        Err(error) => Err(CommandError::Usage(format!("line {number} is not JSON: {error}"))),
    };
    lines.map(read).collect()
}

fn csv_lines(text: &str) -> Result<Vec<Line>, CommandError> {
    let wrong = |error: csv::Error| CommandError::Usage(format!("this is not CSV: {error}"));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let head = reader.headers().map_err(wrong)?.clone();
    for column in &head {
        if !TEXTS.contains(&column) && !["scopes", "domain", "webhook_url"].contains(&column) {
            let known = TEXTS.join(", ");
            return Err(CommandError::Usage(format!(
                "there is no column {column:?}; there are {known}, scopes, domain, webhook_url"
            )));
        }
    }
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(wrong)?;
        let number = record.position().map_or(0, |place| line_behind(text, place));
        lines.push(Line { number, key: key(head.iter().zip(&record)) });
    }
    Ok(lines)
}

/// The line of the record that is read from `place`: the reader goes over empty lines without counting them.
fn line_behind(text: &str, place: &csv::Position) -> u64 {
    let rest = usize::try_from(place.byte()).ok().and_then(|start| text.as_bytes().get(start..)).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n');
    ends.fold(place.line(), |line, _| line + 1)
}

/// A cell that is empty is a field that is left out; scopes are parted by spaces, and `-` is an empty list of them.
fn key<'a>(cells: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    let mut key = Map::new();
    for (column, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
        let (field, value) = match column {
            "scopes" if cell == "-" => ("scopes", json!([])),
            "scopes" => ("scopes", cell.split_whitespace().collect()),
            "domain" | "webhook_url" => ("origin", json!({ column: cell })),
            _ => (column, cell.into()),
        };
        key.insert(field.to_owned(), value);
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use super::{super::super::export::Format, read};
    use serde_json::json;

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let csv =
            "digest,team,scopes,domain,expires\nab,acme,read write,a.example,\n\ncd,acme,-,,2030-01-31T12:00:00Z\n";
        let json = "{\"digest\":\"ab\",\"team\":\"acme\",\"scopes\":[\"read\",\"write\"],\"origin\":{\"domain\":\"a.example\"}}\n\n\
                    {\"digest\":\"cd\",\"team\":\"acme\",\"scopes\":[],\"expires\":\"2030-01-31T12:00:00Z\"}\n";
        let (csv, json) = (read(Format::Csv, csv).unwrap(), read(Format::Jsonl, json).unwrap());
        let keys = |lines: &[super::Line]| lines.iter().map(|line| line.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&csv), keys(&json));
        assert_eq!(csv.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(json.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(json[0].key["scopes"], json!(["read", "write"]));
    }

    #[test]
    fn what_is_no_line_is_told_with_its_number() {
        for (format, text, expected) in [
            (Format::Jsonl, "{}\n[]\n", "line 2 is not a JSON object"),
            (Format::Jsonl, "{}\n\n{\n", "line 3 is not JSON"),
            (Format::Csv, "digest,colour\n", "no column \"colour\""),
            (Format::Csv, "digest,team\nab\n", "line: 2"),
        ] {
            let error = read(format, text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
