//! Who may call which API.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tollkeeper_contract::{Digest, page::NodeToken};

use super::{App, problem::Problem};

/// Lets requests with the admin token pass.
pub(super) async fn admins_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check(request.headers(), app.tokens.admin.digest(), "admin token") {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets requests with the node token pass.
pub(super) async fn nodes_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match check(request.headers(), digest_of(&app.tokens.node), "node token") {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn digest_of(token: &NodeToken) -> Digest {
    Digest::of(token.expose().as_bytes())
}

/// Digests are compared, not tokens: it takes the same time wherever they differ, and however long they are.
fn check(headers: &HeaderMap, expected: Digest, name: &str) -> Result<(), Problem> {
    let refused = |reason, detail| Err(Problem::new(StatusCode::UNAUTHORIZED, reason, detail));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused("missing_token", format!("send `authorization: Bearer <{name}>`, once"));
    };
    match bearer(value.as_bytes()) {
        Some(token) if Digest::of(token) == expected => Ok(()),
        Some(_) => refused("wrong_token", format!("this is not the {name} of this service")),
        None => refused("missing_token", format!("send `authorization: Bearer <{name}>`")),
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
