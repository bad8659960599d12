//! What holds for the limits of everybody: shown, set, told to nodes and to the audit log.

use reqwest::Method;
use serde_json::{Value, json};
use tollkeeper_contract::{
    Digest, LimitsRecord,
    page::{Cursor, Table},
};

use super::commands::{done, json as answered, typed};
use crate::{
    harness::{ADMIN_TOKEN, Answer, Service, answer},
    replica::Replica,
};

async fn set(service: &Service, query: &str, factor: Value) -> Answer {
    let request = service.admin(Method::PUT, &format!("/v1/limits{query}"));
    answer(request.json(&json!({ "factor": factor }))).await
}

/// What the node multiplies limits by, in thousandths.
fn factor_at(node: &Replica) -> Option<u32> {
    let cursor = Cursor { table: Table::Limits, digest: Digest::of(LimitsRecord::NAME.as_bytes()) };
    node.records.get(&cursor).map(|bytes| LimitsRecord::decode(bytes).unwrap().factor.thousandths())
}

#[tokio::test]
async fn limits_are_as_they_are_until_somebody_sets_a_factor() {
    let service = Service::start().await;
    service.team("acme").await;
    assert_eq!(service.get("/v1/limits").await.ok(), json!({ "factor": 1.0, "revision": 0 }));
    let changed = set(&service, "", json!(0.5)).await.ok();
    assert_eq!(changed, json!({ "factor": 0.5, "revision": 2 }));
    assert_eq!(service.get("/v1/limits").await.ok(), changed);
    let (_, folder) = service.stop().await;
    let again = Service::start_in(folder).await;
    assert_eq!(again.get("/v1/limits").await.ok(), changed);
}

#[tokio::test]
async fn a_factor_that_holds_already_takes_no_revision_and_is_not_in_the_log() {
    let service = Service::start().await;
    assert_eq!(set(&service, "", json!(1)).await.ok(), json!({ "factor": 1.0, "revision": 0 }));
    for _ in 0..2 {
        assert_eq!(set(&service, "", json!(0.035)).await.ok(), json!({ "factor": 0.035, "revision": 1 }));
    }
    assert_eq!(set(&service, "", json!(1)).await.ok(), json!({ "factor": 1.0, "revision": 2 }));
    let entries = service.get("/v1/audit").await.ok()["entries"].take();
    let told = |entry: &Value| (entry["action"].clone(), entry["resource"].clone(), entry["detail"]["factor"].clone());
    let expected = |old: f64, new: f64| (json!("limits.change"), json!("limits"), json!({ "old": old, "new": new }));
    let found: Vec<_> = entries.as_array().unwrap().iter().map(told).collect();
    assert_eq!(found, [expected(1.0, 0.035), expected(0.035, 1.0)]);
    assert_eq!(entries[1]["revision"], 2);
}

#[tokio::test]
async fn nodes_get_the_factor_with_the_changes_and_with_a_snapshot() {
    let service = Service::start().await;
    service.team("acme").await;
    let (mut node, _) = Replica::snapshot(&service).await;
    assert_eq!(factor_at(&node), None);
    for (factor, thousandths) in [(json!(0.5), 500), (json!(0.001), 1), (json!(10), 10_000), (json!(1.0), 1000)] {
        set(&service, "", factor).await.ok();
        node.catch_up(&service).await;
        assert_eq!(factor_at(&node), Some(thousandths));
        assert_eq!(Replica::snapshot(&service).await.0.records, node.records);
    }
}

#[tokio::test]
async fn who_sets_a_factor_can_wait_until_the_nodes_have_it() {
    let service = Service::start().await;
    let (mut node, _) = Replica::snapshot(&service).await;
    node.follow(&service, 0).await.unwrap();
    let (changed, ()) = tokio::join!(set(&service, "?wait=20", json!(0.5)), async {
        node.follow(&service, 20).await.unwrap();
        node.follow(&service, 0).await.unwrap();
    });
    let changed = changed.ok();
    assert_eq!((&changed["fleet"]["reached"], &changed["fleet"]["revision"]), (&json!(true), &json!(1)), "{changed}");
    assert_eq!((&changed["factor"], factor_at(&node)), (&json!(0.5), Some(500)));
}

#[tokio::test]
async fn a_number_that_is_no_factor_is_refused_by_its_name() {
    let service = Service::start().await;
    for wrong in [json!(0), json!(-1), json!(0.0005), json!(0.1234), json!(10.001), json!(11), json!(1e300)] {
        let refused = set(&service, "", wrong).await;
        refused.refused(400, "invalid_field");
        let rule = "factor: must be a number from 0.001 to 10 with at most three digits behind the point";
        assert_eq!((&refused.body["field"], &refused.body["detail"]), (&json!("factor"), &json!(rule)));
    }
    for wrong in [json!("0.5"), json!(null), json!([0.5]), json!(true)] {
        let refused = set(&service, "", wrong).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], "factor");
    }
    let request = |body: Value| service.admin(Method::PUT, "/v1/limits").json(&body);
    for (body, field) in [(json!({}), "factor"), (json!({ "factor": 1, "limit": 2 }), "limit")] {
        let refused = answer(request(body)).await;
        refused.refused(400, "invalid_field");
        assert_eq!(refused.body["field"], field);
    }
    service.post("/v1/limits", json!({ "factor": 0.5 })).await.refused(405, "method_not_allowed");
    assert_eq!(service.revision().await, 0);
}

#[tokio::test]
async fn limits_are_set_and_shown_by_commands() {
    let service = Service::start().await;
    assert_eq!(done(&service, &["limits", "show"]).await, "factor    1\nrevision  0\n");
    assert_eq!(done(&service, &["limits", "set", "--factor", "0.5"]).await, "factor    0.5\nrevision  1\n");
    let waited = done(&service, &["limits", "set", "--factor", "2", "--wait", "5"]).await;
    assert!(waited.starts_with("factor    2\nrevision  2\n0 live nodes serve revision 2 after "), "{waited}");
    assert_eq!(answered(&service, &["limits", "show"]).await, json!({ "factor": 2.0, "revision": 2 }));
    for factor in ["0", "0.0001", "1.0005", "11", "-1", "half", "nan", "0,5", ""] {
        let refused = typed(&service.url, ADMIN_TOKEN, &["limits", "set", &format!("--factor={factor}")]).await;
        assert_eq!(refused.code, 2, "{factor}: {}", refused.err);
        let says_both = refused.err.contains("--factor") && refused.err.contains("a number from 0.001 to 10");
        assert!(says_both, "{factor}: {}", refused.err);
    }
    assert_eq!(typed(&service.url, ADMIN_TOKEN, &["limits", "set"]).await.code, 2);
}
