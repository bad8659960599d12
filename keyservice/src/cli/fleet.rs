//! `keyservice fleet`.

use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    CommandError, Target,
    client::view,
    output::{self, Output, or_dash},
    target::Wait,
    thing::told,
};
use crate::{
    api::wire::{FleetList, NodeView},
    domain::NodeName,
};

/// The nodes, or what to do with one.
#[derive(Args)]
pub(crate) struct Fleet {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Subcommand)]
enum Command {
    /// Forget a node that has ended, so that changes wait for it no longer.
    #[command(
        after_help = "A node that no longer calls may have ended, or may be cut off and serve what it had: nobody \
                            but you can tell. A node that calls again is remembered again.

Example:
  keyservice fleet forget 'edge-1#5f3a9c01'"
    )]
    Forget {
        /// The node's name, as `keyservice fleet` shows it.
        node: String,
    },
}

pub(super) async fn run(args: Fleet) -> Result<(), CommandError> {
    match args.command {
        None => list(&args.target).await,
        Some(Command::Forget { node }) => forget(&args.target, &node).await,
    }
}

async fn list(target: &Target) -> Result<(), CommandError> {
    let answer = target.client()?.get("/v1/fleet", &[]).await?;
    if target.output() == Output::Json {
        return Ok(output::write_json(&answer)?);
    }
    let fleet: FleetList = view(answer)?;
    let rows: Vec<_> = fleet.nodes.into_iter().map(row).collect();
    let head = ["NODE", "LIVE", "REVISION", "BEHIND", "LAST SEEN", "SERVES UNTIL", "VERSION"];
    let table = output::table(&head, &rows);
    Ok(output::write(&format!("{table}the last change is revision {}\n", fleet.revision))?)
}

fn row(node: NodeView) -> Vec<String> {
    let live = if node.live { "yes" } else { "no" }.to_owned();
    // A live node gets a new term with every call.
    let until = or_dash(Some(node.serves_until.as_str()).filter(|_| !node.live));
    let version = or_dash(node.version.as_deref());
    vec![node.name, live, node.revision.to_string(), node.lag.to_string(), node.last_seen, until, version]
}

async fn forget(target: &Target, node: &str) -> Result<(), CommandError> {
    let node = NodeName::parse(node).map_err(|rule| CommandError::Usage(rule.to_string()))?;
    let path = format!("/v1/fleet/{}", in_path(&node));
    let (answer, waited) = Wait::default().send(&target.client()?, Method::DELETE, &path, None).await?;
    told(target, answer, "forgotten", node.as_str().into(), &format!("node {node} is forgotten\n"), &waited)
}

/// The name as one segment of a path: names have `#` and may have `/`.
fn in_path(node: &NodeName) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    node.as_str().bytes().map(escaped).collect()
}
