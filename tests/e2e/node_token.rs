//! A node token takes the place of another while traffic flows, step by step as `SECURITY.md` has it.

use std::{fs, path::Path, time::Duration};

use lab::{edge::Edge, envoy::Pushed, secret::Secret};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    load::{Load, assert_only},
    scene::send,
};

/// Gives the key service these node tokens, and waits until it takes them.
async fn takes(edge: &mut Edge, file: &Path, tokens: &[&Secret]) {
    let read = |edge: &Edge| edge.key_service_log().matches("certificates and tokens were read again").count();
    let before = read(edge);
    let lines: Vec<_> = tokens.iter().map(|token| token.expose()).collect();
    fs::write(file, lines.join("\n")).unwrap();
    edge.reload_key_service();
    edge.wait_until("the tokens are read", Duration::from_secs(20), async || (read(edge) > before).then_some(())).await;
}

async fn log_in(edge: &Edge, key: &str, session: &str) -> String {
    let body = json!({ "api_key": key, "session_id": session });
    let answer = edge.key_service().request(Method::POST, "/auth/login").json(&body).send().await.unwrap();
    answer.json::<Value>().await.unwrap()["access_token"].as_str().expect("a token").to_owned()
}

/// Each of the sessions is let in, on whatever worker.
async fn let_in(edge: &Edge, sessions: &[&String]) {
    for session in sessions.iter().cycle().take(20) {
        send(edge, edge.get("/api/acme/x").bearer_auth(session)).await.is_granted();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_token_is_replaced_under_load_and_no_request_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node-tokens");
    let [old, new] = [Secret::random().unwrap(), Secret::random().unwrap()];
    fs::write(&file, old.expose()).unwrap();
    let mut edge = Edge::synced_start(|setup| {
        setup
            .key_service_environment("TOLLKEEPER_NODE_TOKEN", "")
            .key_service_environment("TOLLKEEPER_NODE_TOKEN_FILE", file.to_str().unwrap())
            .environment("TOLLKEEPER_NODE_TOKEN", old.expose())
            .environment("TOLLKEEPER_NODE_TOKEN_NEXT", &format!("{} {}", new.expose(), old.expose()))
    })
    .await;
    let key = edge.key("acme", &["read"]).await;
    let quota = json!({"quota": {"limit": 1_000_000, "window_seconds": 1}});
    let team = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    let load = Load::start(&edge, 3, "/api/acme/x", &key);
    let before = log_in(&edge, &key, "before").await;
    let_in(&edge, &[&before]).await;

    takes(&mut edge, &file, &[&old, &new]).await;
    load.flows(&edge, 50).await;

    let pushed = edge.push_config(|bootstrap| {
        bootstrap.environment_of_the_filter(&["TOLLKEEPER_NODE_TOKEN_NEXT"])?;
        bootstrap.filter(|filter| filter["key_service"]["node_token_env"] = json!("TOLLKEEPER_NODE_TOKEN_NEXT"))
    });
    assert_eq!(pushed.await, Pushed::Accepted);
    edge.key("acme", &["read"]).await;
    let meanwhile = log_in(&edge, &key, "meanwhile").await;
    let_in(&edge, &[&before, &meanwhile]).await;
    load.flows(&edge, 50).await;

    takes(&mut edge, &file, &[&new, &old]).await;
    let after = log_in(&edge, &key, "after").await;
    let_in(&edge, &[&before, &meanwhile, &after]).await;
    load.flows(&edge, 50).await;

    takes(&mut edge, &file, &[&new]).await;
    edge.key("acme", &["read"]).await;
    let_in(&edge, &[&before, &meanwhile, &after]).await;
    load.flows(&edge, 50).await;
    assert_only(&load.stop().await, "200");
    assert!(!edge.envoy_log().contains("refused the node token"), "the key service never refused a token");
}
