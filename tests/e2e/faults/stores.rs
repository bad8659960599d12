//! What the key service stands on breaks: its PostgreSQL, or the Valkey with the books of the fleet's quotas.

use std::time::Duration;

use lab::{artifacts, edge::Edge, postgres::Server, valkey::Valkey, way::Way};
use reqwest::Method;
use serde_json::json;

use super::{Course, LIMIT, PATH, lasting, sorts, with_tokens};

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_dead_keys_work_and_changes_are_refused_and_afterwards_nothing_confirmed_is_lost() {
    let mut postgres = Server::start(&artifacts::postgres_programs().unwrap()).await.unwrap();
    let database = format!("{}/postgres", postgres.url());
    let mut edge = Edge::synced_start(move |setup| with_tokens(setup).database(&database)).await;
    let sorts = sorts(&edge).await;
    let mut course = Course::start(&edge, "postgresql_killed", sorts);
    course.begins_to_break().await;
    postgres.kill().unwrap();
    course.is_broken_for(lasting()).await;
    course.is_mended(&mut edge, async |_| postgres.start_again().await.unwrap()).await;
    course.ends(&edge).await;
}

/// How long a request may wait for a lease: longer than by default, because the machine may be busy with other tests.
pub(super) const WAIT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy)]
enum Fault {
    Slow,
    Killed,
    Frozen,
    Emptied,
}

const FAULTS: [(&str, Fault); 4] = [
    ("valkey_slow", Fault::Slow),
    ("valkey_killed", Fault::Killed),
    ("valkey_frozen", Fault::Frozen),
    ("valkey_restarted_empty", Fault::Emptied),
];

impl Fault {
    async fn befalls(self, valkey: &mut Valkey, way: &Way) {
        match self {
            Self::Slow => way.slow_by(Duration::from_millis(300)),
            Self::Killed => valkey.kill().unwrap(),
            Self::Frozen => valkey.pause().unwrap(),
            Self::Emptied => valkey.restart().await.unwrap(),
        }
    }

    async fn is_over(self, valkey: &mut Valkey, way: &Way) {
        match self {
            Self::Slow => way.mend(),
            Self::Killed => valkey.restart().await.unwrap(),
            Self::Frozen => valkey.resume().unwrap(),
            Self::Emptied => {}
        }
    }
}

/// Waits until something more is lent, which is some seconds after the books are there again: first nodes tell what they spent.
/// Then shares are over as well.
pub(super) async fn tokens_are_lent(edge: &Edge, key: &str) {
    let before = granted(edge).await;
    edge.wait_until("tokens are lent", LIMIT, async || (granted(edge).await > before).then_some(())).await;
    edge.wait_until("requests spend them", LIMIT, async || {
        let answer = edge.get_over_new_connection(PATH).header("x-api-key", key).send().await.ok()?;
        (answer.status() == 200 && !answer.headers().contains_key("x-auth-degraded")).then_some(())
    })
    .await;
}

/// How many tokens have been lent.
async fn granted(edge: &Edge) -> u64 {
    let answer = edge.key_service().request(Method::GET, "/metrics").send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    let value = |line: &str| line.strip_prefix("keyservice_lease_tokens_granted_total ")?.parse().ok();
    metrics.lines().find_map(value).expect("it counts them")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_valkey_requests_are_admitted_by_leases_and_shares_and_wait_for_no_longer_than_they_may() {
    let mut valkey = Valkey::start().await.unwrap();
    let way = Way::start().await.unwrap();
    way.leads_to(valkey.address());
    let store = format!("redis://{}", way.address());
    let mut edge = Edge::synced_start(move |setup| {
        let quota = json!({ "scope": "fleet", "limit": 100_000, "window_seconds": 1, "wait_ms": WAIT.as_millis() });
        with_tokens(setup).key_service_environment("TOLLKEEPER_QUOTA_STORE", &store).filter(move |filter| {
            filter["quota"] = quota;
        })
    })
    .await;
    // The limit is far above what is sent. But a share begins empty, and rests for a moment where leases begin again.
    let sorts = sorts(&edge).await.into_iter();
    let sorts: Vec<_> =
        sorts.map(|sort| if sort.is_valid() { sort.perhaps("429 quota_exhausted") } else { sort }).collect();
    let key = sorts[0].header.1.clone();
    for (name, fault) in FAULTS {
        let mut course = Course::start(&edge, name, sorts.clone()).bound(WAIT);
        course.begins_to_break().await;
        fault.befalls(&mut valkey, &way).await;
        course.is_broken_for(lasting()).await;
        let mends = async |_: &mut Edge| fault.is_over(&mut valkey, &way).await;
        course.is_mended_until(&mut edge, mends, async |edge| tokens_are_lent(edge, &key).await).await;
        course.ends(&edge).await;
    }
}
