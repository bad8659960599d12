//! Rows into values: a value that was never written this way is an error with its column, never a panic.

use std::fmt::Display;

use sqlx::{Row, sqlite::SqliteRow};
use tollkeeper_contract::Quota;

use super::StoreError;
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
    row: &SqliteRow,
    column: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(row.try_get(column)?).map_err(|error| corrupt(column, error))
}

/// A text that may be missing.
pub(super) fn maybe_parsed<T, E: Display>(
    row: &SqliteRow,
    column: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    text.map(parse).transpose().map_err(|error| corrupt(column, error))
}

/// One of a few words.
pub(super) fn word<T>(
    row: &SqliteRow,
    column: &'static str,
    meaning: impl Fn(&str) -> Option<T>,
) -> Result<T, StoreError> {
    let text: &str = row.try_get(column)?;
    meaning(text).ok_or_else(|| corrupt(column, format_args!("{text:?} is not known")))
}

/// Bytes of a fixed length.
pub(super) fn bytes<const N: usize>(row: &SqliteRow, column: &'static str) -> Result<[u8; N], StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error| corrupt(column, error))
}

/// A number that is not negative.
pub(super) fn unsigned(row: &SqliteRow, column: &'static str) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|error| corrupt(column, error))
}

/// A time.
pub(super) fn moment(row: &SqliteRow, column: &'static str) -> Result<Moment, StoreError> {
    Moment::from_unix(unsigned(row, column)?).map_err(|error| corrupt(column, error))
}

/// A time that may be missing.
pub(super) fn maybe_moment(row: &SqliteRow, column: &'static str) -> Result<Option<Moment>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|_| moment(row, column)).transpose()
}

/// A quota, or none.
pub(super) fn quota(row: &SqliteRow) -> Result<Option<Quota>, StoreError> {
    let numbers: (Option<u32>, Option<u32>) = (row.try_get("quota_limit")?, row.try_get("quota_window")?);
    let (Some(limit), Some(window)) = numbers else { return Ok(None) };
    Quota::new(limit, window).map(Some).map_err(|error| corrupt("quota_limit", error))
}

/// What was counted of a team or a key.
pub(super) fn counted(row: &SqliteRow) -> Result<Counted, StoreError> {
    Ok(Counted {
        granted: unsigned(row, "granted")?,
        limited: unsigned(row, "limited")?,
        last_used_at: maybe_moment(row, "last_used_at")?,
    })
}

/// Rows of a state and how many there are of it.
pub(super) fn counts(rows: &[SqliteRow]) -> Result<Vec<(String, u64)>, StoreError> {
    rows.iter().map(|row| Ok((row.try_get("state")?, unsigned(row, "count")?))).collect()
}
