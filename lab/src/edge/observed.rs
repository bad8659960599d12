//! Envoy's configuration, metrics and logs while it runs.

use anyhow::Result;
use serde_json::Value;
use std::fs::{self, DirEntry};

use super::setup::{ACCESS_LOG, LISTENER};
use super::{Edge, SYNC_LIMIT, client, or_end};
use crate::bootstrap::Bootstrap;
use crate::envoy::{Envoy, Pushed, Talk};
use crate::poll::wait_until;
use crate::process::Process;

impl Edge {
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

    pub(super) async fn push(&mut self, next: Bootstrap) -> Pushed {
        let pushed = or_end(self.envoy.push(&next).await);
        if pushed == Pushed::Accepted {
            self.bootstrap = next;
            self.http1 = or_end(client().and_then(|builder| Ok(builder.http1_only().build()?)));
            self.http2 = or_end(client().and_then(|builder| Ok(builder.http2_prior_knowledge().build()?)));
        }
        pushed
    }

    /// The filter's configuration, as it was pushed last.
    pub fn filter_configuration(&self) -> Value {
        or_end(self.bootstrap.clone().filter_configuration())
    }

    /// Ends Envoy at once (SIGKILL), as a crash would.
    pub fn kill_envoy(&mut self) {
        or_end(self.envoy.process().kill());
    }

    /// Starts Envoy, which has been killed, with the configuration that it had last, at the place that `Setup::comes_back`
    /// gave it.
    pub async fn start_envoy(&mut self) {
        self.envoy = or_end(Envoy::start(&self.bootstrap, &self.launch).await);
        assert_eq!(or_end(self.envoy.listener(LISTENER).await), self.address, "it comes back to its place");
    }

    /// Envoy's process: to look at it, or to confine it.
    pub fn envoy_process(&mut self) -> &mut Process {
        self.envoy.process()
    }

    /// How much memory of the machine Envoy uses now, in KiB.
    pub fn envoy_resident_kib(&self) -> u64 {
        or_end(self.envoy.resident_kib())
    }

    /// Freezes Envoy (SIGSTOP): connections are made, and nothing is answered until [`Self::resume_envoy`].
    pub fn pause_envoy(&mut self) {
        or_end(self.envoy.process().pause());
    }

    /// Lets Envoy go on where it was frozen.
    pub fn resume_envoy(&mut self) {
        or_end(self.envoy.process().resume());
    }

    /// The answer of Envoy's admin interface to a GET.
    pub async fn admin(&self, path: &str) -> String {
        or_end(self.envoy.admin_get(path).await)
    }

    /// From now on Envoy logs as much.
    pub async fn talks(&self, talk: Talk) {
        or_end(self.envoy.talks(talk).await);
    }

    /// A counter or gauge of Envoy by its full name; `None` while there is no such metric.
    pub async fn stat(&self, name: &str) -> Option<u64> {
        or_end(self.envoy.stat(name).await)
    }

    /// Every file of this edge, by its name: logs, configurations, the database.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let directory = self.directory.as_ref().map(|directory| directory.path());
        let entries = directory.into_iter().flat_map(|directory| or_end(fs::read_dir(directory).map_err(Into::into)));
        let read =
            |entry: DirEntry| Some((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).ok()?));
        entries.filter_map(|entry| read(entry.ok()?)).collect()
    }

    /// Envoy's log up to now.
    pub fn envoy_log(&self) -> String {
        self.envoy.log()
    }

    /// How many VMs of the filter have trapped.
    pub fn vm_traps(&self) -> usize {
        self.envoy_log().matches("Uncaught RuntimeError").count()
    }

    /// Waits until `found` picks one of the access log's entries.
    pub async fn access_log_entry(&self, found: impl Fn(&Value) -> bool) -> Value {
        let entry = wait_until("the access log has the entry", SYNC_LIMIT, async || {
            let text = std::fs::read_to_string(self.directory.as_ref()?.path().join(ACCESS_LOG)).ok()?;
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).find(|entry| found(entry))
        });
        or_end(entry.await)
    }
}
