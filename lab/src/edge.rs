//! The edge for tests: key service, echo upstream and Envoy with the filter, each on free ports, in a directory of
//! their own that is removed when the test passes and named when it does not.
//!
//! A harness ends the test where it stands, so these methods panic with what went wrong instead of returning it.
//!
//! * `setup`: what a test wants to be different, and the start
//! * here: requests to the edge
//! * `keys`: the key service, and what the filter knows of its keys
//! * `observed`: Envoy's configuration, metrics and logs while it runs
//! * `fleet`: several edges on one key service

mod fleet;
mod keys;
mod observed;
mod setup;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, RequestBuilder};
use tempfile::TempDir;

use crate::bootstrap::Bootstrap;
use crate::envoy::{self, Envoy};
use crate::http;
use crate::key_service::KeyService;
use crate::keyservice_process::KeyServiceProcess;
use crate::poll::wait_until;
use crate::raw::{self, RawAnswer};
use crate::upstream::Upstream;

pub use fleet::Fleet;
pub use setup::Setup;

const SYNC_LIMIT: Duration = Duration::from_secs(20);

/// Everything, running. Dropping it ends everything.
#[derive(Debug)]
pub struct Edge {
    envoy: Envoy,
    launch: envoy::Launch,
    address: SocketAddr,
    bootstrap: Bootstrap,
    http1: reqwest::Client,
    http2: reqwest::Client,
    upstream: Upstream,
    key_service_process: KeyServiceProcess,
    key_service: KeyService,
    // Last, because fields are dropped in order: the processes first, then their files.
    directory: Option<TempDir>,
}

impl Edge {
    /// Waits until the filter has its key table: until a request without a credential is refused for that.
    pub async fn synced(&self) {
        let answer = wait_until("the filter has synced", SYNC_LIMIT, async || {
            let answer = self.get("/api/nobody/").send().await.ok()?;
            (answer.status() != 503).then_some(())
        });
        or_end(answer.await.map_err(|late| late.context(self.envoy.log())));
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A GET over HTTP/1.1, to be completed and sent.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A request over HTTP/1.1, to be completed and sent. Connections are kept and used again.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http1.request(method, self.url(path))
    }

    /// A request over HTTP/2 with prior knowledge, to be completed and sent.
    pub fn request_http2(&self, method: Method, path: &str) -> RequestBuilder {
        self.http2.request(method, self.url(path))
    }

    /// A GET over a connection of its own, which may reach any worker.
    pub fn get_over_new_connection(&self, path: &str) -> RequestBuilder {
        or_end(client().and_then(|builder| Ok(builder.http1_only().build()?))).get(self.url(path))
    }

    /// Bytes in, bytes out, over a connection of its own; the request must say `connection: close`.
    pub async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        or_end(raw::exchange(self.address, bytes).await)
    }

    /// A request over HTTP/1.1 with exactly these header bytes, over a connection of its own.
    pub async fn raw(&self, method: &str, path: &str, headers: &[(&str, &[u8])]) -> RawAnswer {
        or_end(raw::request(self.address, method, path, headers).await)
    }

    /// The echo upstream: to ask what has reached it.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Waits until `probe` returns something, for at most `limit`; ends the test otherwise.
    pub async fn wait_until<T>(&self, what: &str, limit: Duration, probe: impl AsyncFnMut() -> Option<T>) -> T {
        or_end(wait_until(what, limit, probe).await)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Edge {
    #[expect(clippy::print_stderr, reason = "a failed test says where its files are")]
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        if let Some(directory) = self.directory.take() {
            eprintln!("{}", kept(directory));
        }
    }
}

fn kept(directory: TempDir) -> String {
    format!("the logs and configuration of this test are kept in {}", directory.keep().display())
}

fn client() -> Result<reqwest::ClientBuilder> {
    let none = reqwest::redirect::Policy::none();
    Ok(http::client()?.redirect(none).timeout(Duration::from_secs(30)))
}

#[expect(clippy::panic, reason = "a harness ends the test where it stands, with everything that went wrong")]
fn or_end<T>(outcome: Result<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
