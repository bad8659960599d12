//! The fleet: who has come how far, and waiting until a change has reached every live node.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::{
    api::{
        App,
        wire::{BehindView, FleetView},
    },
    domain::{By, NodeName, NodeSeen, Standing, Thing},
    edge,
    nodes::Nodes,
    store::{ActError, Refusal, Store, StoreError},
};

/// How often what nodes said is written to the database.
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// How often the database is asked for nodes that call another service.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The shortest pause between two looks at the fleet, however often nodes poll.
const PAUSE: Duration = Duration::from_millis(5);

/// Every node that is remembered, as it is known now.
///
/// # Errors
/// When the database fails.
pub async fn nodes(app: &App) -> Result<Vec<NodeSeen>, StoreError> {
    app.nodes.and(app.store.nodes()).await
}

/// Forgets a node that has ended, so that nobody waits for it.
///
/// # Errors
/// When no such node is remembered, it still calls, or the database fails.
pub async fn forget(app: &App, name: &NodeName, by: By) -> Result<(), ActError> {
    let now = edge::now();
    let known = nodes(app).await?.into_iter().find(|node| node.name == *name);
    let node = known.ok_or(Refusal::NoSuch(Thing::Node))?;
    if node.is_live(now) {
        return Err(Refusal::NodeIsLive.into());
    }
    app.store.forget_node(node, by, now).await?;
    app.nodes.forget(name);
    Ok(())
}

/// Waits until every live node serves `revision` or a later one, at most `seconds`, and says how it stands then.
///
/// It always answers: what the database does not tell counts as not reached.
pub async fn wait_for(app: &App, revision: u64, seconds: u64) -> FleetView {
    let began = Instant::now();
    let deadline = began + Duration::from_secs(seconds);
    let mut polls = app.nodes.watch_polls();
    let mut stopping = app.stopping.clone();
    loop {
        polls.mark_unchanged();
        let standing = match nodes(app).await {
            Ok(nodes) => Some(Standing::of(&nodes, revision, edge::now())),
            Err(error) => {
                tracing::warn!(%error, "cannot read how far the nodes are");
                None
            }
        };
        let has_reached = standing.as_ref().is_some_and(Standing::has_reached);
        if has_reached || Instant::now() >= deadline || *stopping.borrow() {
            return view(standing.unwrap_or_default(), has_reached, revision, began);
        }
        tokio::select! {
            _ = polls.changed() => {}
            () = sleep(ASK_EVERY) => {}
            () = sleep_until(deadline) => {}
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        sleep(PAUSE).await;
    }
}

fn view(standing: Standing, reached: bool, revision: u64, began: Instant) -> FleetView {
    let behind = |(node, revision): (_, u64)| BehindView { node: ToString::to_string(&node), revision };
    FleetView {
        reached,
        revision,
        waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        nodes: standing.live,
        behind: standing.behind.into_iter().map(behind).collect(),
        lost: standing.lost.iter().map(ToString::to_string).collect(),
    }
}

/// Writes what nodes say to the database, a little later and many at once, for ever.
///
/// A node that is new is written down at once: were this service killed before, the next one would wait for nobody.
pub async fn keep_writing(store: Store, nodes: impl AsRef<Nodes>) {
    let mut rounds = interval(WRITE_EVERY);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            () = nodes.as_ref().newcomer() => {}
        }
        write_down(&store, nodes.as_ref()).await;
    }
}

/// Writes what nodes have said since the last time.
pub async fn write_down(store: &Store, nodes: &Nodes) {
    let news = nodes.news();
    if news.is_empty() {
        return;
    }
    match store.note_nodes(&news).await {
        Ok(()) => nodes.told(&news),
        Err(error) => tracing::warn!(%error, "cannot note how far the nodes are; it will be tried again"),
    }
}
