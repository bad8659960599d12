//! What becomes of a key.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tollkeeper_contract::{Digest, Subject};

use super::{known_form, seed, shown_once};
use crate::{
    api::{
        App, Id,
        body::{MaybeSent, Sent, clearable, field, settable},
        by::Asked,
        fields::{origin_patch, scopes, settable_state},
        once,
        problem::Problem,
        wire::{KeyChangeBody, KeyView, RevokeBody, RotateBody},
    },
    domain::{KeyChange, Moment, Name, Overlap, Reason, Revocation, Rotation},
    edge,
};

/// `PATCH /v1/keys/{id}`
pub(in crate::api) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<KeyChangeBody>,
) -> Result<Json<KeyView>, Problem> {
    let wanted = key_change(sent.value)?;
    Ok(Json(app.store.change_key(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `POST /v1/keys/{id}/revoke`
pub(in crate::api) async fn revoke(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    MaybeSent(sent): MaybeSent<RevokeBody>,
) -> Result<Json<KeyView>, Problem> {
    let body = sent.unwrap_or_default();
    let wanted = Revocation {
        reason: body.reason.map(|reason| field("reason", Reason::parse(&reason))).transpose()?,
        compromised: body.compromised.unwrap_or(false),
    };
    Ok(Json(app.store.revoke_key(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `POST /v1/keys/{id}/rotate`
pub(in crate::api) async fn rotate(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    headers: HeaderMap,
    MaybeSent(sent): MaybeSent<RotateBody>,
) -> Result<Response, Problem> {
    let id = known_form(&id)?;
    let body = sent.unwrap_or_default();
    // The same words for another key are another request.
    let request = Digest::of(format!("{id} {:?} {:?}", body.overlap_seconds, body.expires).as_bytes());
    let once = once::once(&headers, "POST /v1/keys/{id}/rotate", request)?;
    let rotation = Rotation {
        overlap: field("overlap_seconds", Overlap::from_seconds(body.overlap_seconds.unwrap_or(0)))?,
        expires: clearable("expires", body.expires, |text| Moment::parse(&text))?,
    };
    Ok(shown_once(app.store.rotate_key(id, rotation, seed()?, once, by, edge::now()).await?))
}

/// `DELETE /v1/keys/{id}`
pub(in crate::api) async fn delete(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
) -> Result<StatusCode, Problem> {
    app.store.delete_key(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(in crate::api) fn key_change(body: KeyChangeBody) -> Result<KeyChange, Problem> {
    Ok(KeyChange {
        name: clearable("name", body.name, |name| Name::parse(&name))?,
        subject: clearable("subject", body.subject, |subject| Subject::parse(&subject))?,
        scopes: settable("scopes", body.scopes, |list| scopes(&list))?,
        state: settable("state", body.state, |state| settable_state(&state))?,
        not_before: clearable("not_before", body.not_before, |text| Moment::parse(&text))?,
        expires: clearable("expires", body.expires, |text| Moment::parse(&text))?,
        origin: origin_patch(body.origin)?,
    })
}
