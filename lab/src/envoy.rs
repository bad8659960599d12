//! A real Envoy: started, waited for, asked through its admin interface, given new listeners, and ended.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::access;
use crate::bootstrap::Bootstrap;
use crate::http;
use crate::poll::wait_until;
use crate::process::Process;

const READY_LIMIT: Duration = Duration::from_secs(30);
const PUSH_LIMIT: Duration = Duration::from_secs(20);

/// How Envoy is started, apart from its configuration.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Envoy's program.
    pub program: PathBuf,
    /// Where its files go: configuration, log, the admin interface's address.
    pub directory: PathBuf,
    /// Worker threads (`--concurrency`).
    pub workers: u32,
    /// Its environment, in addition to this process's own.
    pub environment: Vec<(String, OsString)>,
    /// Whose signals it gets.
    pub group: ProcessGroup,
    /// Where listeners come from.
    pub listeners: Listeners,
    /// How long connections under a replaced configuration may live on (`--drain-time-s`).
    pub drain: Duration,
}

/// Envoy's own default for [`Launch::drain`].
pub const DEFAULT_DRAIN: Duration = Duration::from_secs(600);

/// Whose signals from the terminal a child gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessGroup {
    /// This process's: a test runner that ends the group ends the child with it.
    Shared,
    /// None: Ctrl-C reaches only the parent, which stops its children in order.
    Own,
}

/// Where Envoy has its listeners from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listeners {
    /// The configuration that it is started with.
    Static,
    /// A file that it watches, see [`Envoy::push`].
    Watched,
}

/// What became of a pushed configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is being served to new connections.
    Accepted,
    /// It was refused (the log says why); the one before it goes on.
    Rejected,
}

/// How much Envoy logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// What happens.
    Usual,
    /// All that any of its loggers has to say, but for `file`: that one tells of each line in its own log.
    Everything,
}

/// A running Envoy. Dropping it kills it.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
    watched_file: PathBuf,
    version: AtomicU64,
    client: reqwest::Client,
}

impl Envoy {
    /// Starts Envoy and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(bootstrap: &Bootstrap, launch: &Launch) -> Result<Self> {
        let directory = &launch.directory;
        let watched_file = directory.join("listeners.json");
        let configuration = match launch.listeners {
            Listeners::Static => bootstrap.to_json(),
            Listeners::Watched => {
                let dynamic = bootstrap.dynamic(&watched_file, 0)?;
                access::write_private(&watched_file, dynamic.listeners.to_string().as_bytes())?;
                format!("{:#}", dynamic.bootstrap)
            }
        };
        let file = directory.join("envoy.json");
        access::write_private(&file, configuration.as_bytes())?;
        let admin_file = directory.join("envoy-admin.address");
        let _ = fs::remove_file(&admin_file);
        let mut process =
            Process::start("Envoy", &mut command(launch, &file, &admin_file), &directory.join("envoy.log"))?;
        let client = http::client()?.timeout(Duration::from_secs(10)).build()?;
        let admin = wait_for_admin(&mut process, &admin_file).await?;
        let mut envoy = Self { process, admin, watched_file, version: AtomicU64::new(0), client };
        envoy.wait_for_ready().await?;
        Ok(envoy)
    }

    /// Where its admin interface listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process: to check on it or to stop it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// How much memory of the machine it uses now, in KiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_kib(&self) -> Result<u64> {
        self.process.resident_kib()
    }

    /// Its whole log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The answer of the admin interface to a GET.
    ///
    /// # Errors
    /// When it does not answer 200.
    pub async fn admin_get(&self, path: &str) -> Result<String> {
        let answer = self.client.get(format!("http://{}{path}", self.admin)).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// From now on logs as much.
    ///
    /// # Errors
    /// When the admin interface does not answer 200.
    pub async fn talks(&self, talk: Talk) -> Result<()> {
        let ask = async |wish: &str| -> Result<String> {
            let answer = self.client.post(format!("http://{}/logging{wish}", self.admin)).send().await?;
            Ok(answer.error_for_status()?.text().await?)
        };
        let wish = match talk {
            Talk::Usual => "?level=info".to_owned(),
            Talk::Everything => {
                let loggers = ask("").await?;
                let names = loggers.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(':'));
                let levels: Vec<_> =
                    names.filter(|(name, _)| *name != "file").map(|(name, _)| format!("{name}:trace")).collect();
                format!("?paths={}", levels.join(","))
            }
        };
        ask(&wish).await.map(drop)
    }

    /// Where the listener `name` really listens.
    ///
    /// # Errors
    /// When there is none, which is so when its configuration was refused; with the end of the log.
    pub async fn listener(&self, name: &str) -> Result<SocketAddr> {
        let all: Value = serde_json::from_str(&self.admin_get("/listeners?format=json").await?)?;
        let found = all["listener_statuses"].as_array().into_iter().flatten().find(|listener| listener["name"] == name);
        let Some(address) = found.map(|listener| &listener["local_address"]["socket_address"]) else {
            bail!("Envoy has no listener {name}. {}", self.process.log_tail());
        };
        let ip = address["address"].as_str().context("listener without an address")?;
        let port = address["port_value"].as_u64().context("listener without a port")?;
        Ok(SocketAddr::new(ip.parse()?, u16::try_from(port)?))
    }

    /// A counter or gauge by its full name; `None` while there is no such metric.
    ///
    /// # Errors
    /// When the admin interface does not answer.
    pub async fn stat(&self, name: &str) -> Result<Option<u64>> {
        let lines = self.admin_get("/stats").await?;
        Ok(lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse().ok()))
    }

    /// Replaces the listener's configuration in the watched file, and waits for Envoy's judgement. Connections that
    /// are open keep the old one.
    ///
    /// # Errors
    /// When Envoy does not come to a judgement.
    pub async fn push(&self, bootstrap: &Bootstrap) -> Result<Pushed> {
        const ACCEPTED: &str = "listener_manager.lds.update_success";
        const REJECTED: &str = "listener_manager.lds.update_rejected";
        let before = (self.stat(ACCEPTED).await?, self.stat(REJECTED).await?);
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let dynamic = bootstrap.dynamic(&self.watched_file, version)?;
        access::write_private(&self.watched_file, dynamic.listeners.to_string().as_bytes())?;
        wait_until("Envoy has judged the pushed configuration", PUSH_LIMIT, async || {
            if self.stat(REJECTED).await.ok()? > before.1 {
                return Some(Pushed::Rejected);
            }
            (self.stat(ACCEPTED).await.ok()? > before.0).then_some(Pushed::Accepted)
        })
        .await
        .with_context(|| self.process.log_tail())
    }

    async fn wait_for_ready(&mut self) -> Result<()> {
        let url = format!("http://{}/ready", self.admin);
        let (process, client) = (&mut self.process, &self.client);
        let outcome = wait_until("Envoy says that it is ready", READY_LIMIT, async || {
            if let Err(ended) = process.ensure_running() {
                return Some(Err(ended));
            }
            let answer = client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(Ok(()))
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(late) => bail!("{late}. {}", self.process.log_tail()),
        }
    }
}

fn command(launch: &Launch, configuration: &Path, admin_file: &Path) -> Command {
    let mut command = Command::new(&launch.program);
    command
        .arg("--config-path")
        .arg(configuration)
        .arg("--admin-address-path")
        .arg(admin_file)
        .args(["--concurrency", &launch.workers.to_string()])
        .args(["--drain-time-s", &launch.drain.as_secs().to_string()])
        // Hot restart uses shared memory under a fixed number, which two Envoys would fight over.
        .arg("--disable-hot-restart")
        // Its first hundred lines list what is compiled in, which hides what matters.
        .args(["--component-log-level", "main:warning,wasm:info"])
        .args(["--file-flush-interval-msec", "50"])
        .envs(launch.environment.iter().map(|(name, value)| (name, value)));
    launch.group.apply(&mut command);
    command
}

async fn wait_for_admin(process: &mut Process, file: &Path) -> Result<SocketAddr> {
    let outcome = wait_until("Envoy's admin interface listens", READY_LIMIT, async || {
        if let Err(ended) = process.ensure_running() {
            return Some(Err(ended));
        }
        Some(Ok(fs::read_to_string(file).ok()?.trim().parse::<SocketAddr>().ok()?))
    });
    match outcome.await {
        Ok(outcome) => outcome,
        Err(late) => bail!("{late}. {}", process.log_tail()),
    }
}

impl ProcessGroup {
    /// Prepares a command so that its process belongs to this group.
    pub fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        match self {
            Self::Shared => {}
            Self::Own => {
                command.process_group(0);
            }
        }
    }
}
