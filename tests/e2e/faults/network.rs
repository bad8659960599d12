//! The way from an Envoy to its key service is cut: what is sent is lost, and nobody is told, not even when it is mended.

use std::time::{Duration, Instant};

use lab::{
    edge::{Edge, Setup},
    key_service::NewKey,
    way::Way,
};
use serde_json::json;

use super::{
    Course, LIMIT, PATH, gives_up_soon, lasting, sorts,
    stores::{WAIT, tokens_are_lent},
    sync_fails, sync_failures, with_tokens,
};
use crate::{fleet::calls_for_leases, scene};

/// How a cut ends.
type Mends = fn(&Way);

/// Each with its name.
const ENDS: [(&str, Mends); 2] =
    [("way_cut", Way::mend), ("way_cut_and_connections_dead_for_good", Way::mend_for_new_connections)];

/// With a quota of the fleet, whose limit is far above what is sent.
async fn edge_on_a_way() -> (Edge, Way) {
    let way = Way::start().await.unwrap();
    let address = way.address();
    let on_it = move |setup: Setup| {
        let quota = json!({ "scope": "fleet", "limit": 100_000, "window_seconds": 1, "wait_ms": WAIT.as_millis() });
        let setup = gives_up_soon(with_tokens(setup)).filter(move |filter| filter["quota"] = quota);
        setup.bootstrap(move |bootstrap| bootstrap.cluster("keyservice", address))
    };
    let mut edge = Edge::start(on_it).await;
    way.leads_to(edge.key_service_process().address());
    edge.synced().await;
    (edge, way)
}

/// An Envoy has a share when others would have heard of it, after three seconds. While nothing is wanted of it, it asks once in a
/// second how many there are.
async fn is_known(edge: &Edge) {
    let calls = calls_for_leases(edge.key_service()).await;
    edge.wait_until("it has asked often enough", LIMIT, async || {
        (calls_for_leases(edge.key_service()).await >= calls + 5).then_some(())
    })
    .await;
}

/// A team that has sent nothing yet has nobody to lend it anything: it has a share.
async fn has_a_share(edge: &Edge, team: &str, cold: &NewKey, allowed: Duration) {
    let path = format!("/api/{team}/x");
    edge.wait_until("the share has tokens", LIMIT, async || {
        let sent = Instant::now();
        let seen = scene::get(edge, &path, &cold.key).await;
        let took = sent.elapsed();
        assert!(took <= allowed, "it took {took:?}, and {allowed:?} are allowed: {seen:?}");
        assert_eq!(seen.header("x-auth-degraded"), "quota", "{seen:?}");
        (seen.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_way_to_the_key_service_is_cut_nobody_waits_for_it_and_afterwards_nothing_is_lost() {
    let (mut edge, way) = edge_on_a_way().await;
    // A share begins empty, and rests for a moment where leases begin again.
    let sorts = sorts(&edge).await.into_iter();
    let sorts: Vec<_> =
        sorts.map(|sort| if sort.is_valid() { sort.perhaps("429 quota_exhausted") } else { sort }).collect();
    let key = sorts[0].header.1.clone();
    for (name, mends) in ENDS {
        let doomed = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
        let team = format!("cold-{}", name.len());
        let cold = edge.new_key(&team, json!({ "scopes": ["read"] })).await;
        is_known(&edge).await;
        let mut course = Course::start(&edge, name, sorts.clone()).bound(WAIT);
        course.begins_to_break().await;
        let failures = sync_failures(&edge).await;
        way.cut();
        edge.key_service().revoke_key(&doomed.id).await.unwrap();
        course.is_broken_for(lasting()).await;
        sync_fails(&edge, failures).await;
        has_a_share(&edge, &team, &cold, course.allowed()).await;
        assert_eq!(scene::get(&edge, PATH, &doomed.key).await.status(), 200, "nothing of it can have arrived");
        let recovers = async |edge: &Edge| tokens_are_lent(edge, &key).await;
        course.is_mended_until(&mut edge, async |_| mends(&way), recovers).await;
        scene::get(&edge, PATH, &doomed.key).await.is_refused(401, "key_revoked");
        course.ends(&edge).await;
    }
}
