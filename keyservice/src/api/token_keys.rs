//! `/v1/token-keys` and `/.well-known/jwks.json`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    body::{MaybeSent, field},
    by::Asked,
    login::Told,
    problem::Problem,
    query::NoParams,
    wire::{JwksView, NewTokenKeyBody, TokenKeyList, TokenKeyView},
};
use crate::{
    domain::{OtherKeys, PublishedKey},
    edge, settings,
    store::NewTokenKey,
};

/// `GET /v1/token-keys`
pub(super) async fn list(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<TokenKeyList>, Problem> {
    let mint = app.desk.mint().ok();
    let (now, keys) = (edge::now(), app.store.token_keys().await?);
    let view = |key| TokenKeyView::at(now, mint.as_ref().is_some_and(|mint| mint.made(&key)), key);
    Ok(Json(TokenKeyList { token_keys: keys.into_iter().map(view).collect() }))
}

/// `POST /v1/token-keys`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    MaybeSent(sent): MaybeSent<NewTokenKeyBody>,
) -> Result<Response, Problem> {
    let body = sent.unwrap_or_default();
    let algorithm = body.algorithm.map(|text| field("algorithm", settings::token_algorithm(&text))).transpose()?;
    let others = if body.end_others == Some(true) { OtherKeys::End } else { OtherKeys::Retire };
    let mint = app.desk.mint().map_err(|failure| Told::of(failure).problem())?;
    let entropy = edge::token_key_entropy().map_err(|error| Problem::no_randomness(&error))?;
    let now = edge::now();
    let key = app.store.rotate_token_key(&mint, NewTokenKey { algorithm, others, entropy }, by, now).await?;
    Ok((StatusCode::CREATED, Json(TokenKeyView::at(now, true, key))).into_response())
}

/// `GET /.well-known/jwks.json`
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let keys = app.store.published_token_keys(edge::now()).await?;
    let keys = keys.iter().filter_map(PublishedKey::jwk).collect();
    // Whoever meets a kid that is not in what it kept has to ask again anyway.
    Ok(([(header::CACHE_CONTROL, "public, max-age=5")], Json(JwksView { keys })).into_response())
}
