//! A real Valkey for one test: on a free port of this machine, in memory only, gone when the test ends.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::artifacts;
use crate::poll::wait_until;
use crate::port;
use crate::process::Process;

const READY_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What is for tests only: nothing outlives the process, and a test that runs wild is refused, not the machine.
const SETTINGS: [&str; 10] = [
    "--save",
    "",
    "--appendonly",
    "no",
    "--maxmemory",
    "64mb",
    "--maxmemory-policy",
    "noeviction",
    "--daemonize",
    "no",
];

/// A server that may be running or not. Dropping it kills it.
#[derive(Debug)]
pub struct Valkey {
    process: Option<Process>,
    address: SocketAddr,
    settings: Vec<String>,
    // Behind the process: a folder in use must not be removed.
    folder: TempDir,
}

impl Valkey {
    /// Starts an empty one and waits until it answers.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Like [`Self::start`], with more arguments for the server, such as `--cluster-enabled yes`.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn start_with(settings: &[&str]) -> Result<Self> {
        let mut settings: Vec<_> = settings.iter().map(|&setting| setting.to_owned()).collect();
        // A cluster's own port is 10,000 higher otherwise, where outgoing connections have theirs.
        settings.extend(["--cluster-port".to_owned(), port::reserve()?.port().to_string()]);
        let folder = TempDir::with_prefix("tollkeeper-valkey-")?;
        let mut valkey = Self { process: None, address: port::reserve()?, settings, folder };
        valkey.launch().await?;
        Ok(valkey)
    }

    /// Where it listens, or will again.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As clients are told: `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it at once (SIGKILL), as a crash would: its memory is lost. Nothing happens when it does not run.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            None => Ok(()),
            Some(mut process) => process.kill().map(drop),
        }
    }

    /// Ends it, if it runs, and starts it at the same address, empty.
    ///
    /// # Errors
    /// See [`Self::start`].
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.launch().await
    }

    /// Freezes it (SIGSTOP): connections are made, and nothing is answered until [`Self::resume`].
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub fn pause(&mut self) -> Result<()> {
        self.running()?.pause()
    }

    /// Lets it go on where it was frozen.
    ///
    /// # Errors
    /// When it does not run, or the system refuses.
    pub fn resume(&mut self) -> Result<()> {
        self.running()?.resume()
    }

    /// The first line of the answer to a command, such as `+PONG` to `PING` and `:0` to `DBSIZE`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn command(&self, command: &str) -> Result<String> {
        let talk = async {
            let mut stream = BufReader::new(TcpStream::connect(self.address).await?);
            stream.write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            Ok(line.trim_end().to_owned())
        };
        match timeout(ANSWER_LIMIT, talk).await {
            Ok(answer) => answer,
            Err(_) => bail!("Valkey does not answer to {command}"),
        }
    }

    fn running(&mut self) -> Result<&mut Process> {
        match &mut self.process {
            Some(process) => Ok(process),
            None => bail!("Valkey does not run"),
        }
    }

    async fn launch(&mut self) -> Result<()> {
        let log = self.folder.path().join("valkey.log");
        let mut process = Process::start("Valkey", &mut self.server()?, &log)?;
        let ready = wait_until("Valkey is ready", READY_LIMIT, async || {
            if let Err(ended) = process.ensure_running() {
                return Some(Err(ended));
            }
            self.command("PING").await.is_ok_and(|answer| answer == "+PONG").then_some(Ok(()))
        });
        match ready.await {
            Ok(outcome) => outcome?,
            Err(late) => bail!("{late}. {}", process.log_tail()),
        }
        self.process = Some(process);
        Ok(())
    }

    fn server(&self) -> Result<Command> {
        let mut server = Command::new(artifacts::valkey_server()?);
        server.args(["--bind", &self.address.ip().to_string(), "--port", &self.address.port().to_string()]);
        server.arg("--dir").arg(self.folder.path()).args(SETTINGS).args(&self.settings);
        Ok(server)
    }
}
