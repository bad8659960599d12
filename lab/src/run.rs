//! `lab run`: the whole of tollkeeper on this machine, with demo keys, in front until Ctrl-C.

mod api;
mod demo;
mod places;
mod print;
mod state;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;

use crate::artifacts;
use crate::bootstrap::Bootstrap;
use crate::envoy::{self, Envoy, Listeners, ProcessGroup};
use crate::key_service::KeyService;
use crate::keyservice_process::{self, KeyServiceProcess};
use crate::poll::wait_until;
pub use crate::run::api::Api;
pub use crate::run::places::Places;
use crate::run::state::State;
use crate::upstream::Upstream;

const GRACE: Duration = Duration::from_secs(5);
const SYNC_LIMIT: Duration = Duration::from_secs(20);
const WORKERS: u32 = 2;

/// Everything that runs. Fields are dropped in order, which is the order of stopping.
struct Running {
    envoy: Envoy,
    key_service: KeyServiceProcess,
    _upstream: Upstream,
}

/// Starts everything, with `envoy/edge.yaml` or the file of `api`, and stays until it is told to stop or a part of it ends.
///
/// # Errors
/// When a port is taken, something does not start, or a part of it ends by itself.
pub async fn run(places: &Places, api: Option<Api>) -> Result<()> {
    let mut stop = StopSignals::listen()?;
    let mut running = tokio::select! {
        started = start(places, api) => started?,
        () = stop.received() => return Ok(()),
    };
    tokio::select! {
        ended = watch(&mut running) => {
            print::progress("Stopping the others");
            ended.and_then(|()| stop_all(running))
        }
        () = stop.received() => {
            print::stopping();
            stop_all(running)
        }
    }
}

async fn start(places: &Places, api: Option<Api>) -> Result<Running> {
    places.ensure_free()?;
    let state = State::open()?;
    print::progress("Starting the key service");
    let mut key_service = KeyServiceProcess::stopped(key_service_launch(places, &state)?);
    key_service.start().await?;
    let admin_api = KeyService::new(places.key_service, state.tokens.admin.clone())?;
    let keys = demo::keys(&state, &admin_api).await?;
    print::progress("Starting Envoy and an echo upstream");
    let upstream = Upstream::start(places.upstream).await?;
    let mut bootstrap = bootstrap(places, &state, api)?;
    let instance = bootstrap.filter_configuration()?["instance"].as_str().unwrap_or("default").to_owned();
    let mut envoy = Envoy::start(&bootstrap, &envoy_launch(&state)?).await?;
    envoy.listener("edge").await?;
    print::progress("Waiting for the filter to fetch its keys");
    wait_for_sync(&mut envoy, &instance).await?;
    print::ready(places, api, &state, &keys);
    Ok(Running { envoy, key_service, _upstream: upstream })
}

fn key_service_launch(places: &Places, state: &State) -> Result<keyservice_process::Launch> {
    Ok(keyservice_process::Launch {
        program: artifacts::key_service()?,
        directory: state.directory.clone(),
        database: state.database(),
        address: places.key_service,
        tokens: state.tokens.clone(),
        environment: Vec::new(),
        certificate: None,
        group: ProcessGroup::Own,
    })
}

fn envoy_launch(state: &State) -> Result<envoy::Launch> {
    Ok(envoy::Launch {
        program: artifacts::envoy()?,
        directory: state.directory.clone(),
        workers: WORKERS,
        environment: vec![("TOLLKEEPER_NODE_TOKEN".to_owned(), state.tokens.node.expose().into())],
        group: ProcessGroup::Own,
        listeners: Listeners::Static,
        drain: envoy::DEFAULT_DRAIN,
    })
}

fn bootstrap(places: &Places, state: &State, api: Option<Api>) -> Result<Bootstrap> {
    let mut bootstrap = api.map_or_else(Bootstrap::edge, |api| Bootstrap::of_file(api.file()))?;
    bootstrap.listener(places.listener)?;
    bootstrap.admin(places.admin)?;
    bootstrap.cluster("upstream", places.upstream)?;
    bootstrap.cluster("keyservice", places.key_service)?;
    if bootstrap.has_cluster("login") {
        bootstrap.cluster("login", places.key_service)?;
    }
    bootstrap.wasm(&artifacts::filter()?)?;
    bootstrap.access_log(&state.access_log())?;
    Ok(bootstrap)
}

/// Until the filter shows which revision it serves. Asked of Envoy, not of the filter: a probe would be counted.
async fn wait_for_sync(envoy: &mut Envoy, instance: &str) -> Result<()> {
    let revision = format!("wasmcustom.tollkeeper.revision.instance.{instance}");
    let synced =
        wait_until("the filter has fetched its keys", SYNC_LIMIT, async || envoy.stat(&revision).await.ok()?);
    synced.await.map(drop).with_context(|| envoy.process().log_tail())
}

/// Ends only with an error: when a part has ended by itself.
async fn watch(running: &mut Running) -> Result<()> {
    let mut tick = interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        running.envoy.process().ensure_running()?;
        if let Some(process) = running.key_service.process() {
            process.ensure_running()?;
        }
    }
}

/// Envoy first, so that no request meets a half-stopped system.
fn stop_all(mut running: Running) -> Result<()> {
    running.envoy.process().stop(GRACE)?;
    if let Some(process) = running.key_service.process() {
        process.stop(GRACE)?;
    }
    Ok(())
}

/// The ways in which a terminal or a supervisor says "stop".
struct StopSignals([tokio::signal::unix::Signal; 3]);

impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
