//! Keys over the admin API.

use serde_json::{Value, json};
use tollkeeper_contract::key_text;

use crate::harness::{Service, text};

async fn with_team() -> Service {
    let service = Service::start().await;
    service.team("acme").await;
    service
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let service = with_team().await;
    let made = service.key("acme").await;
    let key = text(&made, "key");
    assert!(key_text::could_be_key(key.as_bytes()));
    assert!(key.contains(text(&made, "id")));
    let shown = service.get(&format!("/v1/keys/{}", text(&made, "id"))).await.ok();
    assert_eq!(shown.get("key"), None);
    let listed = service.get("/v1/keys").await.ok();
    assert!(!listed.to_string().contains(key));
    assert_eq!(listed["keys"][0], shown);
}

#[tokio::test]
async fn a_key_has_all_that_it_was_made_with() {
    let service = with_team().await;
    let body = json!({
        "kind": "application", "team": "acme", "name": "ci", "subject": "ci@acme.example",
        "scopes": ["write", "read", "write"], "state": "disabled",
        "not_before": "2030-01-01T02:00:00+02:00", "expires": "2031-01-01T00:00:00Z",
    });
    let made = service.post("/v1/keys", body).await.created();
    let expected = json!({
        "kind": "application", "team": "acme", "name": "ci", "subject": "ci@acme.example",
        "scopes": ["read", "write"], "state": "disabled", "not_before": "2030-01-01T00:00:00Z",
        "expires": "2031-01-01T00:00:00Z", "revoked_at": null, "revoke_reason": null,
        "granted": 0, "limited": 0, "last_used_at": null, "revision": 2, "replayed": false,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&made[field], value, "{field}");
    }
}

#[tokio::test]
async fn every_field_of_a_key_that_may_change_changes() {
    let service = with_team().await;
    let path = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    for (field, value) in [
        ("name", json!("build server")),
        ("name", Value::Null),
        ("subject", json!("ci")),
        ("subject", Value::Null),
        ("scopes", json!([])),
        ("scopes", json!(["reports:read"])),
        ("not_before", json!("2029-01-01T00:00:00Z")),
        ("expires", json!("2030-01-01T00:00:00Z")),
        ("not_before", Value::Null),
        ("expires", Value::Null),
        ("state", json!("disabled")),
        ("state", json!("active")),
    ] {
        let before = service.get(&path).await.ok();
        let mut change = json!({});
        change[field] = value.clone();
        let mut expected = before.clone();
        expected[field] = value;
        expected["revision"] = json!(before["revision"].as_u64().unwrap() + 1);
        assert_eq!(service.patch(&path, change.clone()).await.ok(), expected);
        assert_eq!(service.patch(&path, change).await.ok(), expected, "the same again changes nothing");
    }
}

#[tokio::test]
async fn a_key_that_would_have_expired_is_not_made_but_one_can_be_ended_so() {
    let service = with_team().await;
    let revision = service.revision().await;
    for not_before in [Value::Null, json!("2019-01-01T00:00:00Z")] {
        let body = json!({ "team": "acme", "scopes": [], "expires": "2020-01-01T00:00:00Z", "not_before": not_before });
        let refused = service.post("/v1/keys", body).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "expires");
    }
    assert_eq!(service.revision().await, revision);
    let path = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    let ended = service.patch(&path, json!({ "expires": "2020-01-01T00:00:00Z" })).await.ok();
    assert_eq!((&ended["state"], &ended["expires"]), (&json!("active"), &json!("2020-01-01T00:00:00Z")));
    assert_eq!(service.patch(&path, json!({ "expires": null })).await.ok()["expires"], Value::Null);
}

#[tokio::test]
async fn a_revoked_key_is_revoked_for_good() {
    let service = with_team().await;
    let path = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    let revoked = service.post(&format!("{path}/revoke"), json!({ "reason": "leaked" })).await.ok();
    assert_eq!((&revoked["state"], &revoked["revoke_reason"]), (&json!("revoked"), &json!("leaked")));
    assert!(revoked["revoked_at"].is_string());
    let again = service.post(&format!("{path}/revoke"), json!({ "reason": "other" })).await.ok();
    assert_eq!(again, revoked, "revoking again changes nothing");
    service.patch(&path, json!({ "state": "active" })).await.refused(409, "key_revoked");
    service.patch(&path, json!({ "expires": null })).await.refused(409, "key_revoked");
    assert_eq!(service.get(&path).await.ok(), revoked);
}

#[tokio::test]
async fn a_key_is_revoked_without_a_body_too() {
    let service = with_team().await;
    let path = format!("/v1/keys/{}/revoke", text(&service.key("acme").await, "id"));
    let answer = crate::harness::answer(service.admin(reqwest::Method::POST, &path)).await;
    assert_eq!(answer.ok()["state"], "revoked");
}

#[tokio::test]
async fn a_deleted_key_is_gone() {
    let service = with_team().await;
    let path = format!("/v1/keys/{}", text(&service.key("acme").await, "id"));
    assert_eq!(service.delete(&path).await.status, 204);
    service.get(&path).await.refused(404, "unknown_key");
    service.delete(&path).await.refused(404, "unknown_key");
}

#[tokio::test]
async fn a_new_key_leaves_earlier_ones_as_they_are() {
    let service = with_team().await;
    let first = service.key("acme").await;
    service.key("acme").await;
    let shown = service.get(&format!("/v1/keys/{}", text(&first, "id"))).await.ok();
    assert_eq!((&shown["state"], &shown["revision"]), (&json!("active"), &first["revision"]));
}

#[tokio::test]
async fn keys_are_listed_by_team_and_state_page_by_page() {
    let service = with_team().await;
    service.team("globex").await;
    for team in ["acme", "globex", "acme", "acme"] {
        service.key(team).await;
    }
    let revoked = service.key("acme").await;
    service.post(&format!("/v1/keys/{}/revoke", text(&revoked, "id")), json!({})).await.ok();
    for (filter, count) in [("", 5), ("&team=acme", 4), ("&state=revoked", 1), ("&team=acme&state=active", 3)] {
        let mut seen = std::collections::BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = service.get(&format!("/v1/keys?limit=2{filter}{after}")).await.ok();
            let keys = page["keys"].as_array().unwrap();
            assert!(keys.len() <= 2);
            assert!(keys.iter().all(|key| seen.insert(text(key, "id").to_owned())), "a key is listed twice");
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen.len(), count, "{filter}");
    }
    assert_eq!(service.get("/v1/keys?team=nobody").await.ok(), json!({ "keys": [], "next": null }));
}
