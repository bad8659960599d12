//! Keys of other systems, imported by their digests.

use serde_json::{Value, json};
use tollkeeper_contract::Digest;

use crate::{
    harness::{Service, text},
    replica::Replica,
};

fn digest(key: &str) -> String {
    Digest::of(key.as_bytes()).to_hex()
}

fn row(key: &str) -> Value {
    json!({ "digest": digest(key), "team": "acme", "scopes": ["read"] })
}

async fn with_team() -> Service {
    let service = Service::start().await;
    service.team("acme").await;
    service
}

#[tokio::test]
async fn an_imported_key_is_known_to_nodes_by_its_digest() {
    let service = with_team().await;
    let mut first = row("sk-1");
    first["id"] = json!("legacy1");
    first["name"] = json!("from the old system");
    let imported = service.post("/v1/keys/import", json!({ "keys": [first, row("sk-2")] })).await.ok();
    assert_eq!(imported, json!({ "imported": 2, "duplicates": [] }));
    let shown = service.get("/v1/keys/legacy1").await.ok();
    assert_eq!((text(&shown, "kind"), text(&shown, "name")), ("application", "from the old system"));
    assert!(!shown.to_string().contains(&digest("sk-1")), "{shown}");
    let (replica, _) = Replica::snapshot(&service).await;
    for key in ["sk-1", "sk-2"] {
        assert!(replica.key(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_key_that_has_expired_elsewhere_is_imported_as_it_was() {
    let service = with_team().await;
    let mut old = row("sk-1");
    old["id"] = json!("legacy1");
    old["expires"] = json!("2020-01-01T00:00:00Z");
    service.post("/v1/keys/import", json!({ "keys": [old] })).await.ok();
    assert_eq!(service.get("/v1/keys/legacy1").await.ok()["expires"], "2020-01-01T00:00:00Z");
}

#[tokio::test]
async fn duplicates_are_told_and_left_as_they_are() {
    let service = with_team().await;
    let made = service.key("acme").await;
    let own = text(&made, "key");
    let mut again = row(own);
    again["scopes"] = json!(["write"]);
    let keys = json!([row("sk-1"), again, row("sk-2"), row("sk-1")]);
    let imported = service.post("/v1/keys/import", json!({ "keys": keys })).await.ok();
    let expected = json!({ "imported": 2, "duplicates": [
        { "index": 1, "digest": digest(own), "reason": "exists" },
        { "index": 3, "digest": digest("sk-1"), "reason": "repeated" },
    ]});
    assert_eq!(imported, expected);
    assert_eq!(service.get(&format!("/v1/keys/{}", text(&made, "id"))).await.ok()["scopes"], json!(["read"]));
    let revision = service.revision().await;
    let all_again = service.post("/v1/keys/import", json!({ "keys": [row("sk-1"), row("sk-2")] })).await.ok();
    assert_eq!((&all_again["imported"], all_again["duplicates"].as_array().unwrap().len()), (&json!(0), 2));
    assert_eq!(service.revision().await, revision, "nothing changed");
}

#[tokio::test]
async fn one_wrong_key_refuses_the_whole_import() {
    let service = with_team().await;
    service.account(json!({ "id": "ci", "team": "acme" })).await;
    service
        .post(
            "/v1/keys/import",
            json!({ "keys": [{ "digest": digest("sk-0"), "id": "taken", "team": "acme", "scopes": [] }] }),
        )
        .await
        .ok();
    let revision = service.revision().await;
    for (field, value, at) in [
        ("digest", json!("abc"), "keys[1].digest"),
        ("digest", Value::Null, "keys[1].digest"),
        ("scopes", json!(["a b"]), "keys[1].scopes"),
        ("scopes", json!("read"), "keys[1].scopes"),
        ("team", json!("nobody"), "keys[1].team"),
        ("id", json!("not an id"), "keys[1].id"),
        ("id", json!("taken"), "keys[1].id"),
        ("state", json!("revoked"), "keys[1].state"),
        ("expires", json!("soon"), "keys[1].expires"),
        ("origin", json!({ "domain": "a/b" }), "keys[1].origin.domain"),
        ("user", json!("ann"), "keys[1].team"),
        ("colour", json!("red"), "keys[1].colour"),
    ] {
        let mut wrong = row("sk-2");
        wrong[field] = value;
        let refused = service.post("/v1/keys/import", json!({ "keys": [row("sk-1"), wrong.clone()] })).await;
        assert!(refused.status.is_client_error(), "{wrong}: {}", refused.body);
        assert_eq!(refused.body["field"], at, "{wrong}: {}", refused.body);
    }
    let of_account = |key| json!({ "digest": digest(key), "service_account": "ci", "scopes": [] });
    let two = service.post("/v1/keys/import", json!({ "keys": [of_account("sk-1"), of_account("sk-2")] })).await;
    two.refused(409, "service_account_has_key");
    assert_eq!(two.body["field"], "keys[1].service_account");
    assert_eq!(service.revision().await, revision);
    assert_eq!(service.get("/v1/keys").await.ok()["keys"].as_array().unwrap().len(), 1, "nothing half-written");
}

#[tokio::test]
async fn an_import_has_one_to_a_thousand_keys() {
    let service = with_team().await;
    for keys in [json!([]), json!(null), json!((0..1001).map(|n| row(&n.to_string())).collect::<Vec<_>>()), json!({})] {
        let refused = service.post("/v1/keys/import", json!({ "keys": keys })).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "keys");
    }
    let most: Vec<_> = (0..1000).map(|number| row(&number.to_string())).collect();
    assert_eq!(service.post("/v1/keys/import", json!({ "keys": most })).await.ok()["imported"], 1000);
    let (replica, _) = Replica::snapshot(&service).await;
    assert!((0..1000).all(|number: u32| replica.key(&number.to_string()).is_some()));
}

#[tokio::test]
async fn a_node_that_follows_gets_all_keys_of_an_import() {
    let service = with_team().await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    let keys: Vec<_> = (0..600).map(|number| row(&number.to_string())).collect();
    service.post("/v1/keys/import", json!({ "keys": keys })).await.ok();
    replica.follow(&service, 0).await.unwrap();
    assert!((0..600).all(|number: u32| replica.key(&number.to_string()).is_some()));
}
