//! `/node/v1`: what filters call.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::time::{Instant, sleep_until};
use tollkeeper_contract::{
    MAX_AGE_HEADER,
    ledger::Report,
    page::{Cursor, NodeToken},
};

use super::{App, auth::Asking, body::Sent, observe::Caller, problem::Problem, query::Params};
use crate::{
    domain::{Batch, NodeSeen, USUAL_MAX_AGE},
    edge,
    store::{PageContent, Settled},
};

/// The longest wait for a change, in seconds.
const MAX_WAIT: u64 = 300;

/// The longest time that a node can be configured to serve without the key service, in seconds.
const MOST_MAX_AGE: u64 = 31_536_000;

/// The longest report, in bytes: `MAX_USAGE` entries of the longest ids and numbers, with room for white space.
const LEDGER_LIMIT: usize = 4 << 20;

/// `GET /node/v1/snapshot?after=&nonce=`
pub(super) async fn snapshot(
    State(app): State<Arc<App>>,
    Asking(token): Asking,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["after", "nonce"])?;
    let rule = "must be 66 hexadecimal digits: the code of a table, 01 to 07, and a digest";
    let after = params.maybe("after", |text| Cursor::from_hex(text).ok_or(rule))?;
    let nonce = params.required("nonce", number)?;
    let page = app.store.snapshot_page(after).await?;
    Ok(sealed(&app, page, nonce, &token))
}

/// `GET /node/v1/changes?after=&wait=&nonce=`
pub(super) async fn changes(
    State(app): State<Arc<App>>,
    Asking(token): Asking,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["after", "wait", "nonce"])?;
    let after = params.required("after", number)?;
    let wait = params.maybe("wait", number)?.unwrap_or(0).min(MAX_WAIT);
    let nonce = params.required("nonce", number)?;
    note(&app, &headers, after, wait);
    let page = next_changes(&app, after, Duration::from_secs(wait)).await?;
    Ok(sealed(&app, page, nonce, &token))
}

/// What a node asks for says how far it has come.
fn note(app: &App, headers: &HeaderMap, revision: u64, wait_seconds: u64) {
    let Caller { node: Some(name), version } = Caller::of(headers) else { return };
    let max_age = headers.get(MAX_AGE_HEADER).and_then(|value| number(value.to_str().ok()?).ok());
    let max_age = max_age.unwrap_or(USUAL_MAX_AGE).min(MOST_MAX_AGE);
    app.nodes.polls(NodeSeen { name, revision, version, seen_at: edge::now(), wait_seconds, max_age });
}

/// Waits for a change behind `after`, and gives an empty page if there is none within `wait`.
async fn next_changes(app: &App, after: u64, wait: Duration) -> Result<PageContent, Problem> {
    // Watched before the first look at the database: no change falls between the two.
    let mut revision = app.store.watch_revision();
    let mut stopping = app.stopping.clone();
    let deadline = Instant::now() + wait;
    let _waiting = app.metrics.long_poll();
    loop {
        revision.mark_unchanged();
        let page = app.store.changes_page(after).await??;
        if page.is_news() || Instant::now() >= deadline || *stopping.borrow() {
            return Ok(page);
        }
        tokio::select! {
            _ = revision.changed() => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
            () = sleep_until(deadline) => {}
        }
    }
}

/// `POST /node/v1/ledger`
pub(super) async fn ledger(
    State(app): State<Arc<App>>,
    sent: Sent<Report, LEDGER_LIMIT>,
) -> Result<StatusCode, Problem> {
    let now = edge::now();
    let batch = Batch::read(&sent.value, now).map_err(|error| Problem::field(error.field, error.message))?;
    let (node, epoch, seq) = (batch.node.clone(), batch.epoch, batch.seq);
    let settled = app.store.settle(batch, now).await?;
    app.metrics.count_batch(settled);
    if let Settled::Counted { missing: missing @ 1.., .. } = settled {
        tracing::warn!(%node, epoch, seq, missing, "batches of usage never arrived");
    }
    Ok(StatusCode::NO_CONTENT)
}

fn sealed(app: &App, page: PageContent, nonce: u64, token: &NodeToken) -> Response {
    let bytes = page.writer.seal(app.store.service(), nonce, page.span, token);
    ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
}

fn number(text: &str) -> Result<u64, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or("must be a whole number from 0 to 2^64 - 1")
}
