//! Refusals as OAuth clients read them (RFC 6749 section 5.2).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::api::{login::Told, problem::Problem};

/// What is wrong, in the words of RFC 6749 section 5.2 and, for what is not the client's doing, section 4.1.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OauthError {
    InvalidRequest,
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    /// RFC 6750 section 3.1.
    InvalidToken,
    TemporarilyUnavailable,
    ServerError,
}

impl OauthError {
    fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest | Self::UnauthorizedClient | Self::UnsupportedGrantType | Self::InvalidScope => {
                StatusCode::BAD_REQUEST
            }
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An answer that says what is wrong.
#[derive(Debug)]
pub(in crate::api) struct OauthRefusal {
    error: OauthError,
    status: StatusCode,
    /// The stable word of the service, where it says more.
    reason: Option<&'static str>,
    description: String,
    retry_after: Option<u64>,
}

impl OauthRefusal {
    pub(super) fn new(error: OauthError, description: impl Into<String>) -> Self {
        Self { error, status: error.status(), reason: None, description: description.into(), retry_after: None }
    }

    /// What other endpoints would tell as a problem, such as a body that did not arrive.
    pub(super) fn of_problem(problem: &Problem) -> Self {
        let error = match problem.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => OauthError::TemporarilyUnavailable,
            status if status.is_server_error() => OauthError::ServerError,
            _ => OauthError::InvalidRequest,
        };
        let (status, reason, retry_after) = (problem.status(), Some(problem.reason()), problem.wait());
        Self { status, reason, retry_after, ..Self::new(error, problem.detail()) }
    }

    /// A login that led to nothing.
    pub(super) fn of_login(told: Told) -> Self {
        let error = match (told.status, told.reason) {
            (_, "invalid_scope") => OauthError::InvalidScope,
            (StatusCode::UNAUTHORIZED, _) => OauthError::InvalidClient,
            (StatusCode::FORBIDDEN, _) => OauthError::UnauthorizedClient,
            (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => OauthError::TemporarilyUnavailable,
            (StatusCode::BAD_REQUEST, _) => OauthError::InvalidRequest,
            _ => OauthError::ServerError,
        };
        let status = match told.status {
            StatusCode::TOO_MANY_REQUESTS => told.status,
            _ => error.status(),
        };
        let (reason, retry_after) = (Some(told.reason), told.retry_after);
        Self { status, reason, retry_after, ..Self::new(error, told.detail) }
    }
}

impl IntoResponse for OauthRefusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "error": self.error.word(), "error_description": ascii(&self.description) });
        if let (Some(reason), Some(members)) = (self.reason, body.as_object_mut()) {
            members.insert("reason".to_owned(), reason.into());
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        let challenge = match self.error {
            OauthError::InvalidClient => Some("Basic realm=\"keyservice\", charset=\"UTF-8\""),
            OauthError::InvalidToken => Some("Bearer realm=\"keyservice\", error=\"invalid_token\""),
            OauthError::InvalidRequest
            | OauthError::UnauthorizedClient
            | OauthError::UnsupportedGrantType
            | OauthError::InvalidScope
            | OauthError::TemporarilyUnavailable
            | OauthError::ServerError => None,
        };
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// RFC 6749 section 5.2 allows printable ASCII without `"` and `\` in a description.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) && c != '"' && c != '\\' { c } else { '\'' }).collect()
}
