//! The edge for tests: key service, echo upstream and Envoy with the filter, each on free ports, in a directory of
//! their own that is removed when the test passes and named when it does not.
//!
//! A harness ends the test where it stands, so these methods panic with what went wrong instead of returning it.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::artifacts;
use crate::bootstrap::Bootstrap;
use crate::envoy::{self, Envoy, Listeners, ProcessGroup, Pushed};
use crate::key_service::{KeyService, NewKey};
use crate::keyservice_process::{self, KeyServiceProcess};
use crate::poll::wait_until;
use crate::port::{local, reserve};
use crate::raw::{self, RawAnswer};
use crate::secret::Tokens;
use crate::upstream::Upstream;

const SYNC_LIMIT: Duration = Duration::from_secs(20);
const LISTENER: &str = "edge";

/// What a test wants to be different; see [`Edge::start`].
pub struct Setup {
    workers: u32,
    key_service: AtStart,
    edits: Vec<Edit>,
    environment: Vec<(String, String)>,
    drain: Duration,
}

type Edit = Box<dyn FnOnce(&mut Bootstrap) -> Result<()>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum AtStart {
    Running,
    Absent,
}

/// Everything, running. Dropping it ends everything.
#[derive(Debug)]
pub struct Edge {
    envoy: Envoy,
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

impl Setup {
    /// Envoy's worker threads; 2 unless said otherwise.
    #[must_use]
    pub fn workers(mut self, count: u32) -> Self {
        self.workers = count;
        self
    }

    /// Edits the filter's configuration.
    #[must_use]
    pub fn filter(self, edit: impl FnOnce(&mut Value) + 'static) -> Self {
        self.bootstrap(move |bootstrap| bootstrap.filter(edit))
    }

    /// Edits Envoy's configuration.
    #[must_use]
    pub fn bootstrap(mut self, edit: impl FnOnce(&mut Bootstrap) -> Result<()> + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// Sets a variable in Envoy's environment, after the lab's own.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// How long connections under a replaced configuration may live on; ten minutes unless said otherwise.
    #[must_use]
    pub fn drains_within(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Leaves the key service down until [`Edge::start_key_service`].
    #[must_use]
    pub fn without_key_service(mut self) -> Self {
        self.key_service = AtStart::Absent;
        self
    }
}

impl Edge {
    /// Starts everything: `Edge::start(|setup| setup.workers(4)).await`. The filter may not have synced yet, see
    /// [`Self::synced`].
    pub async fn start(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let setup = configure(Setup {
            workers: 2,
            key_service: AtStart::Running,
            edits: Vec::new(),
            environment: Vec::new(),
            drain: envoy::DEFAULT_DRAIN,
        });
        let directory = or_end(tempfile::Builder::new().prefix("tollkeeper-").tempdir().map_err(Into::into));
        let mut edge = match Self::try_start(setup, directory.path()).await {
            Ok(edge) => edge,
            Err(error) => return or_end(Err(error.context(kept(directory)))),
        };
        edge.directory = Some(directory);
        edge
    }

    /// Like [`Self::start`], and waits until the filter has its key table.
    pub async fn synced_start(configure: impl FnOnce(Setup) -> Setup) -> Self {
        let edge = Self::start(configure).await;
        edge.synced().await;
        edge
    }

    async fn try_start(setup: Setup, directory: &Path) -> Result<Self> {
        let mut service = KeyServiceProcess::stopped(key_service_launch(directory)?);
        if setup.key_service == AtStart::Running {
            service.start().await?;
        }
        let upstream = Upstream::start(local(0)).await?;
        let mut bootstrap = bootstrap(directory, upstream.address(), service.address())?;
        for edit in setup.edits {
            edit(&mut bootstrap)?;
        }
        let mut environment = vec![("TOLLKEEPER_NODE_TOKEN".to_owned(), service.tokens().node.expose().into())];
        environment.extend(setup.environment.into_iter().map(|(name, value)| (name, value.into())));
        let launch = envoy::Launch {
            program: artifacts::envoy()?,
            directory: directory.to_owned(),
            workers: setup.workers,
            environment,
            group: ProcessGroup::Shared,
            listeners: Listeners::Watched,
            drain: setup.drain,
        };
        let envoy = Envoy::start(&bootstrap, &launch).await?;
        let address = envoy.listener(LISTENER).await?;
        Ok(Self {
            envoy,
            address,
            bootstrap,
            http1: client()?.http1_only().build()?,
            http2: client()?.http2_prior_knowledge().build()?,
            upstream,
            key_service: KeyService::new(service.address(), service.tokens().admin.clone())?,
            key_service_process: service,
            directory: None,
        })
    }

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

    /// The key service's admin API.
    pub fn key_service(&self) -> &KeyService {
        &self.key_service
    }

    /// Makes a key with these scopes (and its team, if there is none), waits until the filter knows it, returns it.
    pub async fn key(&self, team: &str, scopes: &[&str]) -> String {
        self.new_key(team, json!({ "scopes": scopes })).await.key
    }

    /// Makes a key with more fields of `POST /v1/keys` (and its team, if there is none), and waits until the filter
    /// knows it.
    pub async fn new_key(&self, team: &str, fields: Value) -> NewKey {
        let key = self.new_key_at_once(team, fields).await;
        self.serves(key.revision).await;
        key
    }

    /// Like [`Self::new_key`], but returns when the key service has answered, before the filter knows.
    pub async fn new_key_at_once(&self, team: &str, mut fields: Value) -> NewKey {
        or_end(self.key_service.create_team(team, team).await);
        fields["team"] = json!(team);
        or_end(self.key_service.create_key(&fields).await)
    }

    /// Waits until the filter serves this revision, which every answer of the admin API about a change carries, or a
    /// later one.
    pub async fn serves(&self, revision: u64) {
        let what = format!("the filter serves revision {revision}");
        let reached = wait_until(&what, SYNC_LIMIT, async || (self.revision().await? >= revision).then_some(()));
        or_end(reached.await.map_err(|late| late.context(self.envoy.log())));
    }

    /// The revision that the filter serves, from its gauge; `None` before the first sync.
    pub async fn revision(&self) -> Option<u64> {
        let mut bootstrap = self.bootstrap.clone();
        let configuration = or_end(bootstrap.filter_configuration());
        let instance = configuration["instance"].as_str().unwrap_or("default");
        self.stat(&format!("wasmcustom.tollkeeper.revision.instance.{instance}")).await
    }

    /// Starts the key service, if it does not run, where it was before.
    pub async fn start_key_service(&mut self) {
        or_end(self.key_service_process.start().await);
    }

    /// Ends the key service at once, as a crash would.
    pub fn kill_key_service(&mut self) {
        or_end(self.key_service_process.kill());
    }

    /// While the key service is dead: starts it where Envoy does not find it, lets `change` use its admin API, and
    /// ends it again.
    pub async fn out_of_reach<T>(&self, change: impl AsyncFnOnce(&KeyService) -> T) -> T {
        let mut elsewhere = self.key_service_process.elsewhere(or_end(reserve()));
        or_end(elsewhere.start().await);
        let admin = or_end(KeyService::new(elsewhere.address(), elsewhere.tokens().admin.clone()));
        let changed = change(&admin).await;
        or_end(elsewhere.kill());
        changed
    }

    /// Ends the key service at once and starts it again.
    pub async fn restart_key_service(&mut self) {
        self.kill_key_service();
        self.start_key_service().await;
    }

    /// Pushes the filter's configuration, edited, to the running Envoy. The edit stays for the next push only if
    /// Envoy accepts it. Requests built after that use new connections, since open ones keep the old configuration.
    pub async fn push_filter(&mut self, edit: impl FnOnce(&mut Value)) -> Pushed {
        let mut next = self.bootstrap.clone();
        or_end(next.filter(edit));
        self.push(next).await
    }

    /// Pushes any edit of Envoy's configuration (only its listener counts) to the running Envoy.
    pub async fn push_config(&mut self, edit: impl FnOnce(&mut Bootstrap) -> Result<()>) -> Pushed {
        let mut next = self.bootstrap.clone();
        or_end(edit(&mut next));
        self.push(next).await
    }

    async fn push(&mut self, next: Bootstrap) -> Pushed {
        let pushed = or_end(self.envoy.push(&next).await);
        if pushed == Pushed::Accepted {
            self.bootstrap = next;
            self.http1 = or_end(client().and_then(|builder| Ok(builder.http1_only().build()?)));
            self.http2 = or_end(client().and_then(|builder| Ok(builder.http2_prior_knowledge().build()?)));
        }
        pushed
    }

    /// The answer of Envoy's admin interface to a GET.
    pub async fn admin(&self, path: &str) -> String {
        or_end(self.envoy.admin_get(path).await)
    }

    /// A counter or gauge of Envoy by its full name; `None` while there is no such metric.
    pub async fn stat(&self, name: &str) -> Option<u64> {
        or_end(self.envoy.stat(name).await)
    }

    /// Envoy's log up to now.
    pub fn envoy_log(&self) -> String {
        self.envoy.log()
    }

    /// The tokens of this installation: to look for them where they must not be.
    pub fn tokens(&self) -> &Tokens {
        self.key_service_process.tokens()
    }

    /// The key service's log up to now.
    pub fn key_service_log(&self) -> String {
        self.key_service_process.log()
    }

    /// Waits until `found` picks one of the access log's entries.
    pub async fn access_log_entry(&self, found: impl Fn(&Value) -> bool) -> Value {
        let entry = wait_until("the access log has the entry", SYNC_LIMIT, async || {
            let text = std::fs::read_to_string(self.directory.as_ref()?.path().join(ACCESS_LOG)).ok()?;
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).find(|entry| found(entry))
        });
        or_end(entry.await)
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
    format!("the logs and configuration of this edge are kept in {}", directory.keep().display())
}

const ACCESS_LOG: &str = "access.log";

fn key_service_launch(directory: &Path) -> Result<keyservice_process::Launch> {
    Ok(keyservice_process::Launch {
        program: artifacts::key_service()?,
        directory: directory.to_owned(),
        database: directory.join("tollkeeper.db"),
        address: reserve()?,
        tokens: Tokens::random()?,
        group: ProcessGroup::Shared,
    })
}

fn bootstrap(directory: &Path, upstream: SocketAddr, key_service: SocketAddr) -> Result<Bootstrap> {
    let mut bootstrap = Bootstrap::edge()?;
    bootstrap.listener(local(0))?;
    bootstrap.admin(local(0))?;
    bootstrap.cluster("upstream", upstream)?;
    bootstrap.cluster("keyservice", key_service)?;
    bootstrap.wasm(&artifacts::filter()?)?;
    bootstrap.access_log(&directory.join(ACCESS_LOG))?;
    Ok(bootstrap)
}

fn client() -> Result<reqwest::ClientBuilder> {
    let none = reqwest::redirect::Policy::none();
    Ok(reqwest::Client::builder().no_proxy().redirect(none).timeout(Duration::from_secs(30)))
}

#[expect(clippy::panic, reason = "a harness ends the test where it stands, with everything that went wrong")]
fn or_end<T>(outcome: Result<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}
