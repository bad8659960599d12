//! Where the books of quotas are kept: in the service's memory, or in Valkey.

use std::{fmt, str::FromStr};

use redis::{ConnectionInfo, IntoConnectionInfo};

/// Where books are kept. It is printed without user and password.
#[derive(Clone, Default)]
pub enum Place {
    /// In the memory of this service, which must be the only one.
    #[default]
    Memory,
    /// In a Valkey or Redis, for any number of services.
    Valkey(Box<ConnectionInfo>),
}

/// A text that names no place. It never repeats the text, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlace {
    /// Another word or scheme.
    #[error("quotas are kept in `memory`, or in redis://USER:PASSWORD@HOST:PORT/DATABASE (or valkey://…)")]
    Scheme,
    /// Not a URL of Valkey.
    #[error(
        "this is no URL of Valkey; write redis://USER:PASSWORD@HOST:PORT/DATABASE, with reserved characters in user and \
         password percent-encoded"
    )]
    Url,
    /// TLS.
    #[error("connections with TLS are not built in; put a TLS proxy such as stunnel in between, and write redis://…")]
    Tls,
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        match text.split_once("://").map(|(scheme, _)| scheme) {
            None if text == "memory" => Ok(Self::Memory),
            Some("redis" | "valkey") => {
                let info = text.into_connection_info().map_err(|_| InvalidPlace::Url)?;
                Ok(Self::Valkey(Box::new(info)))
            }
            Some("rediss" | "valkeys") => Err(InvalidPlace::Tls),
            _ => Err(InvalidPlace::Scheme),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Valkey(info) => write!(f, "redis://{}/{}", info.addr(), info.redis_settings().db()),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidPlace, Place};

    #[test]
    fn a_place_is_read_and_shown_without_its_password() {
        let shown = |text: &str| text.parse::<Place>().map(|place| format!("{place} {place:?}"));
        assert_eq!(shown("memory").unwrap(), "memory Place(memory)");
        let place = "redis://127.0.0.1:6379/2";
        assert_eq!(shown("valkey://me:hunter2@127.0.0.1/2").unwrap(), format!("{place} Place({place})"));
        for (text, wrong) in [
            ("", InvalidPlace::Scheme),
            ("Memory", InvalidPlace::Scheme),
            ("http://127.0.0.1", InvalidPlace::Scheme),
            ("redis://", InvalidPlace::Url),
            ("redis://:hunter2@127.0.0.1:99999", InvalidPlace::Url),
            ("rediss://127.0.0.1", InvalidPlace::Tls),
        ] {
            assert_eq!(text.parse::<Place>().unwrap_err(), wrong, "{text}");
            assert!(!wrong.to_string().contains("hunter2"));
        }
    }
}
