//! One quota over three Envoys, two workers each, whose leases come from a key service with a Valkey behind it.

mod changes;
pub(crate) mod demand;
mod figure;
mod nodes;
mod outage;
mod promise;
pub(crate) mod record;
mod teams;
mod terms;
mod waiting;

use lab::edge::{Fleet, Setup};
use record::Quota;
use serde_json::{Value, json};

const NODES: usize = 3;
const PATH: &str = "/api/acme/x";

/// Three nodes with these settings of `quota`.
async fn fleet(quota: Quota, more: Value) -> Fleet {
    Fleet::start(NODES, configured(quota, more)).await
}

fn configured(quota: Quota, more: Value) -> impl Fn(Setup) -> Setup {
    let mut settings = json!({
        "scope": "fleet",
        "limit": quota.limit,
        "window_seconds": quota.window.as_secs(),
    });
    crate::scene::adopt(&mut settings, more);
    move |setup| {
        let settings = settings.clone();
        setup.workers(2).filter(move |filter| filter["quota"] = settings)
    }
}

/// How often nodes have called the key service for leases.
pub(crate) async fn calls_for_leases(fleet: &Fleet) -> u64 {
    let answer = fleet.key_service().request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    let calls = metrics.lines().filter(|line| line.starts_with("keyservice_requests_total{"));
    let calls = calls.filter(|line| line.contains("\"/node/v1/leases\""));
    calls.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}
