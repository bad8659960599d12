//! Requests that may be repeated without being carried out twice.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tollkeeper_contract::Digest;

use super::problem::Problem;
use crate::{domain::IdempotencyKey, store::Once};

const REQUEST_HEADER: &str = "idempotency-key";
const ANSWER_HEADER: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The promise that the client asks for, if it does.
pub(super) fn once(headers: &HeaderMap, operation: &'static str, request: Digest) -> Result<Option<Once>, Problem> {
    let mut values = headers.get_all(REQUEST_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::field(REQUEST_HEADER, "stands there twice"));
    }
    let key = IdempotencyKey::parse(value.as_bytes()).map_err(|rule| Problem::field(REQUEST_HEADER, rule))?;
    Ok(Some(Once { operation, key, request }))
}

/// The answer about something that this request made.
pub(super) fn made(resource: impl Serialize) -> Response {
    (StatusCode::CREATED, Json(resource)).into_response()
}

/// The answer about something that an earlier request made.
pub(super) fn replayed(resource: impl Serialize) -> Response {
    let header = [(ANSWER_HEADER, HeaderValue::from_static("true"))];
    (StatusCode::CREATED, header, Json(resource)).into_response()
}
