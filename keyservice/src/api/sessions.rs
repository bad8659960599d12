//! `/v1/sessions`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use tollkeeper_contract::{KeyId, SessionId, TeamId, UserId};

use super::{
    App, Id,
    body::{MaybeSent, Sent, field},
    by::Asked,
    problem::Problem,
    query::{NoParams, Params, cut},
    wire::{RevokeSessionBody, RevokeSessionsBody, SessionList, SessionView, SessionsRevoked},
};
use crate::{
    domain::{Reason, SessionFilter, SessionState, Thing},
    edge,
    store::SessionsOf,
};

/// `GET /v1/sessions`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<SessionList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "key", "user", "team", "state"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", SessionId::parse)?;
    let state = |text: &str| SessionState::from_name(text).ok_or("must be live, revoked or expired");
    let filter = SessionFilter {
        key: params.maybe("key", KeyId::parse)?,
        user: params.maybe("user", UserId::parse)?,
        team: params.maybe("team", TeamId::parse)?,
        state: params.maybe("state", state)?,
    };
    let now = edge::now();
    let mut sessions = app.store.sessions(&filter, after.as_ref(), limit + 1, now).await?;
    let next = cut(&mut sessions, limit, |session| session.id.to_string());
    Ok(Json(SessionList {
        sessions: sessions.into_iter().map(|session| SessionView::at(now, session)).collect(),
        next,
    }))
}

/// `GET /v1/sessions/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id, _: NoParams) -> Result<Json<SessionView>, Problem> {
    let session = app.store.session(&known_form(&id)?).await?;
    Ok(Json(SessionView::at(edge::now(), session)))
}

/// `POST /v1/sessions/{id}/revoke`
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    MaybeSent(sent): MaybeSent<RevokeSessionBody>,
) -> Result<Json<SessionView>, Problem> {
    let reason = reason(sent.and_then(|body| body.reason))?;
    let now = edge::now();
    let session = app.store.revoke_session(known_form(&id)?, reason, by, now).await?;
    Ok(Json(SessionView::at(now, session)))
}

/// `POST /v1/sessions/revoke`
pub(super) async fn revoke_all(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    sent: Sent<RevokeSessionsBody>,
) -> Result<Json<SessionsRevoked>, Problem> {
    let RevokeSessionsBody { key, user, reason: why } = sent.value;
    let of = match (key, user) {
        (Some(key), None) => SessionsOf::Key(field("key", KeyId::parse(&key))?),
        (None, Some(user)) => SessionsOf::User(field("user", UserId::parse(&user))?),
        (None, None) => return Err(Problem::field("key", "is missing; send exactly one of key and user")),
        (Some(_), Some(_)) => {
            return Err(Problem::field("user", "must not be there; send exactly one of key and user"));
        }
    };
    let revoked = app.store.revoke_sessions(of, reason(why)?, by, edge::now()).await?;
    Ok(Json(SessionsRevoked { revoked }))
}

fn reason(text: Option<String>) -> Result<Option<Reason>, Problem> {
    text.map(|text| field("reason", Reason::parse(&text))).transpose()
}

/// What is no session id is the id of no session.
fn known_form(id: &str) -> Result<SessionId, Problem> {
    SessionId::parse(id).map_err(|_| Problem::unknown(Thing::Session))
}
