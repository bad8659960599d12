//! An upstream that answers with what it received, so that a client sees what the filter let through.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request with this header is counted under the header's value.
pub const NONCE: &str = "x-nonce";
/// JSON of name and value pairs (`[["x-a","1"]]`) that the answer carries as headers.
pub const ANSWER_HEADERS: &str = "x-echo-response-headers";
/// The status of the answer; 200 without it.
pub const ANSWER_STATUS: &str = "x-echo-status";

/// A running echo upstream, for HTTP/1.1 and for HTTP/2 with prior knowledge. Dropping it stops it.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    counts: Arc<Counts>,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts(Mutex<(u64, HashMap<String, u64>)>);

impl Upstream {
    /// Starts it in this process; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("echo upstream on {address}"))?;
        let counts = Arc::new(Counts::default());
        let app = Router::new().fallback(echo).with_state(Arc::clone(&counts));
        let address = listener.local_addr()?;
        let server = tokio::spawn(async move {
            // Ends only with the task.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, counts, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests have arrived.
    pub fn hits(&self) -> u64 {
        self.counts.read(|total, _| total)
    }

    /// How many requests with this value of `x-nonce` have arrived.
    pub fn hits_of(&self, nonce: &str) -> u64 {
        self.counts.read(|_, by_nonce| by_nonce.get(nonce).copied().unwrap_or(0))
    }

    /// Runs until the server ends, which it does not by itself.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn serve(mut self) -> Result<()> {
        (&mut self.server).await.context("the echo upstream ended")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Counts {
    fn count(&self, headers: &HeaderMap) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 += 1;
        if let Some(nonce) = headers.get(NONCE) {
            *counts.1.entry(latin1(nonce)).or_default() += 1;
        }
    }

    fn read(&self, look: impl Fn(u64, &HashMap<String, u64>) -> u64) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        look(counts.0, &counts.1)
    }
}

async fn echo(State(counts): State<Arc<Counts>>, request: Request) -> Response<Body> {
    let headers = request.headers();
    counts.count(headers);
    match answer(&request, headers) {
        Ok(answer) => answer,
        Err(error) => {
            let mut refusal = Response::new(Body::from(format!("echo upstream: {error:#}\n")));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            refusal
        }
    }
}

fn answer(request: &Request, headers: &HeaderMap) -> Result<Response<Body>> {
    let mut answer = Response::new(Body::from(description(request)));
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    if let Some(status) = headers.get(ANSWER_STATUS) {
        *answer.status_mut() = StatusCode::from_bytes(status.as_bytes()).context(ANSWER_STATUS)?;
    }
    for (name, value) in wanted_headers(headers)? {
        let name = HeaderName::from_bytes(name.as_bytes()).context(ANSWER_HEADERS)?;
        answer.headers_mut().append(name, HeaderValue::from_str(&value).context(ANSWER_HEADERS)?);
    }
    Ok(answer)
}

fn wanted_headers(headers: &HeaderMap) -> Result<Vec<(String, String)>> {
    match headers.get(ANSWER_HEADERS) {
        None => Ok(Vec::new()),
        Some(json) => serde_json::from_slice(json.as_bytes()).context(ANSWER_HEADERS),
    }
}

/// As JSON with a line for each header, which people read more easily than a line for each value.
fn description(request: &Request) -> String {
    let line = |(name, value): (&HeaderName, &HeaderValue)| format!("    {}", json!([name.as_str(), latin1(value)]));
    let headers: Vec<String> = request.headers().iter().map(line).collect();
    format!(
        "{{\n  \"method\": {},\n  \"path\": {},\n  \"headers\": [\n{}\n  ]\n}}\n",
        json!(request.method().as_str()),
        json!(request.uri().to_string()),
        headers.join(",\n")
    )
}

/// Every byte as one character, so that nothing a header can hold is lost.
fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}
