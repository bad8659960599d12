//! One line of the log and one count for every request; never a path, a query, a header or a body as it was sent.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::Response,
};
use tollkeeper_contract::{NODE_HEADER, VERSION_HEADER};

use super::App;
use crate::{domain::NodeName, edge, metrics::RequestLabels};

/// Lets the request pass, and notes what became of it.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = known_method(&request);
    let Caller { node, version } = Caller::of(request.headers());
    let response = next.run(request).await;
    let status = response.status();
    if route.starts_with("/node/") && status != StatusCode::UNAUTHORIZED {
        app.nodes.saw(node.as_ref(), version.as_ref(), edge::now());
    }
    app.metrics.count_request(RequestLabels { method, route: route.clone(), status: status.as_u16() });
    log(method, &route, status, began, node.as_ref());
    response
}

/// The method, if it is one of those that are served: others are the client's to choose, and would fill the metrics.
fn known_method(request: &Request) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .find(|method| *method == request.method().as_str())
        .unwrap_or("other")
}

/// Who calls, as nodes say it themselves.
pub(super) struct Caller {
    pub(super) node: Option<NodeName>,
    pub(super) version: Option<NodeName>,
}

impl Caller {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let header = |name| NodeName::parse(headers.get(name)?.to_str().ok()?).ok();
        Self { node: header(NODE_HEADER), version: header(VERSION_HEADER) }
    }
}

fn log(method: &str, route: &str, status: StatusCode, began: Instant, node: Option<&NodeName>) {
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let node = node.map_or("-", NodeName::as_str);
    let status = status.as_u16();
    match (status, route) {
        (500.., _) => tracing::error!(method, route, status, duration_ms, node, "request"),
        (_, "/healthz" | "/readyz" | "/metrics") => {
            tracing::debug!(method, route, status, duration_ms, node, "request");
        }
        _ => tracing::info!(method, route, status, duration_ms, node, "request"),
    }
}
