//! Bodies: bounded in length and time, JSON only, unknown fields refused, mistakes told with their field.

use std::{fmt, marker::PhantomData, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::BodyExt;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tollkeeper_contract::Digest;

use super::problem::Problem;
use crate::domain::Patch;

/// The longest body of the admin API, in bytes.
pub(super) const ADMIN_LIMIT: usize = 64 * 1024;

/// How much of a body that is too long is read to its end, in bytes.
const DISCARDED: usize = 1024 * 1024;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body of up to `LIMIT` bytes that was read.
pub(super) struct Sent<T, const LIMIT: usize = ADMIN_LIMIT> {
    /// What it says.
    pub(super) value: T,
    /// The digest of its bytes.
    pub(super) digest: Digest,
}

impl<S: Send + Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Sent<T, LIMIT> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let typed = require_json(request.headers());
        let bytes = read(request, LIMIT).await?;
        typed?;
        Ok(Self { value: parse(&bytes)?, digest: Digest::of(&bytes) })
    }
}

/// A body that may be left out.
pub(super) struct MaybeSent<T>(pub(super) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for MaybeSent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let typed = require_json(request.headers());
        let bytes = read(request, ADMIN_LIMIT).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        typed?;
        parse(&bytes).map(Some).map(Self)
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "send JSON with `content-type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail).at("content-type"))
}

pub(super) async fn read(request: Request, limit: usize) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        let detail = format!("a body has at most {limit} bytes here");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).at("body")
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > limit.saturating_add(DISCARDED)) {
        return Err(too_large());
    }
    let Ok(read) = tokio::time::timeout(PATIENCE, collect(request.into_body(), limit)).await else {
        let detail = format!("the body did not arrive within {} seconds", PATIENCE.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail).at("body"));
    };
    match read {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(too_large()),
        Err(_) => {
            Err(Problem::new(StatusCode::BAD_REQUEST, "body_broken_off", "the body did not arrive whole").at("body"))
        }
    }
}

/// A body of up to `limit` bytes; `None` for a longer one.
///
/// What is too long is read a little further, and thrown away: if the connection was closed while the client still
/// sends, the client would see a broken connection instead of the answer.
async fn collect(mut body: Body, limit: usize) -> Result<Option<Vec<u8>>, axum::Error> {
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > limit.saturating_add(DISCARDED) {
            return Ok(None);
        }
        if length <= limit {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((length <= limit).then_some(bytes))
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: Object<T> = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = shortened(&error.path().to_string());
        let inner = error.into_inner();
        if let Some(name) = repeated(&inner) {
            let place = if path == "." { name } else { format!("{path}.{name}") };
            return Problem::field(place, "stands there twice");
        }
        if inner.is_data() && path != "." {
            return Problem::field(path, shortened(&inner.to_string()));
        }
        let problem = invalid_json(&inner);
        if path == "." { problem } else { problem.at(path) }
    })?;
    deserializer.end().map_err(|error| invalid_json(&error))?;
    Ok(value.0)
}

/// The field that stands in its object twice; the path of such a mistake is that of the object.
fn repeated(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let (name, _) = text.strip_prefix("duplicate field `")?.split_once('`')?;
    Some(name.to_owned())
}

/// A text in which a client's own words stand, such as the name of an unknown field, and so may be of any length.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

fn invalid_json(error: &serde_json::Error) -> Problem {
    let detail = format!("the body is not the JSON that is expected: {error}");
    Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail).at("body")
}

/// A JSON object: derived readers would also take an array of the fields in their order.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Tells a field that is null (clear it) from one that is absent (keep it).
pub(super) fn patch<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Patch<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.map_or(Patch::Clear, Patch::Set))
}

/// Reads the value of a field by the rule of its type.
pub(super) fn field<T, E: fmt::Display>(name: &str, parsed: Result<T, E>) -> Result<T, Problem> {
    parsed.map_err(|rule| Problem::field(name, rule))
}

/// Reads the new value of a field that may be cleared.
pub(super) fn clearable<T, U, E: fmt::Display>(
    name: &str,
    patch: Patch<T>,
    parse: impl FnOnce(T) -> Result<U, E>,
) -> Result<Patch<U>, Problem> {
    match patch {
        Patch::Keep => Ok(Patch::Keep),
        Patch::Clear => Ok(Patch::Clear),
        Patch::Set(value) => field(name, parse(value)).map(Patch::Set),
    }
}

/// Reads the new value of a field that always has one.
pub(super) fn settable<T, U, E: fmt::Display>(
    name: &str,
    patch: Patch<T>,
    parse: impl FnOnce(T) -> Result<U, E>,
) -> Result<Option<U>, Problem> {
    match patch {
        Patch::Keep => Ok(None),
        Patch::Clear => Err(Problem::field(name, "must not be null; leave it out to keep it as it is")),
        Patch::Set(value) => field(name, parse(value)).map(Some),
    }
}
