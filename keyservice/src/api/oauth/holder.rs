//! `POST /oauth/introspect` (RFC 7662) and `POST /oauth/revoke` (RFC 7009): for administrators, and for whoever holds
//! the token.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tollkeeper_contract::{
    Digest,
    token::{Claims, Parts},
};

use super::{
    form::Form,
    refusal::{OauthError, OauthRefusal},
};
use crate::{
    api::{
        App,
        auth::{self, bearer},
        problem::Problem,
        source::Source,
        wire::{ActiveTokenView, InactiveTokenView},
    },
    domain::{Actor, By, Moment, Reason, Role, SessionState},
    edge,
    store::{ActError, Presented},
};

const SHOW: &str = "send a token of the admin API, or the token itself, as a bearer token";

/// `POST /oauth/introspect`
pub(in crate::api) async fn introspect(
    State(app): State<Arc<App>>,
    Source(source): Source,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OauthRefusal> {
    let token = form.required("token")?;
    let now = edge::now();
    let shown = bearer_token(&headers)?.ok_or_else(|| OauthRefusal::new(OauthError::InvalidToken, SHOW))?;
    // Whoever holds a token may ask, but is told nothing about those of others (RFC 7662 section 2.2). That is no guess at
    // a token of the admin API.
    let may_know = if same(shown, token) {
        true
    } else if active(&app, shown, now).await?.is_some() {
        false
    } else {
        open(&app, source, shown)?;
        true
    };
    let found = if may_know { active(&app, token, now).await? } else { None };
    Ok(match found {
        Some(found) => Json(ActiveTokenView::from(found)).into_response(),
        None => Json(InactiveTokenView { active: false }).into_response(),
    })
}

/// `POST /oauth/revoke`: the token itself proves that its holder may end it.
pub(in crate::api) async fn revoke(
    State(app): State<Arc<App>>,
    Source(source): Source,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OauthRefusal> {
    let token = form.required("token")?;
    let shown = bearer_token(&headers)?;
    let now = edge::now();
    let done = || (StatusCode::OK, Json(json!({}))).into_response();
    let Some(found) = presented(&app, token, now).await? else { return Ok(done()) };
    // Only the audit log says who this was: guesses lead to nothing here, and are not counted.
    let badge = shown.and_then(|shown| app.tokens().admin.opened_by(shown.as_bytes()).cloned());
    let badge = badge.filter(|badge| badge.role >= Role::Operator);
    let holder = || Actor::Holder(found.session.id.clone());
    let actor = badge.as_ref().map_or_else(holder, |badge| Actor::Role(badge.role));
    let reason = Reason::parse("revoked with its token").ok();
    match app.store.revoke_session(found.session.id, reason, By { actor, badge, source }, now).await {
        Ok(_) | Err(ActError::Refused(_)) => Ok(done()),
        Err(ActError::Failed(error)) => Err(OauthRefusal::of_problem(&Problem::from(error))),
    }
}

/// Lets pass whoever shows a token of the admin API; anything else counts as a wrong one.
fn open(app: &App, source: Option<IpAddr>, shown: &str) -> Result<(), OauthRefusal> {
    let opened = auth::opened(app, source, shown.as_bytes());
    opened.map(drop).map_err(|problem| match problem.status() {
        StatusCode::TOO_MANY_REQUESTS => OauthRefusal::of_problem(&problem),
        _ => OauthRefusal::new(OauthError::InvalidToken, SHOW),
    })
}

/// The bearer token that is shown, if there is one.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, OauthRefusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let shown = bearer(value.as_bytes()).filter(|_| values.next().is_none());
    shown.and_then(|shown| std::str::from_utf8(shown).ok()).map(Some).ok_or_else(|| {
        OauthRefusal::new(OauthError::InvalidToken, "Authorization is not one bearer token as in RFC 6750")
    })
}

/// The session of a token that filters take now.
async fn active(app: &App, token: &str, now: Moment) -> Result<Option<Presented>, OauthRefusal> {
    let found = presented(app, token, now).await?;
    Ok(found.filter(|found| found.is_served && found.session.state(now) == SessionState::Live))
}

/// The session of a token, if that is genuine. It is verified as nodes do it, with what they were told: whoever made
/// its key, and from whatever secret.
async fn presented(app: &App, token: &str, now: Moment) -> Result<Option<Presented>, OauthRefusal> {
    let Ok(parts) = Parts::split(token.as_bytes()) else { return Ok(None) };
    // What is no id of a session is none in the database either, and not every text can be looked for there.
    let Ok(Claims { session, .. }) = Claims::parse(&parts.claims) else { return Ok(None) };
    let found = app.store.presented_session(&session, now).await;
    let found = found.map_err(|error| OauthRefusal::of_problem(&Problem::from(error)))?;
    let is_its = |found: &Presented| {
        found.session.signed.as_bytes() == parts.claims
            && app.tokens().node.iter().any(|node| found.key.signed(&parts, node))
    };
    Ok(found.filter(is_its))
}

/// Digests are compared: it takes the same time wherever two tokens differ.
fn same(left: &str, right: &str) -> bool {
    Digest::of(left.as_bytes()) == Digest::of(right.as_bytes())
}
