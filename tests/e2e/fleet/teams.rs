//! Many teams that are cold on every node, all at once.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use lab::edge::Fleet;
use reqwest::Client;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};
use tollkeeper_contract::Digest;

use super::{NODES, fleet, record::Quota};

const TEAMS: usize = 1000;
/// Nothing comes back while the test runs.
const QUOTA: Quota = Quota { limit: 4, window: Duration::from_secs(2_678_400) };
const CONNECTIONS: usize = 200;

/// Teams, and a key of another maker for each.
async fn teams(fleet: &Fleet) -> Vec<String> {
    let at_once = Arc::new(Semaphore::new(4));
    let mut made = JoinSet::new();
    for index in 0..TEAMS {
        let (key_service, at_once) = (fleet.key_service().clone(), Arc::clone(&at_once));
        made.spawn(async move {
            let _turn = at_once.acquire().await.unwrap();
            key_service.create_team(&team(index), &team(index)).await.unwrap();
        });
    }
    made.join_all().await;
    let keys: Vec<String> = (0..TEAMS).map(|index| format!("a-key-of-another-maker-for-team-{index}")).collect();
    let rows: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| {
            let digest = Digest::of(key.as_bytes()).to_hex();
            json!({ "digest": digest, "kind": "application", "team": team(index), "scopes": ["read"] })
        })
        .collect();
    fleet.key_service().post("/v1/keys/import", &json!({ "keys": rows })).await.unwrap();
    fleet.serves(revision(fleet).await).await;
    keys
}

/// That of the last change.
async fn revision(fleet: &Fleet) -> u64 {
    let made = fleet.key_service().post("/v1/teams", &json!({ "id": "the-last", "name": "the last" })).await.unwrap();
    made["revision"].as_u64().unwrap()
}

fn team(index: usize) -> String {
    format!("team-{index}")
}

/// Sends as many requests of every team to every node as the whole quota has, all at once; returns the statuses of
/// each team.
async fn everything_at_once(fleet: &Fleet, keys: &[String]) -> BTreeMap<usize, Vec<(u16, String)>> {
    let at_once = Arc::new(Semaphore::new(CONNECTIONS));
    let clients: Vec<_> = fleet.nodes().iter().map(|node| (client(), node.address())).collect();
    let mut requests = JoinSet::new();
    for _ in 0..QUOTA.limit {
        for (index, key) in keys.iter().enumerate() {
            for (client, address) in &clients {
                let url = format!("http://{address}/api/{}/x", team(index));
                let request = client.get(url).header("x-api-key", key);
                let at_once = Arc::clone(&at_once);
                requests.spawn(async move {
                    let _turn = at_once.acquire().await.unwrap();
                    let answer = request.send().await.unwrap();
                    let reason =
                        answer.headers().get("x-auth-reason").map(|reason| reason.to_str().unwrap().to_owned());
                    let status = answer.status().as_u16();
                    answer.bytes().await.unwrap();
                    (index, (status, reason.unwrap_or_default()))
                });
            }
        }
    }
    let mut answers: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    while let Some(answer) = requests.join_next().await {
        let (index, answer) = answer.unwrap();
        answers.entry(index).or_default().push(answer);
    }
    answers
}

fn client() -> Client {
    lab::http::client().unwrap().http1_only().timeout(Duration::from_secs(60)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_1000_teams_that_come_at_once_each_gets_its_quota_from_three_nodes() {
    let fleet = fleet(QUOTA, json!({ "wait_ms": 10_000 })).await;
    let keys = teams(&fleet).await;
    let began = Instant::now();
    let answers = everything_at_once(&fleet, &keys).await;
    report(began.elapsed(), super::calls_for_leases(fleet.key_service()).await);
    assert_eq!(answers.len(), TEAMS);
    for (index, answers) in answers {
        let admitted = answers.iter().filter(|(status, _)| *status == 200).count();
        let refused = answers.iter().filter(|(_, reason)| reason == "quota_exhausted").count();
        assert_eq!((admitted, admitted + refused), (4, 4 * NODES), "{}: {answers:?}", team(index));
    }
}

#[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
fn report(took: Duration, calls: u64) {
    println!(
        "measured: {TEAMS} teams cold on {NODES} nodes at once: {} requests decided in {:.1} s with {calls} calls for \
         leases",
        TEAMS * NODES * QUOTA.limit as usize,
        took.as_secs_f64(),
    );
}
