//! The Mezmo API.
//!
//! | what its page says | test |
//! |---|---|
//! | the access key stands in `Authorization`, after the scheme Token | `the_key_stands_in_authorization_after_the_scheme_token` |
//! | `x-delegate-account-id: <account_id>`, for enterprise tokens only | `only_enterprise_keys_may_name_an_account` |
//! | a service account has one access key | `a_service_account_has_one_key` |
//! | an enterprise's keys are bound to no account, and manage the enterprise | `an_enterprise_key_is_bound_to_no_account` |
//! | they may be used with any of its child accounts | `an_enterprise_key_acts_for_any_child_account` |
//! | a personal key belongs to a user | `a_personal_key_belongs_to_its_user` |
//! | it may live shorter | `a_personal_key_may_live_shorter` |
//! | it has the user's level of access | `a_personal_key_has_its_users_level_of_access` |
//! | changed permissions of the user change all of the user's keys | `changed_permissions_of_a_user_change_all_keys` |
//! | it may be made with less | `a_personal_key_may_be_narrowed` |
//! | rotate regularly, with expirations | `a_key_is_rotated_before_it_expires` |
//! | grant the least | `a_key_does_no_more_than_it_was_granted` |
//! | service accounts for automation, no personal tokens | `automation_and_people_can_be_told_apart` |
//! | revoke quickly | `a_key_is_quickly_revoked` |
//! | 200 (valid) or 401 (invalid) | `a_valid_key_is_answered_with_200_and_an_invalid_one_with_401` |
//! | `x-auth-*` says what was understood | `answers_say_in_x_auth_headers_what_was_understood` |

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::served::{Served, sentences};
use crate::{
    scene::Outcome,
    tenants::{changed, enterprise, enterprise_key, id, key, refused, service_account, text, user},
};

sentences! { Mezmo:
    the_key_stands_in_authorization_after_the_scheme_token
    only_enterprise_keys_may_name_an_account
    a_service_account_has_one_key
    an_enterprise_key_is_bound_to_no_account
    an_enterprise_key_acts_for_any_child_account
    a_personal_key_belongs_to_its_user
    a_personal_key_may_live_shorter
    a_personal_key_has_its_users_level_of_access
    changed_permissions_of_a_user_change_all_keys
    a_personal_key_may_be_narrowed
    a_key_is_rotated_before_it_expires
    a_key_does_no_more_than_it_was_granted
    automation_and_people_can_be_told_apart
    a_key_is_quickly_revoked
    a_valid_key_is_answered_with_200_and_an_invalid_one_with_401
    answers_say_in_x_auth_headers_what_was_understood
}

async fn the_key_stands_in_authorization_after_the_scheme_token(api: &Served) {
    let key = text(&service_account(&api.edge, "robot", "acme").await);
    let outcome = api.get_with("/logs", "Authorization", &format!("Token {key}")).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-method"), "token");
    api.get_with("/logs", "Authorization", &key).await.is_refused(401, "unsupported_scheme");
    api.get_with("/logs", "Authorization", &format!("Bearer {key}")).await.is_refused(401, "unsupported_scheme");
    api.get_with("/logs", "x-api-key", &key).await.is_refused(401, "missing_credential");
}

async fn only_enterprise_keys_may_name_an_account(api: &Served) {
    enterprise(&api.edge, "umbrella", &["acme"]).await;
    user(&api.edge, "alice", "acme", &["read"]).await;
    let application = key(&api.edge, json!({ "team": "acme", "scopes": ["read"] })).await;
    let personal = key(&api.edge, json!({ "user": "alice" })).await;
    let account = service_account(&api.edge, "robot", "acme").await;
    for key in [application, personal, account] {
        delegated(api, &text(&key), "acme").await.is_refused(403, "delegation_refused");
    }
    let enterprise = enterprise_key(&api.edge, "umbrella").await;
    delegated(api, &enterprise, "acme").await.is_granted();
}

async fn a_service_account_has_one_key(api: &Served) {
    let first = service_account(&api.edge, "robot", "acme").await;
    let second = json!({ "service_account": "robot", "scopes": ["read"] });
    let conflict = (StatusCode::CONFLICT, "service_account_has_key".to_owned());
    assert_eq!(refused(&api.edge, "/v1/keys", second).await, conflict);
    call(api, Method::GET, &text(&first)).await.is_granted();
    let rotated = rotate(api, &id(&first), 0).await;
    call(api, Method::GET, &rotated).await.is_granted();
    call(api, Method::GET, &text(&first)).await.is_refused(401, "key_revoked");
}

async fn an_enterprise_key_is_bound_to_no_account(api: &Served) {
    enterprise(&api.edge, "umbrella", &["acme"]).await;
    let outcome = call(api, Method::POST, &enterprise_key(&api.edge, "umbrella").await).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-kind"), "enterprise_service_account");
    assert_eq!(outcome.header("x-auth-enterprise"), "umbrella");
    assert_eq!(outcome.answer.header("x-auth-team"), None);
}

async fn an_enterprise_key_acts_for_any_child_account(api: &Served) {
    enterprise(&api.edge, "umbrella", &["acme", "globex"]).await;
    let key = enterprise_key(&api.edge, "umbrella").await;
    for account in ["acme", "globex"] {
        let outcome = delegated(api, &key, account).await;
        outcome.is_granted();
        assert_eq!(outcome.upstream_headers("x-auth-team"), [account]);
        for (name, value) in [
            ("x-auth-team", account),
            ("x-auth-delegated-team", account),
            ("x-auth-enterprise", "umbrella"),
            ("x-auth-subject", "umbrella-robot"),
        ] {
            assert_eq!(outcome.header(name), value, "{name}");
        }
    }
}

async fn a_personal_key_belongs_to_its_user(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let personal = text(&key(&api.edge, json!({ "user": "alice" })).await);
    let outcome = call(api, Method::GET, &personal).await;
    outcome.is_granted();
    assert_eq!(
        (outcome.header("x-auth-kind").as_str(), outcome.header("x-auth-subject")),
        ("personal", "alice".into())
    );
    api.edge.key_service().delete("/v1/users/alice").await.unwrap();
    edge_forgets(api, &personal).await;
}

async fn a_personal_key_may_live_shorter(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let short = key(&api.edge, json!({ "user": "alice", "expires": "2901-01-01T00:00:00Z" })).await;
    let outcome = call(api, Method::GET, &text(&short)).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-expires"), "29379542400");
    changed(&api.edge, &format!("/v1/keys/{}", id(&short)), json!({ "expires": "2001-01-01T00:00:00Z" })).await;
    call(api, Method::GET, &text(&short)).await.is_refused(401, "key_expired");
}

async fn a_personal_key_has_its_users_level_of_access(api: &Served) {
    user(&api.edge, "alice", "acme", &["read", "write"]).await;
    user(&api.edge, "bob", "acme", &["read"]).await;
    let alices = text(&key(&api.edge, json!({ "user": "alice" })).await);
    let bobs = text(&key(&api.edge, json!({ "user": "bob" })).await);
    for method in [Method::GET, Method::POST] {
        call(api, method, &alices).await.is_granted();
    }
    call(api, Method::GET, &bobs).await.is_granted();
    call(api, Method::POST, &bobs).await.is_refused(403, "missing_scope");
}

async fn changed_permissions_of_a_user_change_all_keys(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let inherited = text(&key(&api.edge, json!({ "user": "alice" })).await);
    let listed = text(&key(&api.edge, json!({ "user": "alice", "scopes": ["read", "write"] })).await);
    for key in [&inherited, &listed] {
        call(api, Method::POST, key).await.is_refused(403, "missing_scope");
    }
    changed(&api.edge, "/v1/users/alice", json!({ "permissions": ["read", "write"] })).await;
    for key in [&inherited, &listed] {
        let outcome = call(api, Method::POST, key).await;
        outcome.is_granted();
        assert_eq!(outcome.header("x-auth-scopes"), "read write");
    }
    changed(&api.edge, "/v1/users/alice", json!({ "permissions": ["write"] })).await;
    for key in [&inherited, &listed] {
        call(api, Method::GET, key).await.is_refused(403, "missing_scope");
    }
}

async fn a_personal_key_may_be_narrowed(api: &Served) {
    user(&api.edge, "alice", "acme", &["read", "write"]).await;
    let reader = text(&key(&api.edge, json!({ "user": "alice", "scopes": ["read"] })).await);
    let outcome = call(api, Method::GET, &reader).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-scopes"), "read");
    call(api, Method::POST, &reader).await.is_refused(403, "missing_scope");
}

async fn a_key_is_rotated_before_it_expires(api: &Served) {
    let old = service_account(&api.edge, "robot", "acme").await;
    let new = rotate(api, &id(&old), 3600).await;
    let overlapping = call(api, Method::GET, &text(&old)).await;
    overlapping.is_granted();
    assert_ne!(overlapping.header("x-auth-expires"), "");
    call(api, Method::GET, &new).await.is_granted();
    let end = json!({ "expires": "2001-01-01T00:00:00Z" });
    changed(&api.edge, &format!("/v1/keys/{}", id(&old)), end).await;
    call(api, Method::GET, &text(&old)).await.is_refused(401, "key_expired");
    call(api, Method::GET, &new).await.is_granted();
}

async fn a_key_does_no_more_than_it_was_granted(api: &Served) {
    api.edge.key_service().create_team("acme", "Acme").await.unwrap();
    let reader = text(&key(&api.edge, json!({ "team": "acme", "scopes": ["read"] })).await);
    call(api, Method::GET, &reader).await.is_granted();
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        call(api, method, &reader).await.is_refused(403, "missing_scope");
    }
}

async fn automation_and_people_can_be_told_apart(api: &Served) {
    user(&api.edge, "alice", "acme", &["read"]).await;
    let personal = text(&key(&api.edge, json!({ "user": "alice" })).await);
    let account = text(&service_account(&api.edge, "robot", "acme").await);
    for (key, kind, subject) in [(personal, "personal", "alice"), (account, "service_account", "robot")] {
        let outcome = call(api, Method::GET, &key).await;
        assert_eq!((outcome.header("x-auth-kind"), outcome.header("x-auth-subject")), (kind.into(), subject.into()));
    }
}

async fn a_key_is_quickly_revoked(api: &Served) {
    let key = service_account(&api.edge, "robot", "acme").await;
    call(api, Method::GET, &text(&key)).await.is_granted();
    let reason = json!({ "reason": "suspected of being compromised", "compromised": true });
    let revoke = format!("/v1/keys/{}/revoke?wait=20", id(&key));
    let revoked = api.edge.key_service().post(&revoke, &reason).await.unwrap();
    assert_eq!(revoked["fleet"]["reached"], true, "{revoked}");
    call(api, Method::GET, &text(&key)).await.is_refused(401, "key_revoked");
}

async fn a_valid_key_is_answered_with_200_and_an_invalid_one_with_401(api: &Served) {
    enterprise(&api.edge, "umbrella", &["acme"]).await;
    user(&api.edge, "alice", "acme", &[]).await;
    let validate = async |key: &str| api.get_with("/validate", "Authorization", &format!("Token {key}")).await;
    let account = service_account(&api.edge, "robot", "acme").await;
    let personal = text(&key(&api.edge, json!({ "user": "alice" })).await);
    for valid in [text(&account), personal, enterprise_key(&api.edge, "umbrella").await] {
        validate(&valid).await.is_granted();
    }
    validate("unknown").await.is_refused(401, "unknown_key");
    validate(text(&account).trim_end_matches(char::is_alphanumeric)).await.is_refused(401, "malformed_credential");
    api.send(api.get("/validate")).await.is_refused(401, "missing_credential");
    rotate(api, &id(&account), 0).await;
    validate(&text(&account)).await.is_refused(401, "key_revoked");
}

async fn answers_say_in_x_auth_headers_what_was_understood(api: &Served) {
    let key = service_account(&api.edge, "robot", "acme").await;
    let granted = call(api, Method::GET, &text(&key)).await;
    for (name, value) in [
        ("x-auth-status", "granted"),
        ("x-auth-method", "token"),
        ("x-auth-kind", "service_account"),
        ("x-auth-team", "acme"),
        ("x-auth-subject", "robot"),
        ("x-auth-key-id", &id(&key)),
        ("x-auth-scopes", "read write"),
    ] {
        assert_eq!(granted.header(name), value, "{name}");
    }
    let refused = call(api, Method::GET, "unknown").await;
    assert_eq!(
        (refused.header("x-auth-status"), refused.header("x-auth-reason")),
        ("denied".into(), "unknown_key".into())
    );
}

async fn call(api: &Served, method: Method, key: &str) -> Outcome {
    api.send(api.request(method, "/logs").header("Authorization", format!("Token {key}"))).await
}

async fn delegated(api: &Served, key: &str, account: &str) -> Outcome {
    let request = api.get("/logs").header("Authorization", format!("Token {key}"));
    api.send(request.header("x-delegate-account-id", account)).await
}

/// Rotates a key, and waits until the filter knows; the new one's text.
async fn rotate(api: &Served, id: &str, overlap_seconds: u32) -> String {
    let overlap = json!({ "overlap_seconds": overlap_seconds });
    text(&crate::tenants::made(&api.edge, &format!("/v1/keys/{id}/rotate"), overlap).await)
}

/// Waits until a key whose user was removed opens nothing.
async fn edge_forgets(api: &Served, key: &str) {
    let limit = std::time::Duration::from_secs(20);
    let ended = async || (call(api, Method::GET, key).await.status() == 401).then_some(());
    api.edge.wait_until("the key of a removed user is refused", limit, ended).await;
}
