//! Kinds of keys: whose they are, and how many there may be.

use serde_json::{Value, json};

use crate::harness::{Service, text};

async fn with_everybody() -> Service {
    let service = Service::start().await;
    service.enterprise("umbrella").await;
    service.team("acme").await;
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    service.account(json!({ "id": "ops", "enterprise": "umbrella" })).await;
    service.user("ann", "acme").await;
    service
}

#[tokio::test]
async fn a_key_is_of_the_kind_that_follows_from_whose_it_is() {
    let service = with_everybody().await;
    for (claim, kind, short, team, enterprise, subject) in [
        (json!({ "team": "acme" }), "application", "app", json!("acme"), Value::Null, Value::Null),
        (json!({ "service_account": "ci" }), "service_account", "svc", json!("acme"), Value::Null, json!("ci")),
        (
            json!({ "service_account": "ops" }),
            "enterprise_service_account",
            "ent",
            Value::Null,
            json!("umbrella"),
            json!("ops"),
        ),
        (json!({ "user": "ann" }), "personal", "usr", json!("acme"), Value::Null, json!("ann")),
    ] {
        let mut body = claim.clone();
        body["scopes"] = json!(["read"]);
        body["kind"] = json!(kind);
        let made = service.post("/v1/keys", body).await.created();
        let facts = [&made["kind"], &made["team"], &made["enterprise"], &made["subject"]];
        assert_eq!(facts, [&json!(kind), &team, &enterprise, &subject]);
        assert!(text(&made, "key").starts_with(&format!("tk_live_{short}_")));
        for (field, value) in claim.as_object().unwrap() {
            assert_eq!(&made[field], value);
            let listed = service.get(&format!("/v1/keys?kind={kind}&{field}={}", value.as_str().unwrap())).await.ok();
            assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
        }
    }
    let listed = service.get("/v1/keys?enterprise=umbrella").await.ok();
    assert_eq!(listed["keys"][0]["service_account"], "ops");
}

#[tokio::test]
async fn a_kind_that_does_not_fit_is_refused() {
    let service = with_everybody().await;
    for body in [
        json!({ "kind": "personal", "team": "acme" }),
        json!({ "kind": "application", "user": "ann" }),
        json!({ "kind": "application", "service_account": "ci" }),
        json!({ "kind": "service_account", "service_account": "ops" }),
        json!({ "kind": "enterprise_service_account", "service_account": "ci" }),
        json!({ "kind": "session", "team": "acme" }),
    ] {
        let mut body = body;
        body["scopes"] = json!([]);
        let refused = service.post("/v1/keys", body.clone()).await;
        assert!(refused.status.is_client_error(), "{body}: {}", refused.body);
        assert_eq!(refused.body["field"], "kind", "{body}");
    }
}

#[tokio::test]
async fn a_key_for_nobody_is_refused() {
    let service = Service::start().await;
    for (field, reason) in
        [("team", "unknown_team"), ("service_account", "unknown_service_account"), ("user", "unknown_user")]
    {
        let refused = service.post("/v1/keys", json!({ field: "nobody", "scopes": [] })).await;
        refused.refused(422, reason);
        assert_eq!(refused.body["field"], field);
    }
}

#[tokio::test]
async fn a_service_account_has_exactly_one_key() {
    let service = with_everybody().await;
    for account in ["ci", "ops"] {
        let body = json!({ "service_account": account, "scopes": ["read"] });
        let first = service.post("/v1/keys", body.clone()).await.created();
        let second = service.post("/v1/keys", body.clone()).await;
        second.refused(409, "service_account_has_key");
        assert_eq!(second.body["field"], "service_account");
        let path = format!("/v1/keys/{}", text(&first, "id"));
        service.patch(&path, json!({ "state": "disabled" })).await.ok();
        service.post("/v1/keys", body.clone()).await.refused(409, "service_account_has_key");
        service.post(&format!("{path}/revoke"), json!({})).await.ok();
        let next = service.post("/v1/keys", body.clone()).await.created();
        assert_eq!(service.delete(&format!("/v1/keys/{}", text(&next, "id"))).await.status, 204);
        service.post("/v1/keys", body).await.created();
    }
}

#[tokio::test]
async fn a_personal_key_may_do_what_its_user_may_unless_it_is_narrowed() {
    let service = with_everybody().await;
    let whole = service.post("/v1/keys", json!({ "user": "ann" })).await.created();
    assert_eq!(whole["scopes"], json!(["*"]));
    let narrowed = service.post("/v1/keys", json!({ "user": "ann", "scopes": ["read"] })).await.created();
    assert_eq!(narrowed["scopes"], json!(["read"]));
    let nothing = service.post("/v1/keys", json!({ "user": "ann", "scopes": [] })).await.created();
    assert_eq!(nothing["scopes"], json!([]));
    let refused = service.post("/v1/keys", json!({ "team": "acme" })).await;
    refused.refused(400, "invalid_field");
    assert_eq!(refused.body["field"], "scopes");
}

#[tokio::test]
async fn a_user_has_at_most_a_hundred_keys() {
    let service = with_everybody().await;
    let digests = (0..100).map(|number| format!("{number:064x}"));
    let keys: Vec<_> = digests.map(|digest| json!({ "digest": digest, "user": "ann" })).collect();
    service.post("/v1/keys/import", json!({ "keys": keys })).await.ok();
    let one_more = service.post("/v1/keys", json!({ "user": "ann" })).await;
    one_more.refused(409, "user_has_too_many_keys");
    assert_eq!(one_more.body["field"], "user");
    let listed = service.get("/v1/keys?user=ann&limit=1").await.ok();
    service.post(&format!("/v1/keys/{}/revoke", text(&listed["keys"][0], "id")), json!({})).await.ok();
    service.post("/v1/keys", json!({ "user": "ann" })).await.created();
}

#[tokio::test]
async fn only_an_application_key_has_a_subject_of_the_operators_choice() {
    let service = with_everybody().await;
    for claim in ["service_account", "user"] {
        let id = if claim == "user" { "ann" } else { "ci" };
        let refused = service.post("/v1/keys", json!({ claim: id, "scopes": [], "subject": "somebody" })).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "subject");
        let made = service.post("/v1/keys", json!({ claim: id, "scopes": [] })).await.created();
        let refused = service.patch(&format!("/v1/keys/{}", text(&made, "id")), json!({ "subject": null })).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "subject");
    }
}

#[tokio::test]
async fn a_key_is_bound_to_a_domain_or_to_the_base_of_a_webhook_url() {
    let service = with_everybody().await;
    for (origin, expected) in [
        (json!({ "domain": "myCoolApp.com" }), "mycoolapp.com"),
        (json!({ "webhook_url": "myCoolApp.com/api/webhook" }), "mycoolapp.com/api"),
        (json!({ "webhook_url": "https://myCoolApp.com:443/API/webhook" }), "mycoolapp.com/API"),
    ] {
        let body = json!({ "team": "acme", "scopes": [], "origin": origin });
        let made = service.post("/v1/keys", body).await.created();
        assert_eq!(text(&made, "origin"), expected);
        let path = format!("/v1/keys/{}", text(&made, "id"));
        assert_eq!(service.patch(&path, json!({ "origin": null })).await.ok()["origin"], Value::Null);
        assert_eq!(text(&service.patch(&path, json!({ "origin": origin })).await.ok(), "origin"), expected);
    }
}
