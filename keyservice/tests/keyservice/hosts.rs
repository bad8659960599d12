//! Hosts that belong to one team.

use serde_json::json;

use crate::harness::Service;

#[tokio::test]
async fn a_team_gets_hosts_of_its_own_and_gives_them_up() {
    let service = Service::start().await;
    let body = json!({ "id": "acme", "hosts": ["API.acme.example", "10.0.0.7", "api.acme.example"] });
    let made = service.post("/v1/teams", body).await.created();
    assert_eq!(made["hosts"], json!(["10.0.0.7", "api.acme.example"]), "sorted, in lower case, each once");
    let changed = service.patch("/v1/teams/acme", json!({ "hosts": ["api.acme.example", "b.example"] })).await.ok();
    assert_eq!(changed["hosts"], json!(["api.acme.example", "b.example"]));
    assert_eq!(service.get("/v1/teams/acme").await.ok()["hosts"], changed["hosts"]);
    service.team("globex").await;
    let listed = service.get("/v1/teams").await.ok();
    assert_eq!((&listed["teams"][0]["hosts"], &listed["teams"][1]["hosts"]), (&changed["hosts"], &json!([])));
    assert_eq!(service.patch("/v1/teams/acme", json!({ "hosts": [] })).await.ok()["hosts"], json!([]));
}

#[tokio::test]
async fn a_host_belongs_to_one_team() {
    let service = Service::start().await;
    service.post("/v1/teams", json!({ "id": "acme", "hosts": ["a.example"] })).await.created();
    let taken = service.post("/v1/teams", json!({ "id": "globex", "hosts": ["b.example", "A.example"] })).await;
    taken.refused(409, "host_taken");
    assert_eq!(taken.body["field"], "hosts");
    assert!(taken.body["detail"].as_str().unwrap().contains("a.example"), "{}", taken.body);
    service.get("/v1/teams/globex").await.refused(404, "unknown_team");
    service.post("/v1/teams", json!({ "id": "globex", "hosts": ["b.example"] })).await.created();
    service.patch("/v1/teams/globex", json!({ "hosts": ["a.example"] })).await.refused(409, "host_taken");
    assert_eq!(service.get("/v1/teams/globex").await.ok()["hosts"], json!(["b.example"]), "nothing half-written");
}

#[tokio::test]
async fn the_hosts_of_a_deleted_team_are_free_again() {
    let service = Service::start().await;
    service.post("/v1/teams", json!({ "id": "acme", "hosts": ["a.example"] })).await.created();
    assert_eq!(service.delete("/v1/teams/acme").await.status, 204);
    service.post("/v1/teams", json!({ "id": "globex", "hosts": ["a.example"] })).await.created();
}
