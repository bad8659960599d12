//! A child process: ended by its id, and its output goes to a file whose end is in every failure message.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

const LOG_TAIL_LINES: usize = 30;
const LOG_LINE_CHARACTERS: usize = 500;

/// A running program. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to the file `log`.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output =
            OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}: {}", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Nothing while it runs; once it has ended, an error with its status and the end of its log.
    ///
    /// # Errors
    /// When it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}). {}", self.name, self.log_tail()),
        }
    }

    /// Asks it to end (SIGTERM), and after `grace` makes it (SIGKILL). Blocks until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.end(Signal::TERM, grace)
    }

    /// Asks it to end without finishing anything (SIGQUIT), and after `grace` makes it (SIGKILL). Blocks until it is
    /// gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn abort(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.end(Signal::QUIT, grace)
    }

    fn end(&mut self, signal: Signal, grace: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + grace;
        self.signal(signal)?;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.kill()
    }

    /// Ends it at once (SIGKILL), without a chance to clean up, and waits until it is gone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        Ok(self.child.wait()?)
    }

    /// Freezes it (SIGSTOP): it keeps everything and does nothing until [`Self::resume`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Tells it to read again what may have changed (SIGHUP).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn reload(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Lets all of its threads run on one core only, until [`Self::give_back_cores`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn confine_to_one_core(&self) -> Result<()> {
        let allowed = sched_getaffinity(None)?;
        let core = (0..CpuSet::MAX_CPU).find(|&core| allowed.is_set(core)).context("there is no core")?;
        let mut one = CpuSet::new();
        one.set(core);
        self.run_on(&one)
    }

    /// Lets all of its threads run wherever this process may.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn give_back_cores(&self) -> Result<()> {
        self.run_on(&sched_getaffinity(None)?)
    }

    fn run_on(&self, cores: &CpuSet) -> Result<()> {
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let id: i32 = thread?.file_name().to_string_lossy().parse()?;
            sched_setaffinity(Pid::from_raw(id), cores)?;
        }
        Ok(())
    }

    /// How much memory of the machine it uses now, in KiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("it has no memory")?;
        Ok(number.parse()?)
    }

    /// The end of its log, with the file's name in front.
    pub fn log_tail(&self) -> String {
        let text = read_lossy(&self.log);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(LOG_TAIL_LINES));
        let indented: String = tail.map(|line| format!("\n  | {}", shortened(line))).collect();
        format!("The end of {}:{indented}", self.log.display())
    }

    /// Its whole log.
    pub fn log(&self) -> String {
        read_lossy(&self.log)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // A child that has been waited for has given its id back: it may be somebody else's by now.
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to be told of an error; the child is gone or was never ours.
        let _ = self.kill();
    }
}

/// Envoy prints lines of many kilobytes.
fn shortened(line: &str) -> String {
    line.chars().take(LOG_LINE_CHARACTERS).collect()
}

fn read_lossy(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}
