//! What commands write: tidy text for people, JSON for programs.

use std::{
    fmt::Display,
    io::{self, Write},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::api::wire::QuotaView;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Text,
    Json,
}

/// Writes lines to standard output; a reader that has seen enough is no error.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes an answer as JSON.
pub(crate) fn write_json(answer: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(answer)?;
    write(&format!("{text}\n"))
}

/// Writes what went wrong to standard error.
pub(crate) fn complain(error: &impl Display) {
    // Nobody is left to tell when this fails too.
    let _ = writeln!(io::stderr(), "keyservice: {error}");
}

/// Writes what went wrong to standard error, as a problem (RFC 9457).
pub(crate) fn complain_json(problem: &Value) {
    let _ = writeln!(io::stderr(), "{problem}");
}

/// A problem of the command's own, which no service has answered.
pub(crate) fn problem(reason: &str, detail: &str) -> Value {
    json!({ "type": "about:blank", "title": "Command failed", "detail": detail, "reason": reason })
}

/// A table with a head, its columns aligned and parted by two spaces.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<_> = head.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| -> String {
        let padded: Vec<_> = cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let head = line(head.to_vec());
    rows.iter().fold(head, |text, row| text + &line(row.iter().map(String::as_str).collect()))
}

/// Names and values, one pair a line; pairs without a value are left out.
pub(crate) fn pairs(pairs: &[(&str, Option<String>)]) -> String {
    let there: Vec<_> = pairs.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))).collect();
    let width = there.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    there.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// A quota, for people.
pub(crate) fn quota(quota: Option<QuotaView>) -> String {
    quota.map_or("default".to_owned(), |quota| format!("{} per {} s", quota.limit, quota.window_seconds))
}

/// A value that may be missing, for a table.
pub(crate) fn or_dash(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{pairs, table};

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_spaces() {
        let rows = [vec!["acme".into(), "Größe".into()], vec!["a-longer-id".into(), String::new()]];
        assert_eq!(table(&["ID", "NAME"], &rows), "ID           NAME\nacme         Größe\na-longer-id\n");
    }

    #[test]
    fn pairs_without_a_value_are_left_out() {
        assert_eq!(pairs(&[("id", Some("acme".into())), ("expires", None)]), "id  acme\n");
    }
}
