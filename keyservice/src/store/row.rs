//! Rows into values: a value that was never written this way is an error with its column, never a panic.

use std::fmt::Display;

use tollkeeper_contract::{Digest, Quota};

use super::{StoreError, sql::Row};
use crate::domain::{Counted, Moment};

/// The error for a column that holds what is never written.
pub(super) fn corrupt(column: &'static str, detail: impl Display) -> StoreError {
    StoreError::Corrupt { column, detail: detail.to_string() }
}

/// A number as the database keeps it.
pub(super) fn integer(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|error| corrupt("a number", error))
}

/// A text, read by the rule of its type.
pub(super) fn parsed<T, E: Display>(
    row: &Row,
    column: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(row.text(column)?).map_err(|error| corrupt(column, error))
}

/// A text that may be missing.
pub(super) fn maybe_parsed<T, E: Display>(
    row: &Row,
    column: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    row.maybe_text(column)?.map(parse).transpose().map_err(|error| corrupt(column, error))
}

/// One of a few words.
pub(super) fn word<T>(row: &Row, column: &'static str, meaning: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let text = row.text(column)?;
    meaning(text).ok_or_else(|| corrupt(column, format_args!("{text:?} is not known")))
}

/// Bytes of a fixed length.
pub(super) fn bytes<const N: usize>(row: &Row, column: &'static str) -> Result<[u8; N], StoreError> {
    row.bytes(column)?.try_into().map_err(|error| corrupt(column, error))
}

/// A digest.
pub(super) fn digest(row: &Row, column: &'static str) -> Result<Digest, StoreError> {
    bytes(row, column).map(Digest::from_bytes)
}

/// A number that is not negative.
pub(super) fn unsigned(row: &Row, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.integer(column)?).map_err(|error| corrupt(column, error))
}

/// Yes or no.
pub(super) fn flag(row: &Row, column: &'static str) -> Result<bool, StoreError> {
    match row.integer(column)? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(corrupt(column, format_args!("{other} is neither 0 nor 1"))),
    }
}

/// A time.
pub(super) fn moment(row: &Row, column: &'static str) -> Result<Moment, StoreError> {
    Moment::from_unix(unsigned(row, column)?).map_err(|error| corrupt(column, error))
}

/// A time that may be missing.
pub(super) fn maybe_moment(row: &Row, column: &'static str) -> Result<Option<Moment>, StoreError> {
    row.maybe_integer(column)?.map(|_| moment(row, column)).transpose()
}

/// A quota, or none.
pub(super) fn quota(row: &Row) -> Result<Option<Quota>, StoreError> {
    let numbers = (row.maybe_integer("quota_limit")?, row.maybe_integer("quota_window")?);
    let (Some(limit), Some(window)) = numbers else { return Ok(None) };
    let number = |value: i64| u32::try_from(value).map_err(|error| corrupt("quota_limit", error));
    Quota::new(number(limit)?, number(window)?).map(Some).map_err(|error| corrupt("quota_limit", error))
}

/// The columns of a quota.
pub(super) fn quota_columns(quota: Option<Quota>) -> (Option<u32>, Option<u32>) {
    (quota.map(|quota| quota.limit().get()), quota.map(|quota| quota.window().get()))
}

/// What was counted of a team or a key.
pub(super) fn counted(row: &Row) -> Result<Counted, StoreError> {
    Ok(Counted {
        granted: unsigned(row, "granted")?,
        limited: unsigned(row, "limited")?,
        last_used_at: maybe_moment(row, "last_used_at")?,
    })
}

/// Rows of a state and how many there are of it.
pub(super) fn counts(rows: &[Row]) -> Result<Vec<(String, u64)>, StoreError> {
    rows.iter().map(|row| Ok((row.text("state")?.to_owned(), unsigned(row, "count")?))).collect()
}
