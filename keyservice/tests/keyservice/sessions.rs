//! Sessions: who sees them, what ends them, and what does not.

use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::{
    Digest, RevokedSessionRecord,
    page::{Cursor, Table},
};

use super::login::{ada, as_ada, claims, key_of, login, token_as, token_of};
use crate::{
    harness::{Service, answer, text},
    replica::Replica,
};

async fn acme(service: &Service) -> (String, String) {
    service.team("acme").await;
    key_of(service, json!({ "team": "acme", "scopes": ["read"] })).await
}

/// Whether a node that took a snapshot now knows that the session of this token was revoked.
async fn is_revoked(service: &Service, token: &str) -> bool {
    let claims = claims(token);
    let (replica, _) = Replica::snapshot(service).await;
    let cursor = Cursor { table: Table::RevokedSessions, digest: Digest::of(claims.session.as_bytes()) };
    let Some(record) = replica.records.get(&cursor) else { return false };
    let expected = RevokedSessionRecord { id: &claims.session, expires: claims.expires };
    assert_eq!(RevokedSessionRecord::decode(record), Ok(expected));
    true
}

fn path(token: &str) -> String {
    format!("/v1/sessions/{}", claims(token).session)
}

#[tokio::test]
async fn a_session_is_shown_without_its_token() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let token = token_as(&service, &key, "worker 1").await;
    let shown = service.get(&path(&token)).await.ok();
    assert_eq!((&shown["state"], &shown["key"], &shown["team"]), (&json!("live"), &json!(id), &json!("acme")));
    assert_eq!((&shown["session_id"], &shown["scopes"]), (&json!("worker 1"), &json!(["read"])));
    assert_eq!((&shown["kind"], &shown["source"]), (&json!("application"), &json!("127.0.0.1")));
    assert!(!shown.to_string().contains(token.rsplit('.').next().unwrap()));
    service.get("/v1/sessions/unknown").await.refused(404, "unknown_session");
    service.get("/v1/sessions/no%20id").await.refused(404, "unknown_session");
    answer(service.bare(Method::GET, "/v1/sessions").bearer_auth(&token)).await.refused(401, "wrong_token");
}

#[tokio::test]
async fn sessions_are_listed_by_key_user_team_and_state() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    ada(&service, &[]).await;
    let (_, ada_key) = key_of(&service, json!({ "kind": "personal", "user": "ada" })).await;
    let revoked = token_as(&service, &key, "1").await;
    token_as(&service, &key, "2").await;
    token_of(&service, &ada_key).await;
    login(&service, as_ada()).await.ok();
    service.post(&format!("{}/revoke", path(&revoked)), json!({})).await.ok();
    for (query, count) in [
        ("", 4),
        ("?team=acme", 4),
        ("?team=other", 0),
        (&format!("?key={id}"), 2),
        (&format!("?key={id}&state=live"), 1),
        ("?user=ada", 2),
        ("?state=revoked", 1),
        ("?state=expired", 0),
        ("?limit=3", 3),
    ] {
        let list = service.get(&format!("/v1/sessions{query}")).await.ok();
        assert_eq!(list["sessions"].as_array().unwrap().len(), count, "{query}: {list}");
    }
    let first = service.get("/v1/sessions?limit=3").await.ok();
    let rest = service.get(&format!("/v1/sessions?after={}", text(&first, "next"))).await.ok();
    assert_eq!((rest["sessions"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    for bad in ["?state=dead", "?key=a%20b", "?user=", "?limit=0", "?source=1"] {
        service.get(&format!("/v1/sessions{bad}")).await.refused(400, "invalid_field");
    }
}

#[tokio::test]
async fn a_session_is_revoked_alone_and_nodes_are_told() {
    let service = Service::for_logins().await;
    let (_, key) = acme(&service).await;
    let (one, other) = (token_as(&service, &key, "1").await, token_as(&service, &key, "2").await);
    assert!(!is_revoked(&service, &one).await);
    let revoked = service.post(&format!("{}/revoke", path(&one)), json!({ "reason": "lost laptop" })).await.ok();
    assert_eq!((&revoked["state"], &revoked["revoke_reason"]), (&json!("revoked"), &json!("lost laptop")));
    let again = service.post(&format!("{}/revoke", path(&one)), json!({ "reason": "again" })).await.ok();
    assert_eq!(again, revoked, "it is final");
    assert!(is_revoked(&service, &one).await && !is_revoked(&service, &other).await);
    let next = token_as(&service, &key, "1").await;
    assert_ne!(next, one, "a revoked token is not given again");
    assert_eq!(token_as(&service, &key, "2").await, other);
    let audit = service.get("/v1/audit?action=session.revoke").await.ok();
    let entries = audit["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{audit}");
    assert_eq!((&entries[0]["team"], &entries[0]["detail"]["reason"]), (&json!("acme"), &json!("lost laptop")));
    for bad in [json!({ "reason": "" }), json!({ "reason": "a\nb" }), json!({ "why": "x" })] {
        service.post(&format!("{}/revoke", path(&other)), bad).await.refused(400, "invalid_field");
    }
    service.post("/v1/sessions/unknown/revoke", json!({})).await.refused(404, "unknown_session");
}

#[tokio::test]
async fn all_sessions_of_a_key_or_a_user_are_revoked() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    ada(&service, &[]).await;
    let (_, ada_key) = key_of(&service, json!({ "kind": "personal", "user": "ada" })).await;
    let of_key = [token_as(&service, &key, "1").await, token_as(&service, &key, "2").await];
    let of_ada =
        [token_of(&service, &ada_key).await, text(&login(&service, as_ada()).await.ok(), "access_token").to_owned()];
    let revoke = |body: Value| async { service.post("/v1/sessions/revoke", body).await };
    assert_eq!(revoke(json!({ "key": id })).await.ok(), json!({ "revoked": 2 }));
    assert_eq!(revoke(json!({ "key": id })).await.ok(), json!({ "revoked": 0 }));
    for token in &of_key {
        assert!(is_revoked(&service, token).await);
    }
    for token in &of_ada {
        assert!(!is_revoked(&service, token).await);
    }
    assert_eq!(revoke(json!({ "user": "ada", "reason": "has left" })).await.ok(), json!({ "revoked": 2 }));
    for token in &of_ada {
        assert!(is_revoked(&service, token).await);
    }
    let audit = service.get("/v1/audit?action=sessions.revoke&team=acme").await.ok()["entries"].clone();
    let entries = audit.as_array().unwrap();
    assert_eq!(entries.len(), 2, "{audit}");
    for (entry, (resource, tokens)) in
        entries.iter().zip([(format!("key:{id}"), &of_key), ("user:ada".into(), &of_ada)])
    {
        assert_eq!((text(entry, "resource"), &entry["detail"]["sessions_revoked"]), (resource.as_str(), &json!(2)));
        let named = entry["detail"]["sessions"].to_string();
        assert!(tokens.iter().all(|token| named.contains(path(token).rsplit('/').next().unwrap())), "{entry}");
    }
    for (bad, field) in [
        (json!({}), "key"),
        (json!({ "key": "a", "user": "b" }), "user"),
        (json!({ "key": "a b" }), "key"),
        (json!({ "user": "a b" }), "user"),
        (json!({ "team": "acme" }), "team"),
    ] {
        let refused = revoke(bad).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], field);
    }
}

#[tokio::test]
async fn sessions_of_a_key_or_a_user_that_never_was_are_refused_and_those_of_one_that_is_gone_are_revoked() {
    let service = Service::for_logins().await;
    let revoke = |body: Value| async { service.post("/v1/sessions/revoke", body).await };
    revoke(json!({ "key": "unknown" })).await.refused(404, "unknown_key");
    revoke(json!({ "user": "unknown" })).await.refused(404, "unknown_user");
    let (id, key) = acme(&service).await;
    ada(&service, &[]).await;
    for body in [json!({ "key": id }), json!({ "user": "ada" })] {
        assert_eq!(revoke(body).await.ok(), json!({ "revoked": 0 }), "it has made no session yet");
    }
    let token = token_of(&service, &key).await;
    service.delete(&format!("/v1/keys/{id}")).await.ok();
    assert_eq!(revoke(json!({ "key": id })).await.ok(), json!({ "revoked": 1 }));
    assert!(is_revoked(&service, &token).await);
    assert_eq!(revoke(json!({ "key": id })).await.ok(), json!({ "revoked": 0 }));
}

#[tokio::test]
async fn the_audit_log_names_the_keys_and_sessions_that_end_with_something_else() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    ada(&service, &["read"]).await;
    let (ada_id, ada_key) = key_of(&service, json!({ "kind": "personal", "user": "ada" })).await;
    let session = |token: &str| path(token).rsplit('/').next().unwrap().to_owned();
    let of_key = session(&token_of(&service, &key).await);
    let of_ada = session(&token_of(&service, &ada_key).await);
    service.post(&format!("/v1/keys/{id}/revoke"), json!({ "compromised": true })).await.ok();
    service.delete("/v1/users/ada").await.ok();
    service.delete("/v1/teams/acme").await.ok();
    let entry = async |query: &str| {
        let entries = service.get(&format!("/v1/audit?{query}")).await.ok()["entries"].clone();
        let [entry] = entries.as_array().unwrap().as_slice() else { panic!("{query}: {entries}") };
        entry.clone()
    };
    for (query, session) in
        [(format!("resource=key:{id}&action=key.revoke"), of_key), ("action=user.delete".to_owned(), of_ada)]
    {
        let detail = entry(&query).await["detail"].clone();
        assert_eq!((&detail["sessions_revoked"], &detail["sessions"]), (&json!(1), &json!([session])), "{query}");
    }
    for (id, owner) in [(ada_id, "user:ada"), (id, "team:acme")] {
        let gone = entry(&format!("resource=key:{id}&action=key.delete")).await;
        assert_eq!((text(&gone, "team"), &gone["detail"]), ("acme", &json!({ "deleted_with": owner })));
    }
}

#[tokio::test]
async fn deleting_or_revoking_a_key_ends_no_session_made_with_it() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let deleted = token_of(&service, &key).await;
    service.delete(&format!("/v1/keys/{id}")).await.ok();
    let (id, key) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    let revoked = token_of(&service, &key).await;
    service.post(&format!("/v1/keys/{id}/revoke"), json!({})).await.ok();
    for token in [&deleted, &revoked] {
        assert!(!is_revoked(&service, token).await);
        assert_eq!(service.get(&path(token)).await.ok()["state"], "live");
    }
}

#[tokio::test]
async fn a_compromised_key_takes_its_sessions_with_it() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    service.post(&format!("/v1/keys/{id}/revoke"), json!({ "compromised": true })).await.ok();
    assert!(is_revoked(&service, &token).await);
}

#[tokio::test]
async fn a_team_may_want_sessions_to_end_with_their_key() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    service.patch("/v1/teams/acme", json!({ "revoke_sessions": true })).await.ok();
    let token = token_of(&service, &key).await;
    service.post(&format!("/v1/keys/{id}/revoke"), json!({})).await.ok();
    assert!(is_revoked(&service, &token).await);
    let (id, key) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    let token = token_of(&service, &key).await;
    service.delete(&format!("/v1/keys/{id}")).await.ok();
    assert!(is_revoked(&service, &token).await);
}

#[tokio::test]
async fn a_user_who_is_deleted_and_made_again_has_no_old_session() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &["read"]).await;
    let token = text(&login(&service, as_ada()).await.ok(), "access_token").to_owned();
    service.delete("/v1/users/ada").await.ok();
    login(&service, as_ada()).await.refused(401, "invalid_credentials");
    ada(&service, &["read"]).await;
    assert!(is_revoked(&service, &token).await);
    assert_ne!(login(&service, as_ada()).await.ok()["access_token"], token);
}

#[tokio::test]
async fn a_team_that_is_deleted_and_made_again_has_no_old_session() {
    let service = Service::for_logins().await;
    let (id, key) = acme(&service).await;
    let token = token_of(&service, &key).await;
    service.delete(&format!("/v1/keys/{id}")).await.ok();
    service.delete("/v1/teams/acme").await.ok();
    service.team("acme").await;
    assert!(is_revoked(&service, &token).await);
}
