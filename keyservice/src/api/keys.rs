//! `/v1/keys`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde::Deserialize;
use tollkeeper_contract::{InvalidName, KeyId, KeyState, Kind, Scope, Scopes, Subject, TeamId};

use super::{
    App, Id,
    body::{MaybeSent, Sent, clearable, field, patch, settable},
    by::Asked,
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{KeyList, KeyMade, KeyView},
};
use crate::{
    domain::{KeyChange, KeyFilter, Moment, Name, NewKey, Patch, Reason, word},
    edge,
    store::{ActError, Made, Refusal},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKeyBody {
    kind: Option<String>,
    team: Option<String>,
    name: Option<String>,
    subject: Option<String>,
    scopes: Option<Vec<String>>,
    state: Option<String>,
    not_before: Option<String>,
    expires: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyChangeBody {
    #[serde(default, deserialize_with = "patch")]
    name: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    subject: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    scopes: Patch<Vec<String>>,
    #[serde(default, deserialize_with = "patch")]
    state: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    not_before: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    expires: Patch<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeBody {
    reason: Option<String>,
}

/// `POST /v1/keys`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewKeyBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/keys", sent.digest)?;
    let key = new_key(sent.value)?;
    let issued = edge::issue(key.kind).map_err(|error| {
        tracing::error!(%error, "the system gives no randomness");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "no_randomness", "the system gives no randomness")
    })?;
    let (made, issued) = app.store.create_key(key, issued, once, by, edge::now()).await.map_err(refused_new_key)?;
    Ok(match made {
        Made::Now(key) => {
            let text = issued.text.expose().to_owned();
            once::made(KeyMade { view: key.into(), key: Some(text), replayed: false })
        }
        Made::Before(key) => once::replayed(KeyMade { view: key.into(), key: None, replayed: true }),
    })
}

/// `GET /v1/keys`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<KeyList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "team", "state"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", KeyId::parse)?;
    let state = |text: &str| word::key_state(text).ok_or("must be active, disabled or revoked");
    let filter = KeyFilter { team: params.maybe("team", TeamId::parse)?, state: params.maybe("state", state)? };
    let mut keys = app.store.keys(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut keys, limit, |key| key.id.to_string());
    Ok(Json(KeyList { keys: keys.into_iter().map(KeyView::from).collect(), next }))
}

/// `GET /v1/keys/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<KeyView>, Problem> {
    Ok(Json(app.store.key(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/keys/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<KeyChangeBody>,
) -> Result<Json<KeyView>, Problem> {
    let wanted = key_change(sent.value)?;
    Ok(Json(app.store.change_key(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `POST /v1/keys/{id}/revoke`
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    MaybeSent(sent): MaybeSent<RevokeBody>,
) -> Result<Json<KeyView>, Problem> {
    let reason = sent.and_then(|body| body.reason);
    let reason = reason.map(|reason| field("reason", Reason::parse(&reason))).transpose()?;
    Ok(Json(app.store.revoke_key(known_form(&id)?, reason, by, edge::now()).await?.into()))
}

/// `DELETE /v1/keys/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete_key(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no key id is the id of no key.
fn known_form(id: &str) -> Result<KeyId, Problem> {
    KeyId::parse(id).map_err(|_| Problem::unknown_key())
}

/// Here the team stands in the body, not in the path: the path exists.
fn refused_new_key(error: ActError) -> Problem {
    if matches!(error, ActError::Refused(Refusal::NoSuchTeam)) {
        return Problem::unknown_team().with_status(StatusCode::UNPROCESSABLE_ENTITY).at("team");
    }
    error.into()
}

fn new_key(body: NewKeyBody) -> Result<NewKey, Problem> {
    let missing = |name| move || Problem::field(name, "is missing");
    let kind = body.kind.as_deref().unwrap_or("application");
    Ok(NewKey {
        kind: field("kind", Kind::from_name(kind).ok_or("must be application"))?,
        team: field("team", TeamId::parse(&body.team.ok_or_else(missing("team"))?))?,
        name: body.name.map(|name| field("name", Name::parse(&name))).transpose()?,
        subject: body.subject.map(|subject| field("subject", Subject::parse(&subject))).transpose()?,
        scopes: field("scopes", scopes(&body.scopes.ok_or_else(missing("scopes"))?))?,
        state: field("state", body.state.map_or(Ok(KeyState::Active), |state| settable_state(&state)))?,
        not_before: body.not_before.map(|text| field("not_before", Moment::parse(&text))).transpose()?,
        expires: body.expires.map(|text| field("expires", Moment::parse(&text))).transpose()?,
    })
}

fn key_change(body: KeyChangeBody) -> Result<KeyChange, Problem> {
    Ok(KeyChange {
        name: clearable("name", body.name, |name| Name::parse(&name))?,
        subject: clearable("subject", body.subject, |subject| Subject::parse(&subject))?,
        scopes: settable("scopes", body.scopes, |list| scopes(&list))?,
        state: settable("state", body.state, |state| settable_state(&state))?,
        not_before: clearable("not_before", body.not_before, |text| Moment::parse(&text))?,
        expires: clearable("expires", body.expires, |text| Moment::parse(&text))?,
    })
}

fn scopes(list: &[String]) -> Result<Scopes, InvalidName> {
    Scopes::new(list.iter().map(|scope| Scope::parse(scope)).collect::<Result<Vec<_>, _>>()?)
}

fn settable_state(text: &str) -> Result<KeyState, &'static str> {
    match word::key_state(text) {
        Some(state @ (KeyState::Active | KeyState::Disabled)) => Ok(state),
        Some(KeyState::Revoked) => Err("a key is revoked with POST /v1/keys/{id}/revoke, which is final"),
        None => Err("must be active or disabled"),
    }
}
