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

use lab::{
    edge::{Fleet, Setup},
    key_service::KeyService,
};
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
pub(crate) async fn calls_for_leases(service: &KeyService) -> u64 {
    sum_of(service, |name| name.starts_with("keyservice_requests_total{") && name.contains("\"/node/v1/leases\"")).await
}

/// How often the place was called in which books are kept: once for each account in a question.
pub(crate) async fn calls_for_books(fleet: &Fleet) -> u64 {
    sum_of(fleet.key_service(), |name| name.starts_with("keyservice_quota_store_calls_total{")).await
}

async fn sum_of(service: &KeyService, is_wanted: impl Fn(&str) -> bool) -> u64 {
    let answer = service.request(reqwest::Method::GET, "/metrics").send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    let lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
    lines.filter(|(name, _)| is_wanted(name)).map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}
