//! `keyservice fleet`.

use super::{
    CommandError, Target,
    client::view,
    output::{self, Output, or_dash},
};
use crate::api::wire::{FleetList, NodeView};

pub(super) async fn run(target: &Target) -> Result<(), CommandError> {
    let answer = target.client()?.get("/v1/fleet", &[]).await?;
    if target.output() == Output::Json {
        return Ok(output::write_json(&answer)?);
    }
    let fleet: FleetList = view(answer)?;
    let rows: Vec<_> = fleet.nodes.into_iter().map(row).collect();
    let table = output::table(&["NODE", "LIVE", "REVISION", "BEHIND", "LAST SEEN", "VERSION"], &rows);
    Ok(output::write(&format!("{table}the last change is revision {}\n", fleet.revision))?)
}

fn row(node: NodeView) -> Vec<String> {
    let live = if node.live { "yes" } else { "no" }.to_owned();
    let version = or_dash(node.version.as_deref());
    vec![node.name, live, node.revision.to_string(), node.lag.to_string(), node.last_seen, version]
}
