//! Teams with hosts of their own: served only there, and nobody else is.

use lab::edge::Edge;
use reqwest::StatusCode;
use serde_json::json;

use crate::{
    scene::{self, Outcome},
    tenants::{changed, enterprise, enterprise_key, made, refused},
};

#[tokio::test]
async fn a_team_with_a_host_is_served_only_there_and_nobody_else_is() {
    let edge = scene::edge().await;
    let (acme, globex) = (edge.key("acme", &["read"]).await, edge.key("globex", &["read"]).await);
    changed(&edge, "/v1/teams/acme", json!({ "hosts": ["acme.example", "eu.acme.example"] })).await;
    for host in ["acme.example", "EU.Acme.Example", "acme.example:8443", "acme.example."] {
        at(&edge, host, "acme", &acme).await.is_granted();
        at(&edge, host, "globex", &globex).await.is_refused(403, "host_mismatch");
    }
    for host in ["api.example", "www.acme.example", "example", "acme.example.evil.example"] {
        at(&edge, host, "acme", &acme).await.is_refused(403, "host_mismatch");
        at(&edge, host, "globex", &globex).await.is_granted();
    }
}

#[tokio::test]
async fn a_host_that_is_given_up_is_everybodys_again() {
    let edge = scene::edge().await;
    let (acme, globex) = (edge.key("acme", &["read"]).await, edge.key("globex", &["read"]).await);
    changed(&edge, "/v1/teams/acme", json!({ "hosts": ["acme.example"] })).await;
    at(&edge, "acme.example", "globex", &globex).await.is_refused(403, "host_mismatch");
    changed(&edge, "/v1/teams/acme", json!({ "hosts": [] })).await;
    at(&edge, "acme.example", "globex", &globex).await.is_granted();
    at(&edge, "api.example", "acme", &acme).await.is_granted();
}

#[tokio::test]
async fn a_host_belongs_to_one_team() {
    let edge = scene::edge().await;
    made(&edge, "/v1/teams", json!({ "id": "acme", "name": "Acme", "hosts": ["acme.example"] })).await;
    let other = json!({ "id": "globex", "name": "Globex", "hosts": ["ACME.example"] });
    assert_eq!(refused(&edge, "/v1/teams", other).await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_enterprise_is_served_on_a_teams_host_only_for_that_team() {
    let edge = scene::edge_with(json!({ "unmatched": "authenticate" })).await;
    enterprise(&edge, "umbrella", &["acme", "globex"]).await;
    changed(&edge, "/v1/teams/acme", json!({ "hosts": ["acme.example"] })).await;
    let key = enterprise_key(&edge, "umbrella").await;
    at(&edge, "acme.example", "acme", &key).await.is_granted();
    at(&edge, "acme.example", "globex", &key).await.is_refused(403, "host_mismatch");
    at(&edge, "api.example", "acme", &key).await.is_refused(403, "host_mismatch");
    at(&edge, "api.example", "globex", &key).await.is_granted();
    let itself = edge.get("/report").header("host", "acme.example").header("x-api-key", &key);
    scene::send(&edge, itself).await.is_refused(403, "host_mismatch");
}

async fn at(edge: &Edge, host: &str, team: &str, key: &str) -> Outcome {
    let request = edge.get(&format!("/api/{team}/x")).header("host", host);
    scene::send(edge, request.header("x-api-key", key)).await
}
