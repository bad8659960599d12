//! Acting for a team: from every kind of credential, for every kind of team.

use lab::edge::Edge;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    scene::{self, Outcome},
    tenants::{becomes, changed, enterprise, enterprise_key, key, made, service_account, text, user},
};

const HEADER: &str = "x-delegate-account-id";

/// Umbrella has the teams acme, globex and the disabled closed; initech is another enterprise's, hooli nobody's.
async fn scene() -> Edge {
    let edge = scene::edge_with(json!({ "unmatched": "authenticate" })).await;
    enterprise(&edge, "umbrella", &["acme", "globex", "closed"]).await;
    enterprise(&edge, "other", &["initech"]).await;
    changed(&edge, "/v1/teams/closed", json!({ "state": "disabled" })).await;
    made(&edge, "/v1/teams", json!({ "id": "hooli", "name": "Hooli" })).await;
    edge
}

#[tokio::test]
async fn only_an_enterprises_credentials_may_act_for_a_team() {
    let edge = scene().await;
    user(&edge, "alice", "acme", &["read"]).await;
    let application = text(&key(&edge, json!({ "team": "acme", "scopes": ["read"] })).await);
    let personal = text(&key(&edge, json!({ "user": "alice" })).await);
    let account = text(&service_account(&edge, "robot", "acme").await);
    let mut headers = vec![account.clone(), application.clone(), personal.clone()];
    headers.push(session(&edge, &application).await);
    headers.push(session(&edge, &personal).await);
    for credential in headers {
        act(&edge, &credential, &[]).await.is_granted();
        for team in ["acme", "globex", "initech", "hooli", "unknown", "closed", "", "not an id", "umbrella"] {
            act(&edge, &credential, &[team]).await.is_refused(403, "delegation_refused");
        }
        act(&edge, &credential, &["acme", "acme"]).await.is_refused(403, "delegation_refused");
    }
}

#[tokio::test]
async fn an_enterprise_acts_for_its_own_teams_and_no_other() {
    let edge = scene().await;
    let key = enterprise_key(&edge, "umbrella").await;
    for credential in [key.clone(), session(&edge, &key).await] {
        for team in ["acme", "globex"] {
            let outcome = act(&edge, &credential, &[team]).await;
            outcome.is_granted();
            assert_eq!(outcome.header("x-auth-team"), team);
            assert_eq!(outcome.header("x-auth-delegated-team"), team);
            assert_eq!(outcome.header("x-auth-enterprise"), "umbrella");
            assert_eq!(outcome.header("x-auth-subject"), "umbrella-robot");
            assert_eq!(outcome.upstream_headers("x-auth-team"), [team]);
        }
        for team in ["initech", "hooli", "unknown", "", "not an id", "umbrella", "ACME", "acme,acme", "acme, globex"] {
            act(&edge, &credential, &[team]).await.is_refused(403, "delegation_refused");
        }
        act(&edge, &credential, &["acme", "acme"]).await.is_refused(403, "delegation_refused");
        act(&edge, &credential, &["acme", "globex"]).await.is_refused(403, "delegation_refused");
        act(&edge, &credential, &["closed"]).await.is_refused(403, "team_disabled");
    }
}

#[tokio::test]
async fn a_foreign_team_and_one_that_is_not_there_have_the_same_answer() {
    let edge = scene().await;
    changed(&edge, "/v1/teams/initech", json!({ "state": "disabled" })).await;
    let key = enterprise_key(&edge, "umbrella").await;
    let by_header = async |team: &str| told(&act(&edge, &key, &[team]).await);
    let by_path = async |team: &str| told(&scene::get(&edge, &format!("/api/{team}/x"), &key).await);
    for foreign in ["hooli", "initech"] {
        assert_eq!(by_header(foreign).await, by_header("unknown").await);
        assert_eq!(by_path(foreign).await, by_path("unknown").await);
    }
}

#[tokio::test]
async fn without_the_header_an_enterprise_acts_for_the_team_in_the_path() {
    let edge = scene().await;
    let key = enterprise_key(&edge, "umbrella").await;
    let outcome = scene::get(&edge, "/api/acme/x", &key).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-team"), "acme");
    assert_eq!(outcome.header("x-auth-enterprise"), "umbrella");
    for team in ["initech", "hooli", "unknown"] {
        scene::get(&edge, &format!("/api/{team}/x"), &key).await.is_refused(403, "team_mismatch");
    }
    scene::get(&edge, "/api/closed/x", &key).await.is_refused(403, "team_disabled");
}

#[tokio::test]
async fn the_team_in_the_header_must_be_the_one_in_the_path() {
    let edge = scene().await;
    let key = enterprise_key(&edge, "umbrella").await;
    let at =
        async |path: &str| scene::send(&edge, edge.get(path).header("x-api-key", &key).header(HEADER, "acme")).await;
    at("/api/acme/x").await.is_granted();
    at("/api/globex/x").await.is_refused(403, "delegation_refused");
}

#[tokio::test]
async fn without_a_team_an_enterprise_acts_for_itself() {
    let edge = scene().await;
    changed(&edge, "/v1/enterprises/umbrella", json!({ "quota": { "limit": 70, "window_seconds": 60 } })).await;
    let outcome = act(&edge, &enterprise_key(&edge, "umbrella").await, &[]).await;
    outcome.is_granted();
    assert_eq!(
        (outcome.header("x-auth-team"), outcome.header("x-auth-enterprise")),
        (String::new(), "umbrella".into())
    );
    assert_eq!(outcome.header("ratelimit-policy"), r#""enterprise";q=70;w=60"#);
}

#[tokio::test]
async fn the_team_that_is_acted_for_pays() {
    let edge = scene().await;
    scene::limit_team(&edge, "acme", 2, 86_400).await;
    let enterprise = enterprise_key(&edge, "umbrella").await;
    let own = edge.key("acme", &["read"]).await;
    act(&edge, &enterprise, &["acme"]).await.is_granted();
    scene::get(&edge, "/api/acme/x", &own).await.is_granted();
    act(&edge, &enterprise, &["acme"]).await.is_refused(429, "quota_exhausted");
    scene::get(&edge, "/api/acme/x", &own).await.is_refused(429, "quota_exhausted");
    act(&edge, &enterprise, &["globex"]).await.is_granted();
    act(&edge, &enterprise, &[]).await.is_granted();
}

#[tokio::test]
async fn a_team_that_changes_its_enterprise_changes_who_may_act_for_it() {
    let edge = scene().await;
    let (old, new) = (enterprise_key(&edge, "umbrella").await, enterprise_key(&edge, "other").await);
    act(&edge, &old, &["acme"]).await.is_granted();
    changed(&edge, "/v1/teams/acme", json!({ "enterprise": "other" })).await;
    act(&edge, &old, &["acme"]).await.is_refused(403, "delegation_refused");
    act(&edge, &new, &["acme"]).await.is_granted();
}

#[tokio::test]
async fn a_disabled_enterprise_acts_for_nobody() {
    let edge = scene().await;
    let key = enterprise_key(&edge, "umbrella").await;
    let own = edge.key("acme", &["read"]).await;
    changed(&edge, "/v1/enterprises/umbrella", json!({ "state": "disabled" })).await;
    act(&edge, &key, &["acme"]).await.is_refused(403, "enterprise_disabled");
    act(&edge, &key, &[]).await.is_refused(403, "enterprise_disabled");
    scene::get(&edge, "/api/acme/x", &own).await.is_granted();
}

/// A GET of a path without a team, with this credential (a token has dots, a key has none) and these headers.
async fn act(edge: &Edge, credential: &str, teams: &[&str]) -> Outcome {
    let scheme = if credential.contains('.') { "Bearer" } else { "Token" };
    let mut request = edge.get("/report").header("authorization", format!("{scheme} {credential}"));
    for team in teams {
        request = request.header(HEADER, *team);
    }
    scene::send(edge, request).await
}

/// A token for a key, once the filter takes it.
async fn session(edge: &Edge, key: &str) -> String {
    let request = edge.key_service().request(Method::POST, "/auth/login").json(&json!({ "api_key": key }));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    becomes(edge, "", async || act(edge, &token, &[]).await).await;
    token
}

/// Everything that a client is told, but the time.
fn told(outcome: &Outcome) -> (u16, Vec<(String, String)>, String) {
    let headers = outcome.answer.headers.iter().filter(|(name, _)| name != "date");
    let headers = headers.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()));
    (outcome.status(), headers.collect(), outcome.answer.text())
}
