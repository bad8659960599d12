//! Which database: a SQLite file, or one on a PostgreSQL server.

use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Which database. It is printed without user and password.
#[derive(Clone)]
pub enum Database {
    /// The SQLite file of that path.
    Sqlite(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(Box<PgConnectOptions>),
}

/// A text that names no database. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabase {
    /// Another scheme.
    #[error("a database is the path of a SQLite file, or postgres://USER:PASSWORD@HOST:PORT/NAME")]
    Scheme,
    /// Not a URL of PostgreSQL.
    #[error(
        "this is no URL of PostgreSQL; write postgres://USER:PASSWORD@HOST:PORT/NAME, with reserved characters in \
         user and password percent-encoded"
    )]
    Url,
    /// No name of a database.
    #[error("the URL names no database; write it behind the last slash: postgres://USER:PASSWORD@HOST:PORT/NAME")]
    NoName,
}

impl Database {
    /// Reads `postgres://…`, `postgresql://…`, or a path.
    ///
    /// # Errors
    /// When it is another URL, or one that PostgreSQL does not have.
    pub fn parse(text: &str) -> Result<Self, InvalidDatabase> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            // A path may have `//` in it, but a URL of something else must not become a file of that name.
            let is_url = text.split_once("://").is_some_and(|(scheme, _)| !scheme.contains('/'));
            return if is_url || text.is_empty() {
                Err(InvalidDatabase::Scheme)
            } else {
                Ok(Self::Sqlite(text.into()))
            };
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| InvalidDatabase::Url)?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(InvalidDatabase::NoName);
        }
        Ok(Self::Postgres(Box::new(options)))
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
            Self::Postgres(options) => {
                let place = options.get_socket().map_or_else(
                    || format!("{}:{}", options.get_host(), options.get_port()),
                    |folder| folder.display().to_string(),
                );
                write!(f, "postgres://{place}/{}", options.get_database().unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Database, InvalidDatabase};

    #[test]
    fn a_path_is_a_file() {
        for path in ["tollkeeper.db", "/var/lib/tollkeeper//keys.db", "./a:b"] {
            assert_eq!(Database::parse(path).unwrap().to_string(), path);
        }
    }

    #[test]
    fn a_url_is_printed_without_user_and_password() {
        let database = Database::parse("postgres://keeper:sesame%21@db.internal:5433/tollkeeper?sslmode=disable");
        let database = database.unwrap();
        assert_eq!(database.to_string(), "postgres://db.internal:5433/tollkeeper");
        assert_eq!(format!("{database:?}"), "Database(postgres://db.internal:5433/tollkeeper)");
    }

    #[test]
    fn what_is_neither_is_refused_without_repeating_it() {
        let cases = [
            ("", InvalidDatabase::Scheme),
            ("mysql://keeper:sesame@db/x", InvalidDatabase::Scheme),
            ("postgres://keeper:sesame@db:port/x", InvalidDatabase::Url),
            ("postgres://keeper:sesame@db", InvalidDatabase::NoName),
            ("postgresql://keeper:sesame@db/", InvalidDatabase::NoName),
        ];
        for (text, why) in cases {
            let error = Database::parse(text).unwrap_err();
            assert_eq!(error, why, "{text}");
            assert!(!error.to_string().contains("sesame"));
        }
    }
}
