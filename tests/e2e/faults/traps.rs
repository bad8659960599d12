//! VMs of the filter trap under traffic: a worker's, the main thread's, both at the same time.

use std::time::Duration;

use lab::{edge::Edge, envoy::Pushed};
use serde_json::json;

use super::{Course, LIMIT, becomes, number, sort::Sort, sorts, with_tokens};
use crate::{
    stewardship::last_thread,
    traps::{log_counts, trap, trapping},
};

/// How long connections under a configuration that was replaced may live on.
const DRAIN: Duration = Duration::from_secs(2);

/// Which VMs trap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vms {
    Worker,
    MainThread,
    Both,
}

const ALL: [(&str, Vms); 3] =
    [("worker_traps", Vms::Worker), ("worker_and_main_thread_trap", Vms::Both), ("main_thread_traps", Vms::MainThread)];

impl Vms {
    fn has_worker(self) -> bool {
        self != Self::MainThread
    }

    fn has_main_thread(self) -> bool {
        self != Self::Worker
    }

    fn count(self) -> usize {
        usize::from(self.has_worker()) + usize::from(self.has_main_thread())
    }

    /// What is in flight on the worker fails, and until its VM is loaded again Envoy refuses by itself; otherwise nothing does.
    fn due(self, sorts: &[Sort]) -> Vec<Sort> {
        let sorts = sorts.iter().cloned();
        if self.has_worker() { sorts.map(|sort| sort.perhaps("503")).collect() } else { sorts.collect() }
    }

    async fn trap(self, edge: &Edge) {
        let traps = log_counts(edge).0;
        let (who, status) = match self {
            Self::Worker => ("worker", 503),
            Self::MainThread => ("steward", 200),
            Self::Both => ("both", 503),
        };
        assert_eq!(trap(edge, who).await.status(), status);
        edge.wait_until("it has trapped", LIMIT, async || (log_counts(edge).0 == traps + self.count()).then_some(()))
            .await;
    }
}

/// What an operator sees of how it heals.
#[derive(Clone, Copy)]
struct Healed {
    loads: u64,
    stewards: usize,
}

impl Healed {
    async fn of(edge: &Edge) -> Self {
        let loads = edge.stat("wasm.tollkeeper.vm_reload_success").await.unwrap_or(0);
        Self { loads, stewards: log_counts(edge).1 }
    }

    /// A worker's VM is loaded again by a request; in the main thread's place, a worker is steward.
    async fn waits_for(self, vms: Vms, edge: &Edge) {
        edge.wait_until("it heals", LIMIT, async || {
            let now = Self::of(edge).await;
            let worker = !vms.has_worker() || now.loads > self.loads;
            let steward = !vms.has_main_thread() || now.stewards > self.stewards;
            (worker && steward).then_some(())
        })
        .await;
    }
}

async fn the_main_thread_is_steward(edge: &Edge) {
    let main = last_thread(&edge.envoy_log(), "starting workers");
    edge.wait_until("the main thread is steward", LIMIT, async || {
        (last_thread(&edge.envoy_log(), "this VM is steward now") == main).then_some(())
    })
    .await;
}

/// Waits until no connection is left under a configuration that was replaced: with each of them, a worker loads a VM by itself.
async fn nothing_drains(edge: &Edge) {
    edge.wait_until("nothing drains", LIMIT, async || {
        let draining = edge.stat("listener_manager.total_filter_chains_draining").await;
        (draining.unwrap_or(0) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_vms_trap_nobody_gets_in_and_soon_every_request_is_answered_and_every_change_made_as_before() {
    let mut edge = Edge::synced_start(|setup| trapping(with_tokens(setup)).drains_within(DRAIN)).await;
    let sorts = sorts(&edge).await;
    // Once a worker serves requests, the main thread is steward.
    becomes(&edge, &sorts[0].header.1, "200").await;
    let times = usize::try_from(number("FAULT_TRAPS", 1)).unwrap();
    for (name, vms) in ALL {
        let mut course = Course::start(&edge, name, vms.due(&sorts)).asks_for_traps(times * vms.count());
        course.begins_to_break().await;
        for time in 0..times {
            if vms.has_worker() {
                nothing_drains(&edge).await;
            }
            the_main_thread_is_steward(&edge).await;
            let before = Healed::of(&edge).await;
            let heals = async |edge: &Edge| before.waits_for(vms, edge).await;
            course.breaks_and_heals(&mut edge, async |edge| vms.trap(edge).await, heals).await;
            if vms.has_main_thread() {
                // Its VM is loaded again only for another configuration.
                let realm = json!(format!("{name} {time}"));
                assert_eq!(edge.push_filter(|filter| filter["realm"] = realm).await, Pushed::Accepted);
            }
        }
        the_main_thread_is_steward(&edge).await;
        course.is_over().await;
        course.ends(&edge).await;
    }
}
