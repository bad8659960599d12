//! `/v1/limits`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    App,
    body::{Sent, field},
    by::Asked,
    fields::required,
    problem::Problem,
    query::NoParams,
    wire::{LimitsBody, LimitsView},
};
use crate::{domain::factor_of, edge};

/// `GET /v1/limits`
pub(super) async fn show(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<LimitsView>, Problem> {
    Ok(Json(app.store.limits().await?.into()))
}

/// `PUT /v1/limits`
pub(super) async fn set(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    sent: Sent<LimitsBody>,
) -> Result<Json<LimitsView>, Problem> {
    let factor = field("factor", factor_of(required("factor", sent.value.factor)?))?;
    Ok(Json(app.store.set_limit_factor(factor, by, edge::now()).await?.into()))
}
