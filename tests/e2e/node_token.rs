//! A node token takes the place of another while traffic flows, step by step as `keyservice/README.md` has it: by a
//! configuration that is pushed, and by Envoys that are started one after the other.

use std::{fs, path::Path, time::Duration};

use lab::{
    edge::{Edge, Setup},
    envoy::Pushed,
    secret::Secret,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    load::{Load, Outcomes, assert_only},
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

/// A key service that reads its node tokens from a file, and an Envoy that has the first of them.
fn first_of(setup: Setup, file: &Path, first: &Secret) -> Setup {
    setup
        .key_service_environment("TOLLKEEPER_NODE_TOKEN", "")
        .key_service_environment("TOLLKEEPER_NODE_TOKEN_FILE", file.to_str().unwrap())
        .environment("TOLLKEEPER_NODE_TOKEN", first.expose())
}

/// A key of a team that may send as much as it likes.
async fn busy_key(edge: &Edge) -> String {
    let key = edge.key("acme", &["read"]).await;
    let quota = json!({"quota": {"limit": 1_000_000, "window_seconds": 1}});
    let team = edge.key_service().patch_team("acme", &quota).await.unwrap();
    edge.serves(team["revision"].as_u64().unwrap()).await;
    key
}

#[expect(clippy::print_stdout, reason = "what was tried belongs into the report of the run")]
fn report(name: &str, edges: &[&Edge], outcomes: &[Outcomes]) {
    let sum = |count: fn(&Outcomes) -> u64| outcomes.iter().map(count).sum::<u64>();
    let (all, refused) = (sum(Outcomes::all), sum(|outcomes| outcomes.all() - outcomes.of("200")));
    let (vm_traps, again) = (edges.iter().map(|edge| edge.vm_traps()).sum::<usize>(), sum(|outcomes| outcomes.again));
    println!("hold: rotation/{name} {all} valid_refused={refused} vm_traps={vm_traps} sent_again={again}");
    assert_eq!(vm_traps, 0);
    for outcomes in outcomes {
        assert_only(outcomes, "200");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_token_is_replaced_under_load_and_no_request_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node-tokens");
    let [old, new] = [Secret::random().unwrap(), Secret::random().unwrap()];
    fs::write(&file, old.expose()).unwrap();
    let next = format!("{} {}", new.expose(), old.expose());
    let mut edge =
        Edge::synced_start(|setup| first_of(setup, &file, &old).environment("TOLLKEEPER_NODE_TOKEN_NEXT", &next)).await;
    let key = busy_key(&edge).await;
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
    report("node_token_by_configuration", &[&edge], &[load.stop().await]);
    assert!(!edge.envoy_log().contains("refused the node token"), "the key service never refused a token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_token_is_replaced_by_envoys_that_are_started_one_after_the_other_and_no_request_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("node-tokens");
    let [old, new] = [Secret::random().unwrap(), Secret::random().unwrap()];
    fs::write(&file, old.expose()).unwrap();
    let mut first = Edge::synced_start(|setup| first_of(setup, &file, &old)).await;
    let key = busy_key(&first).await;
    let load_of_first = Load::start(&first, 1, "/api/acme/x", &key);
    let before = log_in(&first, &key, "before").await;

    takes(&mut first, &file, &[&old, &new]).await;
    load_of_first.flows(&first, 50).await;

    // What balances load sends clients to the one that is started before it ends the other.
    let tokens = format!("{} {}", new.expose(), old.expose());
    let service = first.key_service_process();
    let second = Edge::synced_start(|setup| setup.joins(service).environment("TOLLKEEPER_NODE_TOKEN", &tokens)).await;
    let load_of_second = Load::start(&second, 1, "/api/acme/x", &key);
    load_of_first.flows(&first, 50).await;
    let of_first = load_of_first.stop().await;
    first.kill_envoy();
    let meanwhile = log_in(&first, &key, "meanwhile").await;
    let_in(&second, &[&before, &meanwhile]).await;

    takes(&mut first, &file, &[&new, &old]).await;
    let after = log_in(&first, &key, "after").await;
    let_in(&second, &[&before, &meanwhile, &after]).await;
    takes(&mut first, &file, &[&new]).await;
    let revision = first.key_service().create_key(&json!({"team": "acme", "scopes": ["read"]})).await.unwrap().revision;
    second.serves(revision).await;
    load_of_second.flows(&second, 50).await;
    report("node_token_by_restart", &[&first, &second], &[of_first, load_of_second.stop().await]);
    let log = first.envoy_log() + &second.envoy_log();
    assert!(!log.contains("refused the node token"), "the key service never refused a token");
}
