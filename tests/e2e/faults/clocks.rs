//! A clock of the day is wrong: keys without dates work as ever, dates are judged by the clock of the Envoy that judges, and
//! nothing that only counts time notices.

use lab::{
    edge::{Edge, Setup},
    faults::Faults,
};
use serde_json::json;

use super::{Course, LIMIT, PATH, becomes, everywhere, log_in, outcome, sort::Sort, sorts, with_tokens};
use crate::connections::Connections;

const HOUR: i64 = 3_600;

/// Where the clock goes, what then becomes of a token of half an hour, and of a key that is good from 2020 to 2200.
const TIMES: [(&str, i64, Option<&str>, Option<&str>); 4] = [
    ("1_h_ahead", HOUR, Some("401 token_expired"), None),
    ("1_h_behind", -HOUR, Some("401 token_not_yet_valid"), None),
    ("in_1970", 0, Some("401 token_not_yet_valid"), Some("401 key_not_yet_valid")),
    ("in_2300", 0, Some("401 token_expired"), Some("401 key_expired")),
];

/// By how many seconds the clock is wrong then.
fn shift(name: &str, seconds: i64) -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed();
    match name {
        "in_1970" => 60 - now,
        "in_2300" => 10_413_792_000 - now,
        _ => seconds,
    }
}

async fn edge(faults: impl FnOnce(Setup) -> Setup) -> (Edge, String, Vec<Sort>) {
    let edge = Edge::synced_start(|setup| {
        faults(with_tokens(setup).key_service_environment("TOLLKEEPER_TOKEN_SECONDS", "1800"))
    })
    .await;
    let dates = json!({ "scopes": ["read"], "not_before": "2020-01-01T00:00:00Z", "expires": "2200-01-01T00:00:00Z" });
    let dated = edge.new_key("acme", dates).await.key;
    let mut sorts = sorts(&edge).await;
    sorts.push(Sort::valid("dated", ("x-api-key", dated.clone())));
    (edge, dated, sorts)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_day_is_for_envoy_keys_without_dates_work_and_dates_are_judged_by_its_clock() {
    let faults = Faults::none().unwrap();
    let (mut edge, dated, sorts) = edge(|setup| setup.envoy_faults(&faults)).await;
    let token = sorts.iter().find(|sort| sort.name == "token").unwrap().header.clone();
    let connections = Connections::to_every_worker(&edge).await;
    for (name, seconds, of_token, of_dated) in TIMES {
        let due = |sort: &Sort| {
            let refusal = match sort.name {
                "token" => of_token,
                "dated" => of_dated,
                _ => None,
            };
            let sort = sort.clone();
            match refusal {
                Some(refusal) => sort.refused_meanwhile(refusal),
                None => sort,
            }
        };
        let mut course = Course::start(&edge, &format!("clock_of_envoy_{name}"), sorts.iter().map(due).collect());
        course.begins_to_break().await;
        faults.shift_clock(shift(name, seconds)).unwrap();
        everywhere(&edge, &connections, &token, of_token.unwrap_or("200")).await;
        becomes(&edge, &dated, of_dated.unwrap_or("200")).await;
        course.is_broken().await;
        let right_again = async |edge: &mut Edge| {
            faults.shift_clock(0).unwrap();
            everywhere(edge, &connections, &token, "200").await;
        };
        course.is_mended(&mut edge, right_again).await;
        course.ends(&edge).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_day_is_for_the_key_service_keys_work_and_changes_arrive_as_before() {
    let faults = Faults::none().unwrap();
    let (mut edge, _, sorts) = edge(|setup| setup.key_service_faults(&faults)).await;
    for (name, seconds, ..) in TIMES {
        let mut course = Course::start(&edge, &format!("clock_of_key_service_{name}"), sorts.clone());
        let (token, session) = session(&edge).await;
        course.begins_to_break().await;
        faults.shift_clock(shift(name, seconds)).unwrap();
        revoke(&edge, &session).await;
        let changed = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
        becomes(&edge, &changed.key, "200").await;
        // The change before that has arrived, too.
        let ended = outcome(&edge, edge.get_over_new_connection(PATH).bearer_auth(&token)).await;
        assert_eq!(ended, "401 session_revoked", "{name}");
        let revoked = edge.key_service().revoke_key(&changed.id).await.unwrap();
        edge.serves(revoked["revision"].as_u64().unwrap()).await;
        becomes(&edge, &changed.key, "401 key_revoked").await;
        course.is_broken().await;
        course.is_mended(&mut edge, async |_| faults.shift_clock(0).unwrap()).await;
        course.ends(&edge).await;
    }
}

/// A token, and the id of its session.
async fn session(edge: &Edge) -> (String, String) {
    let key = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let token = log_in(edge.key_service(), &key.key).await;
    let sessions = edge.key_service().get(&format!("/v1/sessions?key={}", key.id)).await.unwrap();
    (token, sessions["sessions"][0]["id"].as_str().unwrap().to_owned())
}

async fn revoke(edge: &Edge, session: &str) {
    edge.key_service().post(&format!("/v1/sessions/{session}/revoke"), &json!({})).await.unwrap();
}

/// A token whose session was revoked: that is kept for as long as the token could be taken.
async fn revoked_session(edge: &Edge) -> Sort {
    let (token, session) = session(edge).await;
    revoke(edge, &session).await;
    let refusal = "401 session_revoked";
    edge.wait_until("the session is over", LIMIT, async || {
        let request = edge.get_over_new_connection(PATH).bearer_auth(&token);
        (outcome(edge, request).await == refusal).then_some(())
    })
    .await;
    Sort::wrong("revoked_session", ("authorization", format!("Bearer {token}")), refusal)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_that_starts_at_another_time_forgets_nothing() {
    let faults = Faults::none().unwrap();
    let (mut edge, _, mut sorts) = edge(|setup| setup.key_service_faults(&faults)).await;
    sorts.push(revoked_session(&edge).await);
    for (name, seconds, ..) in TIMES {
        let mut course = Course::start(&edge, &format!("key_service_starts_{name}"), sorts.clone());
        course.begins_to_break().await;
        faults.shift_clock(shift(name, seconds)).unwrap();
        edge.restart_key_service().await;
        course.is_broken().await;
        let starts_again = async |edge: &mut Edge| {
            faults.shift_clock(0).unwrap();
            edge.restart_key_service().await;
        };
        course.is_mended(&mut edge, starts_again).await;
        course.ends(&edge).await;
    }
}
