//! What operators and their machines look at: no token needed, nothing secret shown.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{App, problem::Problem};
use crate::edge;

/// `GET /healthz`: the process is up.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers and can be written, and the program is not ending.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Problem> {
    let refused = |reason, detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail);
    if *app.stopping.borrow() {
        return Err(refused("ending", "the service is ending"));
    }
    app.store.check().await.map_err(|error| {
        tracing::error!(%error, "not ready");
        refused("storage_failed", "the database does not answer or cannot be written; the service's log says how")
    })?;
    Ok("ready\n")
}

/// `GET /metrics`: OpenMetrics text, as Prometheus reads it.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let census = app.store.recent_census().await?;
    let text = app.metrics.render(&census, app.nodes.live(edge::now())).map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics_failed", "metrics cannot be written")
    })?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
