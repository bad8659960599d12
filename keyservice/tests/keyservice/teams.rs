//! Teams over the admin API.

use serde_json::{Value, json};

use crate::harness::{Service, text};

#[tokio::test]
async fn a_team_is_made_shown_and_changed() {
    let service = Service::start().await;
    let body = json!({ "id": "acme", "name": "Acme Ltd", "quota": { "limit": 5, "window_seconds": 60 } });
    let made = service.post("/v1/teams", body).await.created();
    assert_eq!(made["name"], "Acme Ltd");
    assert_eq!((&made["state"], &made["granted"], &made["last_used_at"]), (&json!("active"), &json!(0), &Value::Null));
    let changes = json!({ "name": "Acme", "state": "disabled", "quota": null });
    let changed = service.patch("/v1/teams/acme", changes).await.ok();
    assert_eq!(
        (&changed["name"], &changed["state"], &changed["quota"]),
        (&json!("Acme"), &json!("disabled"), &Value::Null)
    );
    assert_eq!(service.get("/v1/teams/acme").await.ok(), changed);
}

#[tokio::test]
async fn a_team_is_called_by_its_id_unless_told() {
    let service = Service::start().await;
    assert_eq!(service.team("acme").await["name"], "acme");
}

#[tokio::test]
async fn a_second_team_of_the_same_id_is_refused() {
    let service = Service::start().await;
    service.team("acme").await;
    let again = service.post("/v1/teams", json!({ "id": "acme" })).await;
    again.refused(409, "team_exists");
    assert_eq!(again.body["field"], "id");
}

#[tokio::test]
async fn a_change_that_changes_nothing_takes_no_revision() {
    let service = Service::start().await;
    let team = service.team("acme").await;
    let same = service.patch("/v1/teams/acme", json!({ "name": "acme", "state": "active", "quota": null })).await.ok();
    assert_eq!(same["revision"], team["revision"]);
    service.patch("/v1/teams/acme", json!({})).await.ok();
    assert_eq!(service.revision().await, 1);
    assert_eq!(service.patch("/v1/teams/acme", json!({ "state": "disabled" })).await.ok()["revision"], 2);
}

#[tokio::test]
async fn a_team_is_deleted_once_its_keys_are_revoked() {
    let service = Service::start().await;
    service.team("acme").await;
    let key = service.key("acme").await;
    let path = format!("/v1/keys/{}", text(&key, "id"));
    service.delete("/v1/teams/acme").await.refused(409, "team_has_keys");
    service.patch(&path, json!({ "state": "disabled" })).await.ok();
    service.delete("/v1/teams/acme").await.refused(409, "team_has_keys");
    service.post(&format!("{path}/revoke"), json!({})).await.ok();
    assert_eq!(service.delete("/v1/teams/acme").await.status, 204);
    service.get("/v1/teams/acme").await.refused(404, "unknown_team");
    service.get(&path).await.refused(404, "unknown_key");
}

#[tokio::test]
async fn a_team_of_the_same_id_can_be_made_again() {
    let service = Service::start().await;
    service.team("acme").await;
    assert_eq!(service.delete("/v1/teams/acme").await.status, 204);
    assert_eq!(service.team("acme").await["revision"], 3);
}

#[tokio::test]
async fn teams_are_listed_page_by_page() {
    let service = Service::start().await;
    for number in 0..7 {
        service.team(&format!("team-{number}")).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/teams?limit=3".to_owned();
    loop {
        let page = service.get(&path).await.ok();
        seen.push(page["teams"].as_array().unwrap().iter().map(|team| text(team, "id").to_owned()).collect::<Vec<_>>());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/teams?limit=3&after={next}");
    }
    assert_eq!(seen, [vec!["team-0", "team-1", "team-2"], vec!["team-3", "team-4", "team-5"], vec!["team-6"]]);
}

#[tokio::test]
async fn a_page_that_is_just_full_is_the_last_one() {
    let service = Service::start().await;
    service.team("a").await;
    service.team("b").await;
    assert_eq!(service.get("/v1/teams?limit=2").await.ok()["next"], Value::Null);
}
