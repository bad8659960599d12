//! The audit log: every change, who made it, and what it changed; never a secret.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Service, answer, text};

async fn entries(service: &Service, query: &str) -> Vec<Value> {
    service.get(&format!("/v1/audit{query}")).await.ok()["entries"].as_array().unwrap().clone()
}

/// Makes one change of every sort, and says which entries there must be.
async fn change_everything(service: &Service) -> Vec<(&'static str, String)> {
    service.enterprise("umbrella").await;
    service.patch("/v1/enterprises/umbrella", json!({ "name": "Umbrella" })).await.ok();
    service.team("acme").await;
    service.patch("/v1/teams/acme", json!({ "hosts": ["a.example"], "revoke_sessions": true })).await.ok();
    service.user("ann", "acme").await;
    service.patch("/v1/users/ann", json!({ "permissions": ["read"] })).await.ok();
    let password = service.admin(Method::PUT, "/v1/users/ann/password");
    assert_eq!(answer(password.json(&json!({ "password": "correct horse" }))).await.status, 204);
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    service.patch("/v1/service-accounts/ci", json!({ "name": "CI" })).await.ok();
    let first = service.key("acme").await;
    let first = text(&first, "id");
    service.patch(&format!("/v1/keys/{first}"), json!({ "name": "build" })).await.ok();
    let second = service.post(&format!("/v1/keys/{first}/rotate"), json!({ "overlap_seconds": 60 })).await.created();
    let second = text(&second, "id");
    service.post(&format!("/v1/keys/{second}/revoke"), json!({ "reason": "leaked", "compromised": true })).await.ok();
    service.delete(&format!("/v1/keys/{first}")).await;
    let row = json!({ "digest": "ab".repeat(32), "id": "old", "team": "acme", "scopes": [] });
    service.post("/v1/keys/import", json!({ "keys": [row] })).await.ok();
    service.delete("/v1/keys/old").await;
    service.delete("/v1/users/ann").await;
    service.delete("/v1/service-accounts/ci").await;
    service.delete("/v1/teams/acme").await;
    service.delete("/v1/enterprises/umbrella").await;
    vec![
        ("enterprise.create", "enterprise:umbrella".into()),
        ("enterprise.change", "enterprise:umbrella".into()),
        ("team.create", "team:acme".into()),
        ("team.change", "team:acme".into()),
        ("user.create", "user:ann".into()),
        ("user.change", "user:ann".into()),
        ("user.password", "user:ann".into()),
        ("service_account.create", "service_account:ci".into()),
        ("service_account.change", "service_account:ci".into()),
        ("key.create", format!("key:{first}")),
        ("key.change", format!("key:{first}")),
        ("key.rotate", format!("key:{first}")),
        ("key.create", format!("key:{second}")),
        ("key.revoke", format!("key:{second}")),
        ("key.delete", format!("key:{first}")),
        ("key.import", "keys".into()),
        ("key.delete", "key:old".into()),
        ("user.delete", "user:ann".into()),
        ("service_account.delete", "service_account:ci".into()),
        ("key.delete", format!("key:{second}")),
        ("team.delete", "team:acme".into()),
        ("enterprise.delete", "enterprise:umbrella".into()),
    ]
}

#[tokio::test]
async fn every_change_is_in_the_log_in_order() {
    let service = Service::start().await;
    let expected = change_everything(&service).await;
    let entries = entries(&service, "").await;
    let found: Vec<_> =
        entries.iter().map(|entry| (text(entry, "action"), text(entry, "resource").to_owned())).collect();
    assert_eq!(found, expected);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"], json!(index + 1));
        assert_eq!((text(entry, "actor"), text(entry, "source")), ("admin", "127.0.0.1"));
    }
    assert!(!json!(entries).to_string().contains("horse"));
}

#[tokio::test]
async fn an_entry_says_what_changed() {
    let service = Service::start().await;
    service.team("acme").await;
    let quota = json!({ "limit": 5, "window_seconds": 60 });
    service.patch("/v1/teams/acme", json!({ "name": "Acme", "quota": quota })).await.ok();
    service.delete("/v1/teams/acme").await;
    let entries = entries(&service, "").await;
    assert_eq!(entries[0]["detail"]["name"], json!({ "new": "acme" }));
    let changed = json!({ "name": { "old": "acme", "new": "Acme" }, "quota": { "old": null, "new": quota } });
    assert_eq!((&entries[1]["detail"], &entries[1]["revision"]), (&changed, &json!(2)));
    assert_eq!(entries[2]["detail"]["quota"], json!({ "old": quota }));
}

#[tokio::test]
async fn what_changes_nothing_or_is_refused_is_not_in_the_log() {
    let service = Service::start().await;
    service.team("acme").await;
    service.patch("/v1/teams/acme", json!({ "name": "acme" })).await.ok();
    service.post("/v1/teams", json!({ "id": "acme" })).await.refused(409, "team_exists");
    service.delete("/v1/teams/nobody").await.refused(404, "unknown_team");
    assert_eq!(entries(&service, "").await.len(), 1);
}

#[tokio::test]
async fn an_actor_is_who_the_client_says_and_a_source_is_what_a_trusted_proxy_says() {
    let service = Service::start().await;
    let request = service.admin(Method::POST, "/v1/teams").header("x-tollkeeper-actor", "Jörg (console)");
    let request = request.header("x-forwarded-for", "198.51.100.1, 203.0.113.9");
    answer(request.json(&json!({ "id": "acme" }))).await.created();
    let entry = &entries(&service, "?actor=J%C3%B6rg%20(console)").await[0];
    assert_eq!((text(entry, "actor"), text(entry, "source")), ("Jörg (console)", "203.0.113.9"));
    assert!(entries(&service, "?actor=admin").await.is_empty());
}

#[tokio::test]
async fn the_log_is_filtered_and_read_page_by_page() {
    let service = Service::start().await;
    change_everything(&service).await;
    for (query, count) in [
        ("?action=key.create", 2),
        ("?resource=user:ann", 4),
        ("?team=acme", 19),
        ("?team=nobody", 0),
        ("?since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z", 22),
        ("?until=2020-01-01T00:00:00Z", 0),
        ("?since=2999-01-01T00:00:00Z", 0),
        ("?after=21", 1),
    ] {
        assert_eq!(entries(&service, query).await.len(), count, "{query}");
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = service.get(&format!("/v1/audit?limit=5&after={after}")).await.ok();
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        after = next;
    }
    assert_eq!(seen, (1..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_log_is_read_from_its_end_as_well() {
    let service = Service::start().await;
    change_everything(&service).await;
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = service.get(&format!("/v1/audit?order=newest&limit=4{after}")).await.ok();
        seen.extend(page["entries"].as_array().unwrap().iter().map(|entry| entry["seq"].as_u64().unwrap()));
        let Some(next) = page["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen, (1..=22).rev().collect::<Vec<_>>());
    let newest = entries(&service, "?order=newest&enterprise=umbrella&limit=2").await;
    let actions: Vec<_> = newest.iter().map(|entry| text(entry, "action")).collect();
    assert_eq!(actions, ["enterprise.delete", "enterprise.change"]);
    assert_eq!(entries(&service, "?enterprise=umbrella&order=oldest").await.len(), 3);
    for bad in ["?order=up", "?order=", "?enterprise=a%20b"] {
        service.get(&format!("/v1/audit{bad}")).await.refused(400, "invalid_field");
    }
}

#[tokio::test]
async fn nobody_can_claim_a_name_that_the_service_gives_itself() {
    let service = Service::start().await;
    for name in ["admin", "keyservice", "KeyService", "session:5hq2w8zr4k1m9c3x", "Session:"] {
        let request = service.admin(Method::POST, "/v1/teams").header("x-tollkeeper-actor", name);
        let refused = answer(request.json(&json!({ "id": "acme" }))).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "x-tollkeeper-actor", "{name}");
    }
    assert!(entries(&service, "").await.is_empty());
}

#[tokio::test]
async fn an_import_is_found_by_each_team_and_enterprise_that_got_keys() {
    let service = Service::start().await;
    service.team("acme").await;
    service.team("initech").await;
    service.enterprise("umbrella").await;
    service.account(json!({ "id": "robot", "enterprise": "umbrella" })).await;
    let row = |digit: &str, id: &str, (sort, owner): (&str, &str)| json!({ "digest": digit.repeat(64), "id": id, sort: owner, "scopes": [] });
    let keys = [
        row("1", "one", ("team", "acme")),
        row("2", "two", ("team", "initech")),
        row("3", "three", ("team", "acme")),
        row("4", "four", ("service_account", "robot")),
        row("1", "five", ("team", "acme")),
    ];
    assert_eq!(service.post("/v1/keys/import", json!({ "keys": keys })).await.ok()["imported"], 4);
    for (query, ids) in [
        ("team=acme", json!(["one", "three"])),
        ("team=initech", json!(["two"])),
        ("enterprise=umbrella", json!(["four"])),
    ] {
        let found = entries(&service, &format!("?action=key.import&{query}")).await;
        let [entry] = found.as_slice() else { panic!("{query}: {found:?}") };
        let expected = json!({ "imported": ids.as_array().unwrap().len(), "duplicates": 1, "ids": ids });
        assert_eq!((&entry["detail"], text(entry, "resource")), (&expected, "keys"));
    }
}
