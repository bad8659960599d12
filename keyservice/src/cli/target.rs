//! Where commands go, how they answer, and what they wait for.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{
    CommandError,
    client::{self, Client},
    output::Output,
};
use crate::{
    api::wire::FleetView,
    settings::{self, from_environment},
};

/// Commands about one sort of thing.
#[derive(Args)]
pub(crate) struct Group<C: Subcommand> {
    #[command(subcommand)]
    pub(crate) command: C,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// Where commands go, how they answer, and for whom they act.
#[derive(Args)]
pub(crate) struct Target {
    #[command(flatten)]
    place: Place,
    /// Who you are, for the audit log.
    #[arg(long, global = true, env = client::ACTOR, value_name = "NAME", value_parser = client::Actor::parse)]
    actor: Option<client::Actor>,
}

/// Where commands go, and how they answer.
#[derive(Args)]
pub(crate) struct Place {
    /// Where the key service is.
    #[arg(
        long,
        global = true,
        env = client::URL,
        hide_env_values = true,
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    url: String,
    /// The authority of a key service with TLS, in PEM; those of the system unless told.
    #[arg(long, global = true, env = client::CA, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Answer in JSON, as the admin API does; errors are JSON too.
    #[arg(long, global = true)]
    json: bool,
}

impl Target {
    pub(crate) fn client(&self) -> Result<Client, CommandError> {
        self.place.client(self.actor.clone())
    }

    pub(crate) fn output(&self) -> Output {
        self.place.output()
    }
}

impl Place {
    /// A client that acts for somebody, or for the holder of the admin token.
    pub(crate) fn client(&self, actor: Option<client::Actor>) -> Result<Client, CommandError> {
        Ok(Client::new(&self.url, self.ca_file.as_deref(), settings::admin_token(from_environment)?, actor)?)
    }

    pub(crate) fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}

/// How long a change waits for the nodes.
#[derive(Args, Clone, Copy, Default)]
pub(crate) struct Wait {
    /// Wait until every live node serves the change, for at most so many seconds (1 to 60) [default: 30].
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "30",
        value_parser = clap::value_parser!(u8).range(1..=60),
        value_name = "SECONDS"
    )]
    wait: Option<u8>,
}

impl Wait {
    /// Sends a change; with what it answers, and how far the nodes are if that was asked for.
    pub(crate) async fn send(
        self,
        client: &Client,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(Value, Waited), CommandError> {
        let answer = client.change(method, path, body, self.wait).await?;
        let fleet = answer.get("fleet").map(|fleet| client::view(fleet.clone())).transpose()?;
        Ok((answer, Waited(fleet)))
    }
}

/// How far the nodes were when the wait ended, if there was one.
#[derive(Default)]
pub(crate) struct Waited(Option<FleetView>);

impl Waited {
    /// The line that is written behind an answer.
    pub(crate) fn line(&self) -> String {
        match &self.0 {
            Some(fleet) if fleet.reached => {
                let nodes = if fleet.nodes == 1 { "live node serves" } else { "live nodes serve" };
                format!("{} {nodes} revision {} after {} ms\n", fleet.nodes, fleet.revision, fleet.waited_ms)
            }
            Some(_) | None => String::new(),
        }
    }

    /// Whether every node is there: those that are behind, and those that may be, are the matter of who waited.
    pub(crate) fn outcome(&self) -> Result<(), CommandError> {
        let Some(fleet) = self.0.as_ref() else { return Ok(()) };
        let mut missing = Vec::new();
        if !fleet.behind.is_empty() {
            let behind: Vec<_> = fleet.behind.iter().map(|node| format!("{} ({})", node.node, node.revision)).collect();
            missing.push(format!("these nodes do not serve revision {} yet: {}", fleet.revision, behind.join(", ")));
        }
        if !fleet.lost.is_empty() {
            missing.push(format!(
                "these nodes no longer call, and may serve what was before: {} (if one has ended, say so with \
                 `keyservice fleet forget NODE`)",
                fleet.lost.join(", ")
            ));
        }
        if missing.is_empty() && !fleet.reached {
            missing.push("the key service could not tell how far the nodes are".to_owned());
        }
        let reason = if fleet.behind.is_empty() && !fleet.lost.is_empty() { "nodes_lost" } else { "nodes_behind" };
        let detail = format!("the change is made, but after {} ms {}", fleet.waited_ms, missing.join("; "));
        if missing.is_empty() { Ok(()) } else { Err(CommandError::Incomplete { reason, detail }) }
    }
}
