//! Origins, row by row as `docs/REFERENCE.md` lists them.

use serde_json::{Value, json};

use super::served::{Api, Served};
use crate::tenants::{key, text};

const REFERENCE: &str = include_str!("../../../docs/REFERENCE.md");

#[tokio::test]
async fn an_origin_is_registered_as_documented() {
    let api = Api::Mosaic.alone().await;
    let rows = table("| registered as | given | origin |");
    assert!(rows.len() >= 8, "{rows:?}");
    for row in rows {
        let [field, given, origin] = row.as_slice() else { panic!("{row:?}") };
        let made = bound(&api, json!({ field: given })).await;
        assert_eq!(&made["origin"], origin, "{row:?}");
    }
}

#[tokio::test]
async fn an_origin_header_matches_as_documented() {
    let api = Api::Mosaic.alone().await;
    crate::scene::limit_team(&api.edge, "acme", 100_000, 1).await;
    let rows = table("| the key's origin | `Origin` | |");
    assert!(rows.len() >= 30, "{} rows", rows.len());
    let mut keys: Vec<(String, String)> = Vec::new();
    for row in rows {
        let [registered, presented, outcome] = row.as_slice() else { panic!("{row:?}") };
        if !keys.iter().any(|(origin, _)| origin == registered) {
            keys.push((registered.clone(), text(&bound(&api, registration(registered)).await)));
        }
        let (_, key) = keys.iter().find(|(origin, _)| origin == registered).unwrap();
        let mut request = api.get("/api/acme/sales").header("Authorization", key);
        for value in values(presented) {
            request = request.header("Origin", value);
        }
        let answer = api.send(request).await;
        let told = if answer.status() == 200 { "served".to_owned() } else { answer.header("x-auth-reason") };
        let expected = if outcome == "served" { "served" } else { "origin_mismatch" };
        assert_eq!(told, expected, "{row:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_key_without_an_origin_works_from_everywhere() {
    let api = Api::Mosaic.alone().await;
    let key = api.edge.key("acme", &["read"]).await;
    for origins in [vec![], vec!["null"], vec!["https://a.example", "https://b.example"], vec!["mycoolapp.com"]] {
        let request = api.get("/api/acme/sales").header("Authorization", &key);
        let request = origins.iter().fold(request, |request, origin| request.header("Origin", *origin));
        api.send(request).await.is_granted();
    }
}

/// What is sent for a cell of the table: the values of the headers.
fn values(cell: &str) -> Vec<&str> {
    match cell {
        "(none)" => vec![],
        "(empty)" => vec![""],
        _ => cell.split(" and ").collect(),
    }
}

/// The field that gives a key this origin.
fn registration(origin: &str) -> Value {
    match origin.contains('/') {
        true => json!({ "webhook_url": format!("{origin}/webhook") }),
        false => json!({ "domain": origin }),
    }
}

async fn bound(api: &Served, origin: Value) -> Value {
    api.edge.key_service().create_team("acme", "Acme").await.unwrap();
    key(&api.edge, json!({ "team": "acme", "scopes": ["read"], "origin": origin })).await
}

/// The rows under a head, each cell without its backticks.
fn table(head: &str) -> Vec<Vec<String>> {
    let rows = REFERENCE.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| -> Vec<String> {
        let row = row.trim_start_matches('|').trim_end_matches('|');
        row.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    rows.map(cells).collect()
}
