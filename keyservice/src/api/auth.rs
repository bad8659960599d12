//! Who may call which API.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tollkeeper_contract::Digest;

use super::{App, problem::Problem};

/// Lets requests with the admin token pass.
pub(super) async fn admins_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Digests are compared, not tokens: it takes the same time wherever they differ, and however long they are.
    let right = |presented: &[u8]| Digest::of(presented) == app.tokens.admin.digest();
    match check(request.headers(), "the admin token", right) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets requests pass that show what is derived from the node token; the token itself opens nothing.
pub(super) async fn nodes_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let right = |presented: &[u8]| app.tokens.node.shows(presented);
    match check(request.headers(), "what nodes derive from the node token", right) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check(headers: &HeaderMap, name: &str, right: impl Fn(&[u8]) -> bool) -> Result<(), Problem> {
    let refused = |reason, detail| Err(Problem::new(StatusCode::UNAUTHORIZED, reason, detail));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused("missing_token", format!("send `authorization: Bearer …` with {name}, once"));
    };
    match bearer(value.as_bytes()) {
        Some(presented) if right(presented) => Ok(()),
        Some(_) => refused("wrong_token", format!("this is not {name} of this service")),
        None => refused("missing_token", format!("send `authorization: Bearer …` with {name}")),
    }
}

pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
