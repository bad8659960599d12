//! Enterprises over the admin API.

use serde_json::{Value, json};

use crate::harness::{Service, text};

#[tokio::test]
async fn an_enterprise_is_made_shown_and_changed() {
    let service = Service::start().await;
    let body = json!({ "id": "umbrella", "name": "Umbrella Inc", "quota": { "limit": 5, "window_seconds": 60 } });
    let made = service.post("/v1/enterprises", body).await.created();
    assert_eq!((text(&made, "name"), text(&made, "state"), &made["revision"]), ("Umbrella Inc", "active", &json!(1)));
    let changes = json!({ "name": "Umbrella", "state": "disabled", "quota": null });
    let changed = service.patch("/v1/enterprises/umbrella", changes).await.ok();
    assert_eq!(
        (text(&changed, "name"), text(&changed, "state"), &changed["quota"]),
        ("Umbrella", "disabled", &Value::Null)
    );
    assert_eq!(service.get("/v1/enterprises/umbrella").await.ok(), changed);
    let same = service.patch("/v1/enterprises/umbrella", json!({ "name": "Umbrella" })).await.ok();
    assert_eq!(same["revision"], changed["revision"], "what changes nothing takes no revision");
}

#[tokio::test]
async fn a_second_enterprise_of_the_same_id_is_refused() {
    let service = Service::start().await;
    service.enterprise("umbrella").await;
    let again = service.post("/v1/enterprises", json!({ "id": "umbrella" })).await;
    again.refused(409, "enterprise_exists");
    assert_eq!(again.body["field"], "id");
}

#[tokio::test]
async fn a_team_joins_and_leaves_an_enterprise() {
    let service = Service::start().await;
    service.enterprise("umbrella").await;
    let body = json!({ "id": "acme", "enterprise": "umbrella" });
    assert_eq!(service.post("/v1/teams", body).await.created()["enterprise"], "umbrella");
    service.team("globex").await;
    let listed = service.get("/v1/teams?enterprise=umbrella").await.ok();
    assert_eq!(listed["teams"].as_array().unwrap().len(), 1);
    let left = service.patch("/v1/teams/acme", json!({ "enterprise": null })).await.ok();
    assert_eq!(left["enterprise"], Value::Null);
    let joined = service.patch("/v1/teams/globex", json!({ "enterprise": "umbrella" })).await.ok();
    assert_eq!(joined["enterprise"], "umbrella");
}

#[tokio::test]
async fn a_team_of_an_unknown_enterprise_is_refused() {
    let service = Service::start().await;
    service.team("acme").await;
    for answer in [
        service.post("/v1/teams", json!({ "id": "globex", "enterprise": "nobody" })).await,
        service.patch("/v1/teams/acme", json!({ "enterprise": "nobody" })).await,
    ] {
        answer.refused(422, "unknown_enterprise");
        assert_eq!(answer.body["field"], "enterprise");
    }
    service.get("/v1/teams/globex").await.refused(404, "unknown_team");
}

#[tokio::test]
async fn an_enterprise_is_deleted_once_nothing_belongs_to_it() {
    let service = Service::start().await;
    service.enterprise("umbrella").await;
    service.post("/v1/teams", json!({ "id": "acme", "enterprise": "umbrella" })).await.created();
    service.delete("/v1/enterprises/umbrella").await.refused(409, "enterprise_has_teams");
    service.patch("/v1/teams/acme", json!({ "enterprise": null })).await.ok();
    service.account(json!({ "id": "ops", "enterprise": "umbrella" })).await;
    service.delete("/v1/enterprises/umbrella").await.refused(409, "enterprise_has_service_accounts");
    assert_eq!(service.delete("/v1/service-accounts/ops").await.status, 204);
    assert_eq!(service.delete("/v1/enterprises/umbrella").await.status, 204);
    service.get("/v1/enterprises/umbrella").await.refused(404, "unknown_enterprise");
}

#[tokio::test]
async fn enterprises_are_listed_by_state_page_by_page() {
    let service = Service::start().await;
    for number in 0..3 {
        service.enterprise(&format!("e-{number}")).await;
    }
    service.patch("/v1/enterprises/e-1", json!({ "state": "disabled" })).await.ok();
    let ids = |page: &Value| {
        page["enterprises"].as_array().unwrap().iter().map(|one| text(one, "id").to_owned()).collect::<Vec<_>>()
    };
    let first = service.get("/v1/enterprises?limit=2").await.ok();
    assert_eq!((ids(&first), text(&first, "next")), (vec!["e-0".to_owned(), "e-1".to_owned()], "e-1"));
    let second = service.get("/v1/enterprises?limit=2&after=e-1").await.ok();
    assert_eq!((ids(&second), &second["next"]), (vec!["e-2".to_owned()], &Value::Null));
    assert_eq!(ids(&service.get("/v1/enterprises?state=disabled").await.ok()), ["e-1"]);
}
