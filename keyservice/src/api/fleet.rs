//! `/v1/fleet`, and `?wait=` on every change: the answer comes when the fleet has it.

use std::sync::Arc;

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::Response,
};
use serde_json::{Value, json};

use super::{
    App, Id,
    by::Asked,
    problem::Problem,
    query::{NoParams, Params},
    wire::{FleetList, FleetView, NodeView},
};
use crate::{
    domain::{NodeName, Thing},
    edge, fleet,
};

/// The longest time to wait for the fleet, in seconds.
const MAX_WAIT: u64 = 60;

/// The longest answer that gets a member more; far more than any change answers.
const MAX_ANSWER: usize = 16 << 20;

/// `GET /v1/fleet`
pub(super) async fn list(State(app): State<Arc<App>>, _: NoParams) -> Result<Json<FleetList>, Problem> {
    let revision = *app.store.watch_revision().borrow();
    let now = edge::now();
    let nodes = fleet::nodes(&app).await?;
    Ok(Json(FleetList { revision, nodes: nodes.into_iter().map(|node| NodeView::at(now, revision, node)).collect() }))
}

/// `DELETE /v1/fleet/{node}`
pub(super) async fn forget(State(app): State<Arc<App>>, Id(name): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    let name = NodeName::parse(&name).map_err(|_| Problem::unknown(Thing::Node))?;
    fleet::forget(&app, &name, by).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Holds the answer to a change until every live node has it, if the client asks for that with `?wait=SECONDS`.
pub(super) async fn wait(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    // What breaks a rule here is refused by `Asked`, which every change asks for: a path or a method that does not exist
    // is told first.
    let Ok(Some(seconds)) = asked_wait(request.uri()) else { return next.run(request).await };
    let answer = next.run(request).await;
    if !answer.status().is_success() {
        return answer;
    }
    // The change is committed: this revision is its own, or a later one.
    let revision = *app.store.watch_revision().borrow();
    with_fleet(answer, fleet::wait_for(&app, revision, seconds).await).await
}

/// How long the request wants to wait for the fleet, in seconds.
pub(super) fn asked_wait(uri: &Uri) -> Result<Option<u64>, Problem> {
    Params::read(uri, &["wait"])?.maybe("wait", seconds)
}

fn seconds(text: &str) -> Result<u64, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|seconds| digits && (1..=MAX_WAIT).contains(seconds));
    seconds.ok_or("must be a whole number of seconds from 1 to 60")
}

/// The answer with the member `fleet`; an empty one becomes an object with that alone.
async fn with_fleet(answer: Response, fleet: FleetView) -> Response {
    let (mut parts, body) = answer.into_parts();
    let bytes = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
    let mut said = if bytes.is_empty() { json!({}) } else { serde_json::from_slice(&bytes).unwrap_or_default() };
    let Value::Object(members) = &mut said else { return Response::from_parts(parts, Body::from(bytes)) };
    members.insert("fleet".to_owned(), serde_json::to_value(fleet).unwrap_or_default());
    if parts.status == StatusCode::NO_CONTENT {
        parts.status = StatusCode::OK;
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Body::from(said.to_string()))
}
