//! How an edge is started, and what a test wants to be different.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Edge, SYNC_LIMIT, client, kept, or_end};
use crate::artifacts;
use crate::authority::Certificate;
use crate::bootstrap::Bootstrap;
use crate::envoy::{self, Envoy, Listeners, ProcessGroup, Pushed};
use crate::faults::Faults;
use crate::key_service::KeyService;
use crate::keyservice_process::{self, KeyServiceProcess};
use crate::poll::wait_until;
use crate::port::{local, reserve};
use crate::secret::Tokens;
use crate::upstream::Upstream;

pub(super) const LISTENER: &str = "edge";
pub(super) const ACCESS_LOG: &str = "access.log";

/// What a test wants to be different; see [`Edge::start`].
pub struct Setup {
    workers: u32,
    key_service: AtStart,
    edits: Vec<Edit>,
    environment: Vec<(String, String)>,
    file: &'static str,
    key_service_environment: Vec<(String, String)>,
    drain: Duration,
    certificate: Option<Certificate>,
    database: Option<PathBuf>,
}

/// What each edge of a fleet wants to be different.
pub(super) type Configure = dyn Fn(Setup) -> Setup;

type Edit = Box<dyn FnOnce(&mut Bootstrap) -> Result<()>>;

enum AtStart {
    Running,
    Absent,
    /// Another edge's, or a fleet's.
    Elsewhere(Box<keyservice_process::Launch>),
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

    /// Uses a key service that somebody else starts, and that this edge cannot end.
    #[must_use]
    pub fn joins(mut self, key_service: &KeyServiceProcess) -> Self {
        self.key_service = AtStart::Elsewhere(Box::new(key_service.launch().clone()));
        self
    }

    /// Starts Envoy with another file of the folder `envoy/`, such as `apis/mosaic.yaml`; `edge.yaml` unless said
    /// otherwise. Its listener is called `edge`, and its clusters `upstream`, `keyservice` and perhaps `login`.
    #[must_use]
    pub fn file(mut self, name: &'static str) -> Self {
        self.file = name;
        self
    }

    /// Lets the key service speak TLS, with this certificate. Envoy has to be told: its cluster is as the file has it.
    #[must_use]
    pub fn key_service_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Lets Envoy run on a machine with these faults.
    #[must_use]
    pub fn envoy_faults(self, faults: &Faults) -> Self {
        faults.environment().fold(self, |setup, (name, value)| setup.environment(name, value))
    }

    /// Lets the key service run on a machine with these faults.
    #[must_use]
    pub fn key_service_faults(self, faults: &Faults) -> Self {
        faults.environment().fold(self, |setup, (name, value)| setup.key_service_environment(name, value))
    }

    /// Lets the key service keep its data there: a file, or `postgres://…`.
    #[must_use]
    pub fn database(mut self, database: &str) -> Self {
        self.database = Some(database.into());
        self
    }

    /// Lets Envoy listen on a port that it comes back to when it is started again, see [`Edge::start_envoy`].
    #[must_use]
    pub fn comes_back(self) -> Self {
        self.bootstrap(|bootstrap| bootstrap.listener(reserve()?))
    }

    /// Sets a variable in the key service's environment, after the lab's own.
    #[must_use]
    pub fn key_service_environment(mut self, name: &str, value: &str) -> Self {
        self.key_service_environment.push((name.to_owned(), value.to_owned()));
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
            file: "edge.yaml",
            key_service_environment: Vec::new(),
            drain: envoy::DEFAULT_DRAIN,
            certificate: None,
            database: None,
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

    /// From now on the same Envoy serves another file of the folder `envoy/`, before a key service that knows nothing yet:
    /// like a new edge, without the time that Envoy takes to compile the module. The file's `instance` has to be another one,
    /// since what an instance knows stays in shared data. Best with [`Setup::drains_within`] a second.
    pub async fn begin_anew(&mut self, file: &str) {
        or_end(self.try_to_begin_anew(file).await);
        self.synced().await;
    }

    async fn try_to_begin_anew(&mut self, file: &str) -> Result<()> {
        self.key_service_process.kill()?;
        let launch = self.key_service_process.launch().clone();
        let next = bootstrap(file, &launch.directory, self.upstream.address(), launch.address)?;
        ensure!(next.instance()? != self.bootstrap.instance()?, "{file} is another configuration of the same instance");
        ensure!(self.push(next).await == Pushed::Accepted, "Envoy refuses {file}");
        self.try_to_drain().await?;
        let database = launch.directory.join(format!("{}.db", file.replace('/', "-")));
        self.key_service_process =
            KeyServiceProcess::started(keyservice_process::Launch { database, ..launch }).await?;
        Ok(())
    }

    /// Waits until nothing is served any more by a configuration that was replaced.
    pub async fn drained(&self) {
        or_end(self.try_to_drain().await);
    }

    async fn try_to_drain(&self) -> Result<()> {
        for draining in ["listener_manager.total_filter_chains_draining", "listener_manager.total_listeners_draining"] {
            let gone = async || (self.envoy.stat(draining).await.ok()? == Some(0)).then_some(());
            wait_until("what was served before is gone", SYNC_LIMIT, gone).await?;
        }
        Ok(())
    }

    async fn try_start(setup: Setup, directory: &Path) -> Result<Self> {
        let own = key_service_launch(directory, setup.key_service_environment)
            .map(|launch| keyservice_process::Launch { certificate: setup.certificate, ..launch })
            .map(|launch| keyservice_process::Launch { database: setup.database.unwrap_or(launch.database), ..launch });
        let service = match setup.key_service {
            AtStart::Elsewhere(launch) => KeyServiceProcess::stopped(*launch),
            AtStart::Absent => KeyServiceProcess::stopped(own?),
            AtStart::Running => KeyServiceProcess::started(own?).await?,
        };
        let upstream = Upstream::start(local(0)).await?;
        let mut bootstrap = bootstrap(setup.file, directory, upstream.address(), service.address())?;
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
            launch,
            address,
            bootstrap,
            http1: client()?.http1_only().build()?,
            http2: client()?.http2_prior_knowledge().build()?,
            upstream,
            key_service: KeyService::of(service.launch())?,
            key_service_process: service,
            directory: None,
        })
    }
}

pub(super) fn key_service_launch(
    directory: &Path,
    environment: Vec<(String, String)>,
) -> Result<keyservice_process::Launch> {
    Ok(keyservice_process::Launch {
        program: artifacts::key_service()?,
        directory: directory.to_owned(),
        database: directory.join("tollkeeper.db"),
        address: reserve()?,
        tokens: Tokens::random()?,
        certificate: None,
        environment,
        group: ProcessGroup::Shared,
    })
}

fn bootstrap(file: &str, directory: &Path, upstream: SocketAddr, key_service: SocketAddr) -> Result<Bootstrap> {
    let mut bootstrap = Bootstrap::of_file(file)?;
    bootstrap.listener(local(0))?;
    bootstrap.admin(local(0))?;
    bootstrap.cluster("upstream", upstream)?;
    bootstrap.cluster("keyservice", key_service)?;
    if bootstrap.has_cluster("login") {
        bootstrap.cluster("login", key_service)?;
    }
    bootstrap.wasm(&artifacts::filter()?)?;
    bootstrap.access_log(&directory.join(ACCESS_LOG))?;
    Ok(bootstrap)
}
