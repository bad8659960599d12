//! A fleet for tests: several edges on one key service, which keeps the books of quotas in a Valkey.

use std::thread;

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::setup::{Configure, key_service_launch};
use super::{Edge, Setup, kept, or_end};
use crate::envoy::Pushed;
use crate::key_service::KeyService;
use crate::keyservice_process::KeyServiceProcess;
use crate::valkey::Valkey;
use crate::way::Way;

/// Everything, running. Dropping it ends everything.
pub struct Fleet {
    nodes: Vec<Edge>,
    fallen: Vec<Edge>,
    configure: Box<Configure>,
    key_service_process: KeyServiceProcess,
    key_service: KeyService,
    valkey: Valkey,
    way: Option<Way>,
    // Last, because fields are dropped in order: the processes first, then their files.
    directory: Option<TempDir>,
}

impl Fleet {
    /// Starts `count` nodes, each as `configure` has it and with an upstream of its own, and waits until they have
    /// their keys.
    pub async fn start(count: usize, configure: impl Fn(Setup) -> Setup + 'static) -> Self {
        Self::start_on(None, count, configure).await
    }

    /// The same, with nodes that reach the key service on a way that can be cut.
    pub async fn start_on_a_way(count: usize, configure: impl Fn(Setup) -> Setup + 'static) -> Self {
        let way = or_end(Way::start().await);
        Self::start_on(Some(way), count, configure).await
    }

    async fn start_on(way: Option<Way>, count: usize, configure: impl Fn(Setup) -> Setup + 'static) -> Self {
        let valkey = or_end(Valkey::start().await);
        let directory = or_end(TempDir::with_prefix("tollkeeper-fleet-").map_err(Into::into));
        let environment = vec![("TOLLKEEPER_QUOTA_STORE".to_owned(), valkey.url())];
        let launch = or_end(key_service_launch(directory.path(), environment));
        let process = or_end(KeyServiceProcess::started(launch).await);
        if let Some(way) = &way {
            way.leads_to(process.address());
        }
        let key_service = or_end(KeyService::new(process.address(), process.tokens().admin.clone()));
        let mut fleet = Self {
            nodes: Vec::new(),
            fallen: Vec::new(),
            configure: Box::new(configure),
            key_service_process: process,
            key_service,
            valkey,
            way,
            directory: Some(directory),
        };
        for _ in 0..count {
            fleet.start_node().await;
        }
        for node in &fleet.nodes {
            node.synced().await;
        }
        fleet
    }

    /// Starts one more node, and waits until it has its keys.
    pub async fn add_node(&mut self) {
        self.start_node().await.synced().await;
    }

    async fn start_node(&mut self) -> &Edge {
        let name = format!("node-{}", self.nodes.len() + self.fallen.len());
        let reached = self.way.as_ref().map(|way| self.key_service_process.elsewhere(way.address()));
        let setup = |setup: Setup| {
            let named =
                setup.joins(reached.as_ref().unwrap_or(&self.key_service_process)).bootstrap(move |bootstrap| {
                    bootstrap.node(&name);
                    Ok(())
                });
            (self.configure)(named)
        };
        let node = Edge::start(setup).await;
        self.nodes.push_mut(node)
    }

    /// The nodes that run.
    pub fn nodes(&self) -> &[Edge] {
        &self.nodes
    }

    /// The nodes that run: to change them.
    pub fn nodes_mut(&mut self) -> &mut [Edge] {
        &mut self.nodes
    }

    /// Ends the last node at once (SIGKILL). What reached its upstream still counts.
    pub fn kill_last_node(&mut self) {
        if let Some(mut node) = self.nodes.pop() {
            node.kill_envoy();
            self.fallen.push(node);
        }
    }

    /// How many requests have reached the upstreams of all nodes, of those that were killed too.
    pub fn hits(&self) -> u64 {
        self.nodes.iter().chain(&self.fallen).map(|node| node.upstream().hits()).sum()
    }

    /// How many requests with this value of `x-nonce` have reached the upstreams.
    pub fn hits_of(&self, nonce: &str) -> u64 {
        self.nodes.iter().chain(&self.fallen).map(|node| node.upstream().hits_of(nonce)).sum()
    }

    /// How many VMs of the filter have trapped, on nodes that were killed too.
    pub fn vm_traps(&self) -> usize {
        self.nodes.iter().chain(&self.fallen).map(Edge::vm_traps).sum()
    }

    /// Pushes the filter's configuration, edited, to every node; see [`Edge::push_filter`].
    pub async fn push_filter(&mut self, edit: impl Fn(&mut Value)) {
        for node in &mut self.nodes {
            assert_eq!(node.push_filter(&edit).await, Pushed::Accepted);
        }
    }

    /// The key service's admin API.
    pub fn key_service(&self) -> &KeyService {
        &self.key_service
    }

    /// Its process: to end it and to start it again.
    pub fn key_service_process(&mut self) -> &mut KeyServiceProcess {
        &mut self.key_service_process
    }

    /// The way on which nodes reach the key service: to cut it.
    ///
    /// # Panics
    /// When this fleet was not started on one.
    pub fn way(&self) -> &Way {
        or_end(self.way.as_ref().context("nodes reach the key service as it is"))
    }

    /// Where the books of quotas are: to kill it, empty it or freeze it.
    pub fn valkey(&mut self) -> &mut Valkey {
        &mut self.valkey
    }

    /// Makes a key of this team (and the team, if there is none), waits until every node knows it, returns it.
    pub async fn key(&self, team: &str) -> String {
        or_end(self.key_service.create_team(team, team).await);
        let described = json!({ "team": team, "scopes": ["read"] });
        let made = or_end(self.key_service.create_key(&described).await);
        self.serves(made.revision).await;
        made.key
    }

    /// Waits until every node serves this revision or a later one.
    pub async fn serves(&self, revision: u64) {
        for node in &self.nodes {
            node.serves(revision).await;
        }
    }
}

impl Drop for Fleet {
    #[expect(clippy::print_stderr, reason = "a failed test says where its files are")]
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(directory) = self.directory.take()
        {
            eprintln!("{}", kept(directory));
        }
    }
}
