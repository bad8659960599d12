//! One statement on either database: SQLite or PostgreSQL.
//!
//! Statements are written once, with `$1`, `$2`, … for their values. What keeps them the same on both: whole numbers
//! are always `i64` (PostgreSQL's BIGINT, also for 0 and 1; a sum of them would be NUMERIC and has to be cast), times
//! are Unix seconds, `excluded` names the row that an upsert could not insert. [`Connection::either`] is for the few
//! statements that differ.

use std::{borrow::Cow, fmt::Write};

use sqlx::{
    AssertSqlSafe, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, postgres::PgRow, sqlite::SqliteRow,
};
use tollkeeper_contract::Digest;

use super::StoreError;
use crate::domain::Moment;

/// Connections to one database.
#[derive(Clone)]
pub(super) enum Pool {
    /// To a SQLite file.
    Sqlite(SqlitePool),
    /// To a PostgreSQL server.
    Postgres(PgPool),
}

impl Pool {
    /// A transaction that may write; who begins second waits until the first one has ended.
    pub(super) async fn begin_writing(&self) -> Result<Connection, StoreError> {
        match self {
            Self::Sqlite(pool) => Ok(Connection::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Self::Postgres(pool) => {
                // Not the database's default: after the wait for the lock, what others have committed must be seen.
                let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
                // From here to the end of the transaction nobody else writes, on whichever instance.
                sqlx::query("SELECT revision FROM service FOR UPDATE").execute(&mut *tx).await?;
                Ok(Connection::Postgres(tx))
            }
        }
    }

    /// A transaction that sees one state of the database from its first statement to its last.
    pub(super) async fn begin_reading(&self) -> Result<Connection, StoreError> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match self {
            Self::Sqlite(pool) => Ok(Connection::Sqlite(pool.begin().await?)),
            Self::Postgres(pool) => Ok(Connection::Postgres(pool.begin_with(SNAPSHOT).await?)),
        }
    }

    /// Ends every connection once nobody uses it.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A transaction on either database; dropped without a commit, it leaves nothing behind.
pub enum Connection {
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

impl Connection {
    /// Makes what was written visible to others.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// The text for this database, where the two cannot be the same.
    pub(super) fn either(&self, sqlite: &'static str, postgres: &'static str) -> Statement {
        sql(match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        })
    }
}

/// A value for a place in a statement.
#[derive(Clone)]
pub(super) enum Value {
    Integer(i64),
    MaybeInteger(Option<i64>),
    Text(String),
    MaybeText(Option<String>),
    Bytes(Vec<u8>),
    MaybeBytes(Option<Vec<u8>>),
}

/// A statement with its values.
pub(super) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

/// A statement. What comes from outside is never part of the text, always a value.
pub(super) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

/// The query for either database, with its values.
macro_rules! query {
    ($statement:ident) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement.text));
        for value in $statement.values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::MaybeInteger(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::MaybeText(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
                Value::MaybeBytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Statement {
    /// The next value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The statement with more text before it, which holds no places for values.
    pub(super) fn behind(mut self, text: &str) -> Self {
        self.text.to_mut().insert_str(0, text);
        self
    }

    /// The statement with more text behind it.
    pub(super) fn then(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// The statement with more text and a value behind it: `then_with(" AND team = ", team)`.
    pub(super) fn then_with(mut self, text: &str, value: impl Into<Value>) -> Self {
        let place = self.values.len() + 1;
        // Writing into a string cannot fail.
        let _ = write!(self.text.to_mut(), "{text}${place}");
        self.bind(value)
    }

    /// The same, if there is a value; else the statement as it is.
    pub(super) fn then_with_some(self, text: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.then_with(text, value),
            None => self,
        }
    }

    /// Runs it, and says how many rows it touched.
    pub(super) async fn execute(self, on: &mut Connection) -> Result<u64, StoreError> {
        Ok(match on {
            Connection::Sqlite(tx) => query!(self).execute(&mut **tx).await?.rows_affected(),
            Connection::Postgres(tx) => query!(self).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// All rows.
    pub(super) async fn fetch_all(self, on: &mut Connection) -> Result<Vec<Row>, StoreError> {
        Ok(match on {
            Connection::Sqlite(tx) => query!(self).fetch_all(&mut **tx).await?.into_iter().map(Row::Sqlite).collect(),
            Connection::Postgres(tx) => {
                query!(self).fetch_all(&mut **tx).await?.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row, if there is one.
    pub(super) async fn fetch_optional(self, on: &mut Connection) -> Result<Option<Row>, StoreError> {
        Ok(match on {
            Connection::Sqlite(tx) => query!(self).fetch_optional(&mut **tx).await?.map(Row::Sqlite),
            Connection::Postgres(tx) => query!(self).fetch_optional(&mut **tx).await?.map(Row::Postgres),
        })
    }

    /// The first row.
    pub(super) async fn fetch_one(self, on: &mut Connection) -> Result<Row, StoreError> {
        Ok(match on {
            Connection::Sqlite(tx) => Row::Sqlite(query!(self).fetch_one(&mut **tx).await?),
            Connection::Postgres(tx) => Row::Postgres(query!(self).fetch_one(&mut **tx).await?),
        })
    }
}

/// A row of either database. `row.rs` turns its columns into the types of the domain.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! column {
    ($(#[$doc:meta])* $name:ident, $type:ty) => {
        $(#[$doc])*
        pub(super) fn $name(&self, column: &'static str) -> Result<$type, StoreError> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        }
    };
}

impl Row {
    column!(
        /// A whole number.
        integer, i64
    );
    column!(
        /// A whole number, or NULL.
        maybe_integer, Option<i64>
    );
    column!(
        /// A text.
        text, &str
    );
    column!(
        /// A text, or NULL.
        maybe_text, Option<&str>
    );
    column!(
        /// Bytes.
        bytes, &[u8]
    );
    column!(
        /// Bytes, or NULL.
        maybe_bytes, Option<&[u8]>
    );
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $into:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })*
    };
}

value_from! {
    i64 => |value| Self::Integer(value);
    u32 => |value| Self::Integer(value.into());
    bool => |value| Self::Integer(value.into());
    Moment => |value| Self::Integer(seconds(value));
    Option<i64> => |value| Self::MaybeInteger(value);
    Option<u32> => |value| Self::MaybeInteger(value.map(i64::from));
    Option<Moment> => |value| Self::MaybeInteger(value.map(seconds));
    &str => |value| Self::Text(value.to_owned());
    String => |value| Self::Text(value);
    Option<&str> => |value| Self::MaybeText(value.map(str::to_owned));
    Option<String> => |value| Self::MaybeText(value);
    &[u8] => |value| Self::Bytes(value.to_vec());
    &Digest => |value| Self::Bytes(value.as_bytes().to_vec());
    Option<&Digest> => |value| Self::MaybeBytes(value.map(|digest| digest.as_bytes().to_vec()));
    Vec<u8> => |value| Self::Bytes(value);
    Option<&[u8]> => |value| Self::MaybeBytes(value.map(<[u8]>::to_vec));
    Option<Vec<u8>> => |value| Self::MaybeBytes(value);
}

/// Every moment is long before the greatest `i64`.
fn seconds(moment: Moment) -> i64 {
    i64::try_from(moment.unix()).unwrap_or(i64::MAX)
}
