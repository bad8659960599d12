//! Who may call which API, and what they may do there.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tollkeeper_contract::page::NodeToken;

use super::{App, problem::Problem, source::Source};
use crate::{
    domain::{Badge, Role},
    guesses::Unopened,
};

/// What only the highest role may do: make the keys that sign everybody's tokens, and take over keys of another system.
const ADMINS_ALONE: [(Method, &str); 2] = [(Method::POST, "/v1/token-keys"), (Method::POST, "/v1/keys/import")];

/// The node token whose holder asks: answers are sealed under that one.
pub(super) struct Asking(pub(super) NodeToken);

/// The role that a request to the admin API takes.
pub(super) fn needed(method: &Method, route: &str) -> Role {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Role::Viewer;
    }
    let is_admins = ADMINS_ALONE.iter().any(|(known, path)| known == method && *path == route);
    if is_admins { Role::Admin } else { Role::Operator }
}

/// Lets requests pass with a token whose role may do what they ask for.
pub(super) async fn by_role(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match badge(&app, &mut parts).await {
        Ok(badge) => {
            parts.extensions.insert(badge);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn badge(app: &Arc<App>, parts: &mut Parts) -> Result<Badge, Problem> {
    let Source(source) = Source::from_request_parts(parts, app).await?;
    let presented = presented(&parts.headers, "a token of the admin API")?;
    let badge = opened(app, source, presented)?;
    let needed = needed(&parts.method, parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str));
    if badge.role >= needed {
        return Ok(badge);
    }
    let detail = format!("this takes a token of role {needed}; the one that was sent is of role {}", badge.role);
    Err(Problem::new(StatusCode::FORBIDDEN, "role_insufficient", detail))
}

/// Who shows this. From where too many wrong tokens came, none is looked at for a while, not the right one either.
pub(super) fn opened(app: &App, source: Option<IpAddr>, presented: &[u8]) -> Result<Badge, Problem> {
    let tokens = app.tokens();
    let looked = app.guesses.look(source, || tokens.admin.opened_by(presented).cloned());
    looked.map_err(|unopened| match unopened {
        Unopened::Wrong => {
            Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", "this is no token of the admin API of this service")
        }
        Unopened::Waits(wait) => too_many(source, wait),
    })
}

fn too_many(source: Option<IpAddr>, wait: Duration) -> Problem {
    tracing::warn!(source = source.map(tracing::field::display), "too many wrong tokens of the admin API");
    // Whole seconds, rounded up.
    let seconds = wait.as_secs() + 1;
    let detail =
        format!("too many wrong tokens came from this address; none from there is looked at for {seconds} seconds");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail).retry_after(Some(seconds))
}

/// Lets requests pass that show what is derived from a node token; the token itself opens nothing.
pub(super) async fn nodes_only(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let name = "what nodes derive from the node token";
    let token = presented(request.headers(), name).and_then(|presented| {
        let wrong = || format!("this is not {name} of this service");
        let token = app.tokens().node.shown(presented).cloned();
        token.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", wrong()))
    });
    match token {
        Ok(token) => {
            request.extensions_mut().insert(token);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<NodeToken>().cloned().map(Self).ok_or_else(missing)
    }
}

/// Nobody has shown anything, where that was not looked at before.
pub(super) fn missing() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "missing_token", "send `authorization: Bearer …`")
}

fn presented<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], Problem> {
    let refused = |detail| Err(Problem::new(StatusCode::UNAUTHORIZED, "missing_token", detail));
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused(format!("send `authorization: Bearer …` with {name}, once"));
    };
    bearer(value.as_bytes()).map_or_else(|| refused(format!("send `authorization: Bearer …` with {name}")), Ok)
}

pub(super) fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}
