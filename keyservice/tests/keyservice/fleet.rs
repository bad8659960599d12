//! Who has come how far, and changes that answer when the fleet has them.

use keyservice::{
    domain::{Moment, NodeName, NodeSeen},
    edge,
    store::Store,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Folder, Service, answer, eventually, text};

/// A node says that it serves `revision`; with `wait`, its poll is held that long at most.
pub(crate) async fn poll(service: &Service, name: &str, revision: u64, wait: u64) -> StatusCode {
    let path = format!("/node/v1/changes?after={revision}&wait={wait}&nonce=1");
    let request = service.node(Method::GET, &path).header("x-tollkeeper-version", "0.1.0");
    // A header that is set again replaces the one of the harness only when it is built.
    let mut request = request.build().unwrap();
    request.headers_mut().insert("x-tollkeeper-node", name.parse().unwrap());
    lab::http::client().unwrap().build().unwrap().execute(request).await.unwrap().status()
}

/// A service to which a node called an hour ago, when nothing had been changed, and not since.
pub(crate) async fn with_lost_node(name: &str) -> Service {
    let folder = Folder::new();
    let store = Store::open(&folder.database()).await.unwrap();
    let (name, seen_at) = (NodeName::parse(name).unwrap(), edge::now().minus(3600));
    let node = NodeSeen { name, revision: 0, version: None, seen_at, wait_seconds: 30, max_age: 86_400 };
    store.note_nodes(&[node]).await.unwrap();
    drop(store);
    Service::start_in(folder).await
}

async fn fleet(service: &Service) -> Vec<Value> {
    service.get("/v1/fleet").await.ok()["nodes"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_fleet_shows_each_node_and_how_far_it_is() {
    let service = Service::start().await;
    assert_eq!(service.get("/v1/fleet").await.ok(), json!({ "revision": 0, "nodes": [] }));
    service.team("acme").await;
    poll(&service, "edge-2", 1, 0).await;
    poll(&service, "edge-1", 0, 0).await;
    let shown = service.get("/v1/fleet").await.ok();
    assert_eq!(shown["revision"], 1);
    let [behind, level] = shown["nodes"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!((text(behind, "name"), &behind["revision"], &behind["lag"]), ("edge-1", &json!(0), &json!(1)));
    assert_eq!((text(level, "name"), &level["revision"], &level["lag"]), ("edge-2", &json!(1), &json!(0)));
    assert_eq!((&level["live"], &level["version"]), (&json!(true), &json!("0.1.0")));
    assert!(text(level, "last_seen").ends_with('Z'));
}

#[tokio::test]
async fn nodes_are_remembered_over_a_restart() {
    let service = Service::start().await;
    poll(&service, "edge-1", 0, 0).await;
    let (_, folder) = service.stop().await;
    let service = Service::start_in(folder).await;
    assert_eq!(fleet(&service).await[0]["name"], "edge-1");
}

#[tokio::test]
async fn a_change_that_waits_answers_when_the_last_live_node_has_it() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = service.key("acme").await;
    for node in ["edge-1", "edge-2"] {
        poll(&service, node, 2, 0).await;
    }
    let revoke = format!("/v1/keys/{}/revoke?wait=20", text(&key, "id"));
    let (revoked, ()) = tokio::join!(service.post(&revoke, json!({})), async {
        // Both hear of it, and say so with their next poll.
        for node in ["edge-1", "edge-2"] {
            poll(&service, node, 2, 20).await;
            poll(&service, node, 3, 0).await;
        }
    });
    let revoked = revoked.ok();
    assert_eq!(revoked["state"], "revoked");
    let fleet = &revoked["fleet"];
    assert_eq!((&fleet["reached"], &fleet["revision"], &fleet["nodes"]), (&json!(true), &json!(3), &json!(2)));
    assert_eq!((&fleet["behind"], &fleet["lost"]), (&json!([]), &json!([])));
    assert!(fleet["waited_ms"].is_u64());
}

#[tokio::test]
async fn when_the_wait_is_over_the_nodes_behind_are_named_and_the_change_has_happened() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = service.key("acme").await;
    let path = format!("/v1/keys/{}", text(&key, "id"));
    poll(&service, "edge-1", 2, 0).await;
    let answered = service.patch(&format!("{path}?wait=1"), json!({ "state": "disabled" })).await;
    assert_eq!(answered.status, StatusCode::OK);
    let fleet = &answered.body["fleet"];
    assert_eq!((&fleet["reached"], &fleet["revision"]), (&json!(false), &json!(3)));
    assert_eq!(fleet["behind"], json!([{ "node": "edge-1", "revision": 2 }]));
    assert!(fleet["waited_ms"].as_u64().unwrap() >= 1000);
    assert_eq!(service.get(&path).await.ok()["state"], "disabled");
}

#[tokio::test]
async fn every_change_can_wait() {
    let service = Service::start().await;
    // Without nodes there is nobody to wait for.
    let made = service.post("/v1/teams?wait=5", json!({ "id": "acme" })).await;
    assert_eq!((made.status, &made.body["fleet"]["reached"]), (StatusCode::CREATED, &json!(true)));
    let made = service.post("/v1/keys?wait=5", json!({ "team": "acme", "scopes": [] })).await;
    assert_eq!((&made.body["fleet"]["revision"], &made.body["fleet"]["nodes"]), (&json!(2), &json!(0)));
    assert!(made.body["key"].is_string());
    let changed = service.patch("/v1/teams/acme?wait=5", json!({ "state": "disabled" })).await.ok();
    assert_eq!(changed["fleet"]["revision"], 3);
    let deleted = service.delete(&format!("/v1/keys/{}?wait=5", text(&made.body, "id"))).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(deleted.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["fleet"]);
    assert_eq!(service.delete("/v1/teams/acme").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_refused_change_does_not_wait() {
    let service = Service::start().await;
    poll(&service, "edge-1", 0, 0).await;
    service.delete("/v1/teams/nobody?wait=60").await.refused(404, "unknown_team");
}

#[tokio::test]
async fn a_wait_that_is_none_is_refused_before_anything_happens() {
    let service = Service::start().await;
    for query in ["wait=0", "wait=61", "wait=", "wait=-1", "wait=1.5", "wait=%2B1", "wait=1&wait=1", "wiat=5"] {
        let refused = service.post(&format!("/v1/teams?{query}"), json!({ "id": "acme" })).await;
        refused.refused(400, "invalid_field");
    }
    service.get("/v1/teams/acme").await.refused(404, "unknown_team");
    answer(service.bare(Method::POST, "/v1/teams?wait=0")).await.refused(401, "missing_token");
}

#[tokio::test]
async fn a_wait_ends_with_the_service() {
    let service = Service::start().await;
    poll(&service, "edge-1", 0, 0).await;
    let (made, ()) = tokio::join!(service.post("/v1/teams?wait=60", json!({ "id": "acme" })), async {
        eventually("the team is there", async || service.get("/v1/teams/acme").await.status.is_success().then_some(()))
            .await;
        service.signal(rustix::process::Signal::TERM);
    });
    assert_eq!(made.created()["fleet"]["reached"], false);
}

#[tokio::test]
async fn where_no_node_is_live_a_change_waits_for_the_lost_ones_and_names_them() {
    let service = with_lost_node("edge-1#0a").await;
    let fleet = service.post("/v1/teams?wait=1", json!({ "id": "acme" })).await.created()["fleet"].clone();
    assert_eq!((&fleet["reached"], &fleet["nodes"]), (&json!(false), &json!(0)));
    assert_eq!((&fleet["behind"], &fleet["lost"]), (&json!([]), &json!(["edge-1#0a"])));
    assert!(fleet["waited_ms"].as_u64().unwrap() >= 1000);
}

#[tokio::test]
async fn lost_nodes_are_named_beside_the_live_ones_that_have_the_change() {
    let service = with_lost_node("edge-1#0a").await;
    poll(&service, "edge-1#0b", 9, 0).await;
    let fleet = service.post("/v1/teams?wait=20", json!({ "id": "acme" })).await.created()["fleet"].clone();
    assert_eq!((&fleet["reached"], &fleet["nodes"]), (&json!(true), &json!(1)));
    assert_eq!(fleet["lost"], json!(["edge-1#0a"]));
}

#[tokio::test]
async fn a_node_that_has_ended_is_forgotten_and_nobody_waits_for_it() {
    let service = with_lost_node("edge/1#0a").await;
    poll(&service, "edge-2#0b", 0, 0).await;
    service.delete("/v1/fleet/edge-2%230b").await.refused(409, "node_is_live");
    for unknown in ["nobody", "edge-2", "%20", "%FF"] {
        assert_eq!(service.delete(&format!("/v1/fleet/{unknown}")).await.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    let forgotten = service.delete("/v1/fleet/edge%2F1%230a").await;
    assert_eq!((forgotten.status, fleet(&service).await.len()), (StatusCode::NO_CONTENT, 1));
    service.delete("/v1/fleet/edge%2F1%230a").await.refused(404, "unknown_node");
    let entries = service.get("/v1/audit?resource=node:edge/1%230a").await.ok()["entries"].clone();
    let [entry] = entries.as_array().unwrap().as_slice() else { panic!("{entries}") };
    assert_eq!((text(entry, "action"), &entry["detail"]["revision"]), ("node.forget", &json!(0)));
    assert_eq!((&entry["revision"], entry["detail"]["last_seen"].is_string()), (&Value::Null, true));
    let made = service.post("/v1/teams?wait=1", json!({ "id": "acme" })).await.created();
    assert_eq!(made["fleet"]["lost"], json!([]));
}

#[tokio::test]
async fn a_forgotten_node_that_calls_again_is_back() {
    let service = with_lost_node("edge-1#0a").await;
    assert_eq!(service.delete("/v1/fleet/edge-1%230a").await.status, StatusCode::NO_CONTENT);
    poll(&service, "edge-1#0a", 0, 0).await;
    assert_eq!(fleet(&service).await[0]["live"], true);
}

#[tokio::test]
async fn a_node_says_how_long_it_serves_without_the_service() {
    let service = Service::start().await;
    for (name, said, expected) in [
        ("a", Some("60"), 60),
        ("b", None, 86_400),
        ("c", Some("soon"), 86_400),
        ("d", Some("99999999999"), 31_536_000),
    ] {
        let request = service.node(Method::GET, "/node/v1/changes?after=0&wait=0&nonce=1");
        let mut request = said
            .map(|said| request.try_clone().unwrap().header("x-tollkeeper-max-age", said))
            .unwrap_or(request)
            .build()
            .unwrap();
        request.headers_mut().insert("x-tollkeeper-node", name.parse().unwrap());
        lab::http::client().unwrap().build().unwrap().execute(request).await.unwrap();
        let nodes = fleet(&service).await;
        let node = nodes.iter().find(|node| node["name"] == name).unwrap();
        let at = |field| Moment::parse(text(node, field)).unwrap().unix();
        assert_eq!(at("serves_until") - at("last_seen"), 15 + expected, "{name}");
    }
}
