//! Bearer tokens from a real login: who verifies them, and how soon they end.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lab::{edge::Edge, envoy::Pushed, key_service::NewKey};
use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::token::{Claims, Parts};

use crate::{
    connections::Connections,
    scene::{Outcome, adopt, send},
};

const WORKERS: u32 = 4;
const LIMIT: Duration = Duration::from_secs(20);
const PATH: &str = "/api/acme/x";

async fn edge(leeway: u32) -> (Edge, NewKey) {
    edge_signing(leeway, None).await
}

async fn edge_signing(leeway: u32, algorithm: Option<&str>) -> (Edge, NewKey) {
    let edge = Edge::synced_start(|setup| {
        let setup = setup.workers(WORKERS).key_service_environment("TOLLKEEPER_ISSUER", "https://keys.example");
        let setup = algorithm
            .into_iter()
            .fold(setup, |setup, algorithm| setup.key_service_environment("TOLLKEEPER_TOKEN_ALGORITHM", algorithm));
        let tokens = json!({ "issuer": "https://keys.example", "leeway_seconds": leeway });
        setup.filter(move |filter| adopt(filter, json!({ "tokens": tokens })))
    })
    .await;
    let key = edge.new_key("acme", json!({ "scopes": ["read", "write"], "subject": "ci" })).await;
    let unlimited = json!({ "quota": { "limit": 1_000_000, "window_seconds": 1 } });
    let team = edge.key_service().patch_team("acme", &unlimited).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    (edge, key)
}

async fn log_in(edge: &Edge, key: &str, session: &str) -> String {
    let body = json!({ "api_key": key, "session_id": session });
    let answer = edge.key_service().request(Method::POST, "/auth/login").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned()
}

/// What an operator's program posts; the answer must be a good one.
async fn post(edge: &Edge, path: &str, body: Value) -> Value {
    let answer = edge.key_service().request(Method::POST, path).json(&body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

async fn bearing(edge: &Edge, token: &str) -> Outcome {
    send(edge, edge.get(PATH).bearer_auth(token)).await
}

/// Asks once over every connection.
async fn on_every_worker(connections: &Connections, token: &str) -> Vec<String> {
    let mut outcomes = Vec::new();
    for request in connections.get(PATH) {
        let answer = request.bearer_auth(token).send().await.unwrap();
        let reason = answer.headers().get("x-auth-reason").map(|value| value.to_str().unwrap().to_owned());
        outcomes.push(reason.unwrap_or_else(|| answer.status().as_u16().to_string()));
        answer.bytes().await.unwrap();
    }
    outcomes
}

/// Waits until every worker says the same; returns how long the slowest took.
async fn every_worker_says(edge: &Edge, connections: &Connections, token: &str, expected: &str) -> Duration {
    let begin = Instant::now();
    edge.wait_until(&format!("every worker says {expected}"), LIMIT, async || {
        on_every_worker(connections, token).await.iter().all(|outcome| outcome == expected).then_some(())
    })
    .await;
    begin.elapsed()
}

fn claims(token: &str) -> Claims {
    Claims::parse(&Parts::split(token.as_bytes()).unwrap().claims).unwrap()
}

fn kid(token: &str) -> String {
    Parts::split(token.as_bytes()).unwrap().header.kid
}

#[expect(clippy::print_stdout, reason = "the measured delay belongs into the report of the test run")]
fn report(change: &str, delay: Duration) {
    println!("measured: {change}, visible on all of {WORKERS} workers after {} ms", delay.as_millis());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_says_who_bears_it_in_every_algorithm() {
    for algorithm in ["HS256", "EdDSA", "ES256"] {
        let (edge, key) = edge_signing(30, Some(algorithm)).await;
        let token = log_in(&edge, &key.key, algorithm).await;
        assert_eq!(Parts::split(token.as_bytes()).unwrap().header.algorithm.as_str(), algorithm);
        let outcome = bearing(&edge, &token).await;
        outcome.is_granted();
        for (name, value) in [
            ("x-auth-method", "bearer"),
            ("x-auth-kind", "session"),
            ("x-auth-team", "acme"),
            ("x-auth-subject", "ci"),
            ("x-auth-key-id", &key.id),
            ("x-auth-scopes", "read write"),
            ("x-auth-expires", &claims(&token).expires.to_string()),
        ] {
            assert_eq!(outcome.header(name), value, "{algorithm}: {name}");
        }
        assert!(outcome.upstream_headers("authorization").is_empty(), "the upstream does not see the token");
        let is_asked = edge.envoy_log().contains("Envoy verifies ES256 signatures");
        assert_eq!(is_asked, algorithm == "ES256", "the host's own function is taken where there is one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_rotation_every_token_is_taken_by_every_worker_from_its_first_moment_on() {
    let (edge, key) = edge(30).await;
    let connections = Connections::to_every_worker(&edge).await;
    let before = log_in(&edge, &key.key, "before").await;
    let made = post(&edge, "/v1/token-keys", json!({ "algorithm": "EdDSA" })).await;
    let (mut number, mut of_the_new_key) = (0, 0);
    edge.wait_until("the new key has signed twenty tokens", LIMIT, async || {
        number += 1;
        let token = log_in(&edge, &key.key, &number.to_string()).await;
        let outcomes = on_every_worker(&connections, &token).await;
        assert!(outcomes.iter().all(|outcome| outcome == "200"), "token {number}: {outcomes:?}");
        of_the_new_key += u32::from(kid(&token) == made["kid"]);
        (of_the_new_key == 20).then_some(())
    })
    .await;
    assert!(number > 20, "the key before has signed some");
    assert!(on_every_worker(&connections, &before).await.iter().all(|outcome| outcome == "200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_signing_secret_refuses_no_token_of_the_old_one_and_none_of_its_own() {
    let (mut edge, key) = edge(30).await;
    let connections = Connections::to_every_worker(&edge).await;
    let (before, ended) = (log_in(&edge, &key.key, "a").await, log_in(&edge, &key.key, "b").await);
    let secret = "the-next-signing-secret-of-the-tests-0123456789";
    edge.restart_key_service_with("TOLLKEEPER_SIGNING_SECRET", secret).await;
    let after = log_in(&edge, &key.key, "a").await;
    assert_ne!(kid(&after), kid(&before));
    for token in [&after, &before, &ended] {
        let outcomes = on_every_worker(&connections, token).await;
        assert!(outcomes.iter().all(|outcome| outcome == "200"), "{outcomes:?}");
    }
    let revoke = edge.key_service().request(Method::POST, "/oauth/revoke");
    let form = format!("token={ended}");
    let revoke = revoke.header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(revoke.send().await.unwrap().status(), 200);
    every_worker_says(&edge, &connections, &ended, "session_revoked").await;

    post(&edge, "/v1/token-keys", json!({ "end_others": true })).await;
    every_worker_says(&edge, &connections, &before, "unknown_token").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_is_refused_by_every_worker_that_had_verified_its_token() {
    let (edge, key) = edge(30).await;
    let connections = Connections::to_every_worker(&edge).await;
    let (ended, other) = (log_in(&edge, &key.key, "ended").await, log_in(&edge, &key.key, "other").await);
    for token in [&ended, &other] {
        every_worker_says(&edge, &connections, token, "200").await;
        assert!(on_every_worker(&connections, token).await.iter().all(|outcome| outcome == "200"));
    }

    let session = claims(&ended).session;
    let revoked = post(&edge, &format!("/v1/sessions/{session}/revoke"), json!({ "reason": "lost" })).await;
    assert_eq!(revoked["state"], "revoked");
    report("a session was revoked", every_worker_says(&edge, &connections, &ended, "session_revoked").await);

    for _ in 0..10 {
        let outcomes = on_every_worker(&connections, &ended).await;
        assert!(outcomes.iter().all(|outcome| outcome == "session_revoked"), "{outcomes:?}");
    }
    assert!(on_every_worker(&connections, &other).await.iter().all(|outcome| outcome == "200"));
    bearing(&edge, &ended).await.is_refused(401, "session_revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_ends_no_session_and_a_compromised_one_all_of_its() {
    let (edge, deleted) = edge(30).await;
    let compromised = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let connections = Connections::to_every_worker(&edge).await;
    let goes_on = log_in(&edge, &deleted.key, "a").await;
    let ends = [log_in(&edge, &compromised.key, "a").await, log_in(&edge, &compromised.key, "b").await];
    for token in ends.iter().chain([&goes_on]) {
        every_worker_says(&edge, &connections, token, "200").await;
    }
    edge.key_service().delete_key(&deleted.id).await.unwrap();
    post(&edge, &format!("/v1/keys/{}/revoke", compromised.id), json!({ "compromised": true })).await;
    for token in &ends {
        every_worker_says(&edge, &connections, token, "session_revoked").await;
    }
    assert!(on_every_worker(&connections, &goes_on).await.iter().all(|outcome| outcome == "200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_in_its_second_although_it_was_verified_before() {
    let (edge, key) = edge(0).await;
    // The replaced key ends soon, and a token does not outlive the dates of its key.
    post(&edge, &format!("/v1/keys/{}/rotate", key.id), json!({ "overlap_seconds": 5 })).await;
    let token = log_in(&edge, &key.key, "short").await;
    assert!(claims(&token).expires <= claims(&token).issued + 5);
    let mut granted = 0;
    let refused = edge
        .wait_until("the token has expired", LIMIT, async || {
            let outcome = bearing(&edge, &token).await;
            granted += u32::from(outcome.status() == 200);
            (outcome.status() != 200).then_some(outcome)
        })
        .await;
    refused.is_refused(401, "token_expired");
    assert!(granted > 1, "it was taken before, and came from the cache then");
    assert!(refused.headers("www-authenticate").iter().any(|value| value.contains("error=\"invalid_token\"")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_the_one_that_was_given_out_is_refused() {
    let (edge, key) = edge(30).await;
    let token = log_in(&edge, &key.key, "good").await;
    edge.wait_until("the token is taken", LIMIT, async || (bearing(&edge, &token).await.status() == 200).then_some(()))
        .await;
    let parts: Vec<_> = token.split('.').collect();
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let admin = claims(&token).to_json().replace("read write", "admin");
    let header = |alg: &str, kid: &str| encode(&format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JWT"}}"#));
    let critical = format!(r#"{{"alg":"HS256","kid":"{}","typ":"JWT","crit":["exp"]}}"#, kid(&token));
    for (forged, reason) in [
        (format!("{}.{}.{}", parts[0], encode(&admin), parts[2]), "unknown_token"),
        (format!("{}.{}.{}", header("HS256", "nobody"), parts[1], parts[2]), "unknown_token"),
        (format!("{}.{}.{}", header("ES256", &kid(&token)), parts[1], parts[2]), "unknown_token"),
        (format!("{}.{}.", parts[0], parts[1]), "unknown_token"),
        (format!("{}.{}.{}", header("none", &kid(&token)), parts[1], parts[2]), "malformed_token"),
        (format!("{}.{}.", header("none", &kid(&token)), parts[1]), "malformed_token"),
        (format!("{}.{}.{}", encode(&critical), parts[1], parts[2]), "malformed_token"),
        (format!("{token}="), "malformed_token"),
        (format!("{}.{token}", parts[0]), "unknown_key"),
        (format!("{}.{}.{token}", parts[0], parts[1]), "malformed_token"),
        (format!("{token}{}", "A".repeat(4096)), "malformed_token"),
    ] {
        bearing(&edge, &forged).await.is_refused(401, reason);
    }
    bearing(&edge, &token).await.is_granted();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_for_another_audience_takes_no_token_that_was_verified_before() {
    let (mut edge, key) = edge(30).await;
    let token = log_in(&edge, &key.key, "good").await;
    edge.wait_until("the token is taken", LIMIT, async || (bearing(&edge, &token).await.status() == 200).then_some(()))
        .await;
    for (audience, outcome) in [("other", "unknown_token"), ("tollkeeper", "")] {
        let pushed = edge.push_filter(|filter| filter["tokens"]["audience"] = json!(audience)).await;
        assert_eq!(pushed, Pushed::Accepted);
        edge.synced().await;
        assert_eq!(bearing(&edge, &token).await.header("x-auth-reason"), outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_signing_secret_is_in_any_log_metric_or_configuration_dump() {
    let (edge, key) = edge(30).await;
    let token = log_in(&edge, &key.key, "good").await;
    edge.wait_until("the token is taken", LIMIT, async || (bearing(&edge, &token).await.status() == 200).then_some(()))
        .await;
    let forged = format!("{token}A");
    send(&edge, edge.get("/api/acme/refused").bearer_auth(&forged)).await;
    let entry = edge.access_log_entry(|entry| entry["path"] == "/api/acme/refused").await.to_string();
    let places = [
        ("Envoy's log", edge.envoy_log()),
        ("the access log", entry),
        ("the key service's log", edge.key_service_log()),
        ("Envoy's metrics", edge.admin("/stats").await),
        ("Envoy's configuration dump", edge.admin("/config_dump").await),
    ];
    let signature = token.rsplit_once('.').unwrap().1;
    for (place, text) in places {
        for secret in [signature, edge.tokens().signing.expose()] {
            assert!(!text.contains(secret), "{place} holds a secret");
        }
    }
}
