//! What routes cost, what limits promise, and routes that only tell what they would refuse.

use std::time::{Duration, Instant};

use lab::edge::Edge;
use serde_json::json;

use crate::{connections::Connections, scene};

/// Two tokens in a month.
const QUOTA: (u32, u32) = (2, 2_678_400);

async fn edge(routes: serde_json::Value) -> Edge {
    let (limit, window_seconds) = QUOTA;
    let quota = json!({ "limit": limit, "window_seconds": window_seconds });
    scene::edge_with(json!({ "routes": routes, "quota": quota, "unmatched": "refuse" })).await
}

#[tokio::test]
async fn a_request_takes_as_many_tokens_as_its_route_costs() {
    let edge = edge(json!([
        { "path": "/api/{team}/free", "cost": 0 },
        { "path": "/api/{team}/dear", "cost": 2 },
        { "path": "/api/{team}/too-dear", "cost": 3 },
    ]))
    .await;
    let key = edge.key("acme", &["read"]).await;
    let left = async |path| scene::get(&edge, path, &key).await.header("ratelimit").replace("\"team\";", "");
    assert_eq!(left("/api/acme/free").await, "r=2;t=0");
    let refused = scene::get(&edge, "/api/acme/too-dear", &key).await;
    refused.is_refused(429, "cost_above_quota");
    assert_eq!(refused.header("retry-after"), "");
    scene::get(&edge, "/api/acme/dear", &key).await.is_granted();
    let refused = scene::get(&edge, "/api/acme/dear", &key).await;
    refused.is_refused(429, "quota_exhausted");
    let wait: u32 = refused.header("retry-after").parse().unwrap();
    assert!((QUOTA.1 - 60..=QUOTA.1).contains(&wait), "both tokens take the whole window: {wait}");
    scene::get(&edge, "/api/acme/free", &key).await.is_granted();
}

/// Whatever the client does: the time from sending one request to the answer of the fourth one behind it covers both
/// decisions, so where it is no longer than the window, there were four within a window.
#[tokio::test(flavor = "multi_thread")]
async fn a_strict_quota_never_has_more_than_the_limit_in_any_window() {
    const LIMIT: usize = 3;
    const WINDOW: Duration = Duration::from_secs(2);
    const ROUNDS: u32 = 4;
    let strict = json!({ "limit": LIMIT, "window_seconds": WINDOW.as_secs(), "promise": "strict" });
    let edge = Edge::synced_start(|setup| setup.workers(4).filter(|filter| filter["quota"] = strict)).await;
    let key = edge.key("acme", &["read"]).await;
    let begin = Instant::now();
    let mut admitted = Vec::new();
    while begin.elapsed() < WINDOW * ROUNDS {
        let sent = Instant::now();
        let request = edge.get_over_new_connection("/api/acme/x").header("x-api-key", &key);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["ratelimit-policy"], "\"team\";q=3;w=2;promise=\"strict\"");
        if answer.status() == 200 {
            admitted.push((sent, Instant::now()));
            continue;
        }
        assert_eq!(answer.status(), 429);
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=WINDOW.as_secs() + 1).contains(&wait), "{wait}");
    }
    for (first, beyond) in admitted.iter().zip(admitted.iter().skip(LIMIT)) {
        let took = beyond.1 - first.0;
        assert!(took > WINDOW, "{} requests within {took:?}", LIMIT + 1);
    }
    // One window less than there were, because the last one may not be over.
    assert!(admitted.len() >= LIMIT * (ROUNDS as usize - 1), "only {} were admitted", admitted.len());
}

/// The limit and what is left of it, as each worker says it at a route that costs nothing.
async fn told_by_workers(connections: &Connections, key: &str) -> Vec<(u32, u32)> {
    let mut told = Vec::new();
    for request in connections.get("/api/acme/free") {
        let answer = request.header("x-api-key", key).send().await.unwrap();
        // `"team";q=300;w=300` and `"team";r=299;t=1`
        let number = |name: &str| {
            let value = answer.headers()[name].to_str().unwrap().split(['=', ';']).nth(2).unwrap().to_owned();
            value.parse().unwrap()
        };
        told.push((number("ratelimit-policy"), number("ratelimit")));
        let _ = answer.bytes().await;
    }
    told
}

/// Sets the factor and waits until each worker says that this is the limit, and this is left.
async fn multiply(edge: &Edge, connections: &Connections, key: &str, factor: f64, told: (u32, u32)) {
    let set = Instant::now();
    edge.key_service().put("/v1/limits", &json!({ "factor": factor })).await.unwrap();
    let mut last = Vec::new();
    while last.iter().any(|one| *one != told) || last.is_empty() {
        assert!(set.elapsed() < Duration::from_secs(20), "not on every worker: {last:?} instead of {told:?}");
        last = told_by_workers(connections, key).await;
    }
    report(factor, set.elapsed());
}

#[expect(clippy::print_stdout, reason = "the measured delay belongs into the report of the test run")]
fn report(factor: f64, delay: Duration) {
    println!("measured: limits were multiplied by {factor}, told by every worker after {} ms", delay.as_millis());
}

#[tokio::test]
async fn a_factor_for_all_limits_holds_on_every_worker_and_gives_nobody_a_fresh_bucket() {
    let free = json!({ "path": "/api/{team}/free", "cost": 0 });
    let settings = json!({
        "routes": [free, { "path": "/api/{team}/dear", "cost": 100 }],
        "quota": { "limit": 300, "window_seconds": QUOTA.1 },
    });
    let edge = scene::edge_with(settings).await;
    let key = edge.key("acme", &["read"]).await;
    let connections = Connections::to_every_worker(&edge).await;
    scene::get(&edge, "/api/acme/dear", &key).await.is_granted();
    multiply(&edge, &connections, &key, 2.0, (600, 200)).await;
    multiply(&edge, &connections, &key, 0.5, (150, 150)).await;
    scene::get(&edge, "/api/acme/dear", &key).await.is_granted();
    multiply(&edge, &connections, &key, 1.0, (300, 50)).await;
    multiply(&edge, &connections, &key, 0.001, (1, 1)).await;
    let refused = scene::get(&edge, "/api/acme/dear", &key).await;
    refused.is_refused(429, "cost_above_quota");
    multiply(&edge, &connections, &key, 10.0, (3000, 1)).await;
}

#[tokio::test]
async fn a_factor_holds_for_a_quota_of_ones_own_and_for_one_that_is_set_later() {
    let edge = edge(json!([{ "path": "/api/{team}/free", "cost": 0 }])).await;
    let key = edge.key("acme", &["read"]).await;
    let connections = Connections::to_every_worker(&edge).await;
    scene::limit_team(&edge, "acme", 100, QUOTA.1).await;
    multiply(&edge, &connections, &key, 0.125, (12, 12)).await;
    scene::limit_team(&edge, "acme", 55, QUOTA.1).await;
    let told = told_by_workers(&connections, &key).await;
    assert!(told.iter().all(|one| *one == (6, 6)), "{told:?}");
    scene::limit_team(&edge, "acme", 100, QUOTA.1).await;
    let told = told_by_workers(&connections, &key).await;
    assert!(told.iter().all(|one| *one == (12, 6)), "{told:?}");
}

#[tokio::test]
async fn what_is_over_a_quota_that_is_only_told_reaches_the_upstream_with_its_name() {
    let routes = json!([{ "path": "/api/{team}/...", "shadow": "quota" }]);
    let edge = edge(routes).await;
    let key = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    for _ in 0..QUOTA.0 {
        scene::get(&edge, "/api/acme/x", &key.key).await.is_granted();
    }
    let over = scene::get(&edge, "/api/acme/over", &key.key).await;
    assert_eq!((over.status(), over.hits), (200, 1));
    assert_eq!(
        (over.header("x-auth-status"), over.header("x-auth-reason")),
        ("shadow".into(), "quota_exhausted".into())
    );
    assert!(over.header("ratelimit").starts_with("\"team\";r=0;"), "{over:?}");
    assert_eq!(over.upstream_headers("x-auth-team"), ["acme"]);
    assert!(over.upstream_headers("x-api-key").is_empty(), "{over:?}");
    let name = "wasmcustom.tollkeeper.requests.instance.edge.verdict.shadow.reason.quota_exhausted";
    assert_eq!(edge.stat(name).await, Some(1));
    let entry = edge.access_log_entry(|entry| entry["path"] == "/api/acme/over").await;
    assert_eq!((&entry["verdict"], &entry["reason"]), (&json!("shadow"), &json!("quota_exhausted")));
    edge.wait_until("the key service shows it as limited", Duration::from_secs(30), async || {
        let shown = edge.key_service().get(&format!("/v1/keys/{}", key.id)).await.ok()?;
        (shown["granted"] == 2 && shown["limited"] == 1).then_some(())
    })
    .await;
    scene::get(&edge, "/api/acme/x", "unknown").await.is_refused(401, "unknown_key");
    scene::get(&edge, "/api/globex/x", &key.key).await.is_refused(403, "team_mismatch");
}

#[tokio::test]
async fn where_everything_is_only_told_nobody_is_refused_and_nobody_unproven_is_named() {
    let routes = json!([
        { "path": "/trial/...", "shadow": "everything" },
        { "path": "/old/...", "shadow": "everything", "forward_credential": true },
    ]);
    let edge = edge(routes).await;
    let key = edge.key("acme", &["read"]).await;
    for (path, forwarded) in [("/trial/x", 0), ("/old/x", 1)] {
        let request = edge.get(path).header("x-api-key", "unknown").header("x-auth-team", "acme");
        let told = scene::send(&edge, request).await;
        assert_eq!((told.status(), told.hits), (200, 1), "{told:?}");
        assert_eq!(
            (told.header("x-auth-status"), told.header("x-auth-reason")),
            ("shadow".into(), "unknown_key".into())
        );
        assert_eq!(told.upstream_identity(), vec![], "{told:?}");
        assert_eq!(told.upstream_headers("x-api-key").len(), forwarded, "{told:?}");
        assert_eq!(told.header("www-authenticate"), "");
    }
    scene::get(&edge, "/trial/x", &key).await.is_granted();
    scene::get(&edge, "/elsewhere", &key).await.is_refused(403, "no_route");
}

#[tokio::test]
async fn older_clients_read_what_is_left_in_the_headers_that_they_know() {
    let edge = scene::edge_with(json!({ "rate_limit_headers": "legacy" })).await;
    let key = edge.key("acme", &["read"]).await;
    let request = edge.get("/api/acme/x").header("x-api-key", &key);
    let (name, value) = scene::answered_with(&[("x-ratelimit-remaining", "9999")]);
    let outcome = scene::send(&edge, request.header(name, value)).await;
    assert_eq!(outcome.headers("x-ratelimit-remaining"), ["299"], "{outcome:?}");
    assert_eq!(outcome.header("x-ratelimit-limit"), "300");
    assert_eq!((outcome.header("ratelimit"), outcome.header("ratelimit-policy")), (String::new(), String::new()));
}
