//! A real key service: started on an address that it keeps over restarts, waited for, and ended.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::authority::Certificate;
use crate::envoy::ProcessGroup;
use crate::http;
use crate::poll::wait_until;
use crate::process::Process;
use crate::secret::Tokens;

const READY_LIMIT: Duration = Duration::from_secs(20);

/// How the key service is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The key service's program.
    pub program: PathBuf,
    /// Where its log and its address file go.
    pub directory: PathBuf,
    /// The SQLite file; made when it is not there.
    pub database: PathBuf,
    /// Where it listens, with a port other than 0, so that a restart comes back to it.
    pub address: SocketAddr,
    /// What its callers must present.
    pub tokens: Tokens,
    /// What it shows to its callers; without it, it speaks plain HTTP.
    pub certificate: Option<Certificate>,
    /// More of its environment.
    pub environment: Vec<(String, String)>,
    /// Whose signals it gets.
    pub group: ProcessGroup,
}

impl Launch {
    /// Where it is, for its callers.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// A key service that may be running or not. Dropping it kills it.
#[derive(Debug)]
pub struct KeyServiceProcess {
    launch: Launch,
    process: Option<Process>,
}

impl KeyServiceProcess {
    /// One that does not run yet.
    pub fn stopped(launch: Launch) -> Self {
        Self { launch, process: None }
    }

    /// One that is ready.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn started(launch: Launch) -> Result<Self> {
        let mut service = Self::stopped(launch);
        service.start().await?;
        Ok(service)
    }

    /// How it is started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Starts it, unless it runs, and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let log = self.launch.directory.join("keyservice.log");
        if let Some(certificate) = &self.launch.certificate {
            certificate.write_to(&self.launch.directory)?;
        }
        let mut process = Process::start("the key service", &mut self.command(), &log)?;
        let outcome = self.wait_for_ready(&mut process).await;
        self.process = Some(process);
        outcome
    }

    /// Ends it at once, as a crash would. Nothing happens when it does not run.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            None => Ok(()),
            Some(mut process) => process.kill().map(drop),
        }
    }

    /// Tells it to read its files again.
    ///
    /// # Errors
    /// When the service does not run.
    pub fn reload(&mut self) -> Result<()> {
        self.process.as_mut().context("the key service does not run")?.reload()
    }

    /// Gives it another certificate, which it shows to new connections.
    ///
    /// # Errors
    /// When it cannot be written, or the service does not run.
    pub fn renew(&mut self, certificate: Certificate) -> Result<()> {
        certificate.write_to(&self.launch.directory)?;
        self.launch.certificate = Some(certificate);
        self.reload()
    }

    /// Sets a variable in its environment, from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.launch.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where it listens, or will.
    pub fn address(&self) -> SocketAddr {
        self.launch.address
    }

    /// A second one over the same data, elsewhere.
    pub fn elsewhere(&self, address: SocketAddr) -> Self {
        Self::stopped(Launch { address, ..self.launch.clone() })
    }

    /// The tokens that it takes.
    pub fn tokens(&self) -> &Tokens {
        &self.launch.tokens
    }

    /// Its whole log, over all restarts.
    pub fn log(&self) -> String {
        fs::read(self.launch.directory.join("keyservice.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its process, while it runs: to check on it or to stop it.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    fn command(&self) -> Command {
        let launch = &self.launch;
        let mut command = Command::new(&launch.program);
        command
            .arg("serve")
            .env("TOLLKEEPER_LISTEN", launch.address.to_string())
            .env("TOLLKEEPER_ADDRESS_FILE", launch.directory.join("keyservice.address"))
            .env("TOLLKEEPER_DATABASE", &launch.database)
            // What the user's shell has for commands is not for this one.
            .env_remove("TOLLKEEPER_ADMIN_TOKEN_FILE")
            .env_remove("TOLLKEEPER_NODE_TOKEN_FILE")
            .env_remove("TOLLKEEPER_SIGNING_SECRET_FILE")
            .env("TOLLKEEPER_ADMIN_TOKEN", launch.tokens.admin.expose())
            .env("TOLLKEEPER_NODE_TOKEN", launch.tokens.node.expose())
            .env("TOLLKEEPER_SIGNING_SECRET", launch.tokens.signing.expose())
            .envs(launch.environment.iter().map(|(name, value)| (name, value)));
        if launch.certificate.is_some() {
            command
                .env("TOLLKEEPER_TLS_CERTIFICATE", launch.directory.join("tls.crt"))
                .env("TOLLKEEPER_TLS_KEY", launch.directory.join("tls.key"));
        }
        launch.group.apply(&mut command);
        command
    }

    async fn wait_for_ready(&self, process: &mut Process) -> Result<()> {
        let client = http::client()?.timeout(Duration::from_secs(5)).build()?;
        let url = format!("{}/readyz", self.launch.url());
        let outcome = wait_until("the key service says that it is ready", READY_LIMIT, async || {
            if let Err(ended) = process.ensure_running() {
                return Some(Err(ended));
            }
            let answer = client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(Ok(()))
        });
        match outcome.await {
            Ok(outcome) => outcome,
            Err(late) => bail!("{late}. {}", process.log_tail()),
        }
    }
}
