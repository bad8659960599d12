//! What is told of a request beside its quota holds for one that is lent, too: its cost, shadow mode, and who decided it.

use std::time::Duration;

use lab::edge::Edge;
use serde_json::{Value, json};

use crate::scene;

const MONTH: u64 = 2_678_400;

/// One node of a fleet, whose key service keeps the books.
async fn node(limit: u32, window_seconds: u64, routes: Value) -> Edge {
    let quota = json!({ "scope": "fleet", "limit": limit, "window_seconds": window_seconds });
    scene::edge_with(json!({ "routes": routes, "quota": quota, "unmatched": "refuse" })).await
}

#[tokio::test]
async fn a_request_costs_a_fleet_what_its_route_says_and_a_refused_one_nothing() {
    let edge = node(
        10,
        MONTH,
        json!([
            { "path": "/api/{team}/free", "cost": 0 },
            { "path": "/api/{team}/dear", "cost": 4 },
            { "path": "/api/{team}/write", "scopes": ["write"] },
            { "path": "/api/{team}/x" },
        ]),
    )
    .await;
    let key = edge.key("acme", &["read"]).await;
    let get = async |path| scene::get(&edge, path, &key).await;
    get("/api/acme/x").await.is_granted();
    for _ in 0..5 {
        get("/api/acme/free").await.is_granted();
        scene::get(&edge, "/api/acme/x", "unknown").await.is_refused(401, "unknown_key");
        get("/api/globex/x").await.is_refused(403, "team_mismatch");
        get("/api/acme/write").await.is_refused(403, "missing_scope");
    }
    for left in ["\"team\";r=5;", "\"team\";r=1;"] {
        let granted = get("/api/acme/dear").await;
        granted.is_granted();
        assert!(granted.header("ratelimit").starts_with(left), "{granted:?}");
    }
    for _ in 0..3 {
        get("/api/acme/dear").await.is_refused(429, "quota_exhausted");
    }
    get("/api/acme/x").await.is_granted();
    get("/api/acme/x").await.is_refused(429, "quota_exhausted");
    get("/api/acme/free").await.is_granted();
}

#[tokio::test]
async fn what_is_over_a_fleets_quota_that_is_only_told_reaches_the_upstream() {
    let edge = node(2, MONTH, json!([{ "path": "/api/{team}/...", "shadow": "quota" }])).await;
    let key = edge.key("acme", &["read"]).await;
    for _ in 0..2 {
        scene::get(&edge, "/api/acme/x", &key).await.is_granted();
    }
    let over = scene::get(&edge, "/api/acme/x", &key).await;
    assert_eq!((over.status(), over.hits), (200, 1));
    let told = (over.header("x-auth-status"), over.header("x-auth-reason"));
    assert_eq!(told, ("shadow".into(), "quota_exhausted".into()));
    assert_eq!(over.header("x-auth-degraded"), "");
}

#[tokio::test]
async fn what_is_decided_by_a_share_is_counted_and_stands_in_the_access_log() {
    const COUNTER: &str = "wasmcustom.tollkeeper.quota_degraded.instance.edge";
    let mut edge = node(100, 10, json!([{ "path": "/api/{team}/..." }])).await;
    let key = edge.key("acme", &["read"]).await;
    scene::get(&edge, "/api/acme/x", &key).await.is_granted();
    assert_eq!(edge.stat(COUNTER).await, None, "nothing was decided without an answer");
    edge.kill_key_service();
    edge.wait_until("its share decides", Duration::from_secs(30), async || {
        let decided = scene::get(&edge, "/api/acme/alone", &key).await;
        (decided.header("x-auth-degraded") == "quota").then_some(())
    })
    .await;
    assert_eq!(edge.stat(COUNTER).await, Some(1));
    let entry = edge.access_log_entry(|entry| entry["degraded"] != json!(null)).await;
    assert_eq!((&entry["path"], &entry["degraded"]), (&json!("/api/acme/alone"), &json!("quota")));
}
