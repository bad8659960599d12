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
    domain::{Actor, Badge, By, Moment, Reason, Role, SessionState},
    edge,
    store::{ActError, Presented},
};

const SHOW: &str = "send a token of the admin API, or the token itself, as a bearer token";

/// Who asks.
enum Asker {
    /// Somebody with a token of the admin API.
    Admin(Badge),
    /// Somebody with a bearer token of another sort.
    Bearer(String),
    Nobody,
}

/// `POST /oauth/introspect`
pub(in crate::api) async fn introspect(
    State(app): State<Arc<App>>,
    Source(source): Source,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OauthRefusal> {
    let token = form.required("token")?;
    let now = edge::now();
    let may_know = match asker(&app, &headers)? {
        Asker::Admin(_) => true,
        Asker::Bearer(shown) if same(&shown, token) => true,
        // Whoever holds a token may ask, but is told nothing about those of others (RFC 7662 section 2.2).
        Asker::Bearer(shown) if active(&app, &shown, now).await?.is_some() => false,
        Asker::Bearer(_) => return Err(wrong(&app, source)),
        Asker::Nobody => return Err(OauthRefusal::new(OauthError::InvalidToken, SHOW)),
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
    let asker = asker(&app, &headers)?;
    let now = edge::now();
    let done = || (StatusCode::OK, Json(json!({}))).into_response();
    let Some(found) = presented(&app, token, now).await? else { return Ok(done()) };
    let badge = match asker {
        Asker::Admin(badge) if badge.role >= Role::Operator => Some(badge),
        Asker::Admin(_) | Asker::Bearer(_) | Asker::Nobody => None,
    };
    let holder = || Actor::Holder(found.session.id.clone());
    let actor = badge.as_ref().map_or_else(holder, |badge| Actor::Role(badge.role));
    let reason = Reason::parse("revoked with its token").ok();
    match app.store.revoke_session(found.session.id, reason, By { actor, badge, source }, now).await {
        Ok(_) | Err(ActError::Refused(_)) => Ok(done()),
        Err(ActError::Failed(error)) => Err(OauthRefusal::of_problem(&Problem::from(error))),
    }
}

/// What is shown opens nothing, and counts as a wrong token.
fn wrong(app: &App, source: Option<IpAddr>) -> OauthRefusal {
    let problem = auth::wrong(app, source);
    if problem.status() == StatusCode::TOO_MANY_REQUESTS {
        return OauthRefusal::of_problem(&problem);
    }
    OauthRefusal::new(OauthError::InvalidToken, SHOW)
}

fn asker(app: &App, headers: &HeaderMap) -> Result<Asker, OauthRefusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(Asker::Nobody) };
    let shown = bearer(value.as_bytes()).filter(|_| values.next().is_none());
    let shown = shown.and_then(|shown| std::str::from_utf8(shown).ok()).ok_or_else(|| {
        OauthRefusal::new(OauthError::InvalidToken, "Authorization is not one bearer token as in RFC 6750")
    })?;
    let badge = app.tokens().admin.opened_by(shown.as_bytes()).cloned();
    Ok(badge.map_or_else(|| Asker::Bearer(shown.to_owned()), Asker::Admin))
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
