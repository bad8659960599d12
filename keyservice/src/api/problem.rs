//! Every refusal and failure as `application/problem+json` (RFC 9457) with a stable reason word.

use std::fmt::Display;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::store::{Behind, StoreError};

/// An answer that says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    reason: &'static str,
    detail: String,
    field: Option<String>,
    retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        Self { status, reason, detail: detail.into(), field: None, retry_after: None }
    }

    /// A field of the body, a parameter of the query, or a header that breaks a rule.
    pub(super) fn field(field: impl Into<String>, rule: impl Display) -> Self {
        let field = field.into();
        let detail = format!("{field}: {rule}");
        Self { field: Some(field), ..Self::new(StatusCode::BAD_REQUEST, "invalid_field", detail) }
    }

    /// The longest that a client's own words make it.
    pub(super) fn assert_is_told_to_a_client(&self) {
        assert!(self.status.is_client_error(), "{self:?}");
        assert!(self.detail.len() < 2_000 && self.field.as_ref().is_none_or(|field| field.len() < 2_000), "{self:?}");
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this path")
    }

    pub(super) fn wrong_method() -> Self {
        let detail = "this path does not have that method; the header `allow` names those it has";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// The system gives no random bytes.
    pub(super) fn no_randomness(error: &impl Display) -> Self {
        tracing::error!(%error, "the system gives no randomness");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no_randomness", "the system gives no randomness")
    }

    /// The same problem, pointing at the field that causes it.
    pub(super) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same problem, in one of several things in a body.
    pub(super) fn within(self, place: &str) -> Self {
        let field = self.field.map_or_else(|| place.to_owned(), |field| format!("{place}.{field}"));
        Self { field: Some(field), detail: format!("{place}: {}", self.detail), ..self }
    }

    /// The same problem, with the time after which to try again, in seconds.
    pub(super) fn retry_after(self, seconds: Option<u64>) -> Self {
        Self { retry_after: seconds.or(self.retry_after), ..self }
    }

    /// The time after which to try again, if it was told, in seconds.
    pub(super) fn wait(&self) -> Option<u64> {
        self.retry_after
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn reason(&self) -> &'static str {
        self.reason
    }

    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The same problem under another status.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "reason": self.reason,
        });
        if let (Some(field), Some(members)) = (self.field, body.as_object_mut()) {
            members.insert("field".to_owned(), field.into());
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyservice\""));
        }
        let soon = (self.status == StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        if let Some(seconds) = self.retry_after.or(soon) {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_passing() {
            tracing::warn!(%error, "the database is busy or out of reach");
            let detail = "the database is busy or out of reach, or the service is ending; try again";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_busy", detail);
        }
        tracing::error!(%error, "the database failed");
        let detail = "the database failed; the service's log says how";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "storage_failed", detail)
    }
}

impl From<Behind> for Problem {
    fn from(behind: Behind) -> Self {
        match behind {
            Behind::Forgotten { history_from } => {
                let detail = format!("changes are known behind revision {history_from} only; take a snapshot");
                Self::new(StatusCode::GONE, "history_forgotten", detail).at("after")
            }
            Behind::NotReached { revision } => {
                let detail = format!(
                    "this database has only come to revision {revision}: it is an older copy, or another one; the node \
                     keeps the keys that it has; after a restore, restart the Envoys"
                );
                Self::new(StatusCode::CONFLICT, "revision_not_reached", detail).at("after")
            }
        }
    }
}
