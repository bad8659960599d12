//! The Mindset API.
//!
//! | what its page says | test |
//! |---|---|
//! | a key is sent in the header `x-api-key` | `a_key_is_sent_in_the_header_x_api_key` |
//! | whose value is the full key string | `half_a_key_is_refused` |
//! | keys give application owner level access | `a_key_has_the_level_of_the_applications_owner` |
//! | keys are made for each application | `each_application_has_keys_of_its_own` |
//! | a key is a long alphanumeric string | `a_key_is_a_long_alphanumeric_string` |
//! | keys never reach end users | `the_key_goes_no_further_than_envoy` |
//! | a key can be deleted, and later calls with it fail | `calls_with_a_deleted_key_fail` |
//! | what is going on goes on, such as a user's session | `a_session_goes_on_after_its_key_was_deleted` |

use reqwest::Method;
use serde_json::json;

use super::served::{Served, sentences};
use crate::{
    scene::Outcome,
    tenants::{becomes, changed},
};

sentences! { Mindset:
    a_key_is_sent_in_the_header_x_api_key
    half_a_key_is_refused
    a_key_has_the_level_of_the_applications_owner
    each_application_has_keys_of_its_own
    a_key_is_a_long_alphanumeric_string
    the_key_goes_no_further_than_envoy
    calls_with_a_deleted_key_fail
    a_session_goes_on_after_its_key_was_deleted
    a_session_ends_with_its_key_if_the_application_wants_so
}

async fn a_key_is_sent_in_the_header_x_api_key(api: &Served) {
    let key = api.edge.key("app", &["read"]).await;
    let outcome = call(api, &key).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-method"), "x-api-key");
    api.get_with("/users", "Authorization", &format!("Token {key}")).await.is_refused(401, "unsupported_scheme");
    api.get_with("/users", "Authorization", &key).await.is_refused(401, "unsupported_scheme");
    api.send(api.get("/users")).await.is_refused(401, "missing_credential");
}

async fn half_a_key_is_refused(api: &Served) {
    let key = api.edge.key("app", &["read"]).await;
    call(api, &key[..key.len() / 2]).await.is_refused(401, "malformed_credential");
    call(api, &key[..key.len() - 1]).await.is_refused(401, "malformed_credential");
}

async fn a_key_has_the_level_of_the_applications_owner(api: &Served) {
    let key = api.edge.key("app", &[]).await;
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
        api.send(api.request(method, "/contexts/1").header("x-api-key", &key)).await.is_granted();
    }
}

async fn each_application_has_keys_of_its_own(api: &Served) {
    for app in ["one", "other"] {
        let key = api.edge.key(app, &["read"]).await;
        let outcome = call(api, &key).await;
        outcome.is_granted();
        assert_eq!((outcome.header("x-auth-kind"), outcome.header("x-auth-team")), ("application".into(), app.into()));
    }
}

async fn a_key_is_a_long_alphanumeric_string(api: &Served) {
    let key = api.edge.key("app", &["read"]).await;
    assert!(key.len() >= 64, "{} characters", key.len());
    assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
}

async fn the_key_goes_no_further_than_envoy(api: &Served) {
    let key = api.edge.key("app", &["read"]).await;
    let outcome = call(api, &key).await;
    outcome.is_granted();
    assert!(outcome.upstream_headers("x-api-key").is_empty());
    assert!(!format!("{:?}", outcome.answer).contains(&key));
}

async fn calls_with_a_deleted_key_fail(api: &Served) {
    let (key, other) = (api.edge.new_key("app", json!({ "scopes": [] })).await, api.edge.key("app", &[]).await);
    call(api, &key.key).await.is_granted();
    api.edge.key_service().delete_key(&key.id).await.unwrap();
    becomes(&api.edge, "unknown_key", async || call(api, &key.key).await).await;
    call(api, &key.key).await.is_refused(401, "unknown_key");
    call(api, &other).await.is_granted();
}

async fn a_session_goes_on_after_its_key_was_deleted(api: &Served) {
    let key = api.edge.new_key("app", json!({ "scopes": [] })).await;
    let token = api.session(&key.key, "user-1").await;
    api.edge.key_service().delete_key(&key.id).await.unwrap();
    becomes(&api.edge, "unknown_key", async || call(api, &key.key).await).await;
    let outcome = api.get_as(&token).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-kind"), "session");
    let again = api.log_in(json!({ "api_key": key.key, "session_id": "user-1" }).to_string()).await;
    assert_eq!(again.refusal(), (401, "invalid_credentials"));
}

async fn a_session_ends_with_its_key_if_the_application_wants_so(api: &Served) {
    let key = api.edge.new_key("app", json!({ "scopes": [] })).await;
    changed(&api.edge, "/v1/teams/app", json!({ "revoke_sessions": true })).await;
    let token = api.session(&key.key, "user-1").await;
    api.edge.key_service().delete_key(&key.id).await.unwrap();
    becomes(&api.edge, "session_revoked", async || api.get_as(&token).await).await;
}

async fn call(api: &Served, key: &str) -> Outcome {
    api.get_with("/users", "x-api-key", key).await
}
