//! What nodes read: the table as it is, and every change of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use keyservice::{
    domain::{
        By, Claimant, HostList, KeyFilter, KeySeed, KeyState, KeyTerms, Moment, Name, NewKey, NewTeam, Revocation, Team,
    },
    store::{Census, Store},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tollkeeper_contract::{
    KeyState as PublishedState, Kind, Scope, Scopes, Subject, TeamId, TenantState,
    page::{self, Rest, Span},
};

use crate::{
    harness::{Folder, Service, answer, eventually, metric, node_token, text},
    replica::Replica,
};

#[tokio::test]
async fn a_node_sees_every_field_that_it_needs() {
    let service = Service::start().await;
    let quota = json!({ "limit": 5, "window_seconds": 60 });
    service.post("/v1/teams", json!({ "id": "acme", "quota": quota })).await.created();
    let body = json!({
        "team": "acme", "subject": "ci", "scopes": ["write", "read"],
        "not_before": "1970-01-01T00:00:07Z", "expires": "2030-01-01T00:00:00Z",
    });
    let made = service.post("/v1/keys", body).await.created();
    let (replica, _) = Replica::snapshot(&service).await;
    let key = replica.key(text(&made, "key")).unwrap();
    assert_eq!((key.kind, key.state), (Kind::Application, PublishedState::Active));
    assert_eq!((key.not_before, key.expires), (Some(7), Some(1_893_456_000)));
    assert_eq!((key.id, key.owner.id(), key.subject, key.scopes), (text(&made, "id"), "acme", "ci", "read write"));
    let quota = replica.team("acme").unwrap().quota.unwrap();
    assert_eq!((quota.limit().get(), quota.window().get()), (5, 60));
    assert_eq!(replica.revision, 2);
}

#[tokio::test]
async fn revoked_keys_stay_published_and_deleted_ones_go() {
    let service = Service::start().await;
    service.team("acme").await;
    let (revoked, deleted) = (service.key("acme").await, service.key("acme").await);
    let (mut replica, _) = Replica::snapshot(&service).await;
    service.post(&format!("/v1/keys/{}/revoke", text(&revoked, "id")), json!({})).await.ok();
    service.delete(&format!("/v1/keys/{}", text(&deleted, "id"))).await;
    assert_eq!(replica.follow(&service, 0).await, Ok(Rest::Done));
    assert_eq!(replica.key(text(&revoked, "key")).unwrap().state, PublishedState::Revoked);
    assert_eq!(replica.key(text(&deleted, "key")), None);
    assert_eq!(replica.records, Replica::snapshot(&service).await.0.records);
}

#[tokio::test]
async fn a_deleted_team_goes_with_its_revoked_keys_in_one_revision() {
    let service = Service::start().await;
    service.team("acme").await;
    for _ in 0..3 {
        let id = text(&service.key("acme").await, "id").to_owned();
        service.post(&format!("/v1/keys/{id}/revoke"), json!({})).await.ok();
    }
    let (mut replica, _) = Replica::snapshot(&service).await;
    service.delete("/v1/teams/acme").await;
    replica.catch_up(&service).await;
    assert!(replica.records.is_empty());
    assert_eq!(replica.revision, 8);
}

#[tokio::test]
async fn very_many_revoked_keys_go_with_their_team_in_bounded_changes() {
    let folder = Folder::new();
    let store = fill(&folder, 260).await;
    let (team, now) = (TeamId::parse(&"t".repeat(64)).unwrap(), Moment::from_unix(2).unwrap());
    for key in store.keys(&KeyFilter::default(), None, 1000).await.unwrap() {
        store.revoke_key(key.id, Revocation::default(), By::SERVICE, now).await.unwrap();
    }
    let revoked = store.census().await.unwrap().revision;
    store.delete::<Team>(team, By::SERVICE, now).await.unwrap();
    assert_eq!(store.census().await.unwrap(), Census { revision: revoked + 2, ..Census::default() });
    store.close().await;
}

#[tokio::test]
async fn a_team_made_again_under_its_id_is_published_again() {
    let service = Service::start().await;
    service.team("acme").await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    service.delete("/v1/teams/acme").await;
    service.team("acme").await;
    replica.catch_up(&service).await;
    assert!(replica.team("acme").is_some());
}

#[tokio::test]
async fn an_empty_database_has_an_empty_snapshot() {
    let service = Service::start().await;
    let (replica, pages) = Replica::snapshot(&service).await;
    assert_eq!((replica.records.len(), replica.revision, pages), (0, 0, 1));
}

#[tokio::test]
async fn a_long_poll_ends_when_something_changes() {
    let service = Service::start().await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    let began = Instant::now();
    let change = async {
        waiting(&service, 1).await;
        service.team("acme").await;
    };
    let (answered, ()) = tokio::join!(replica.follow(&service, 15), change);
    assert_eq!(answered, Ok(Rest::Done));
    assert!(replica.team("acme").is_some());
    assert!(began.elapsed() < Duration::from_secs(10), "it waited to the end");
    waiting(&service, 0).await;
}

#[tokio::test]
async fn a_long_poll_without_a_change_ends_empty() {
    let service = Service::start().await;
    service.team("acme").await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    let before = replica.clone();
    let began = Instant::now();
    assert_eq!(replica.follow(&service, 1).await, Ok(Rest::Done));
    assert!(began.elapsed() >= Duration::from_secs(1), "it did not wait");
    assert_eq!((replica.records, replica.revision), (before.records, before.revision));
}

#[tokio::test]
async fn usage_and_reading_wake_nobody() {
    let service = Service::start().await;
    service.team("acme").await;
    let (mut replica, _) = Replica::snapshot(&service).await;
    let quiet = async {
        waiting(&service, 1).await;
        service.patch("/v1/teams/acme", json!({ "name": "acme" })).await.ok();
        let report = json!({ "node": "n", "epoch": 1, "seq": 1, "usage": [] });
        assert_eq!(answer(service.node(Method::POST, "/node/v1/ledger").json(&report)).await.status, 204);
    };
    let (answered, ()) = tokio::join!(replica.follow(&service, 1), quiet);
    assert_eq!((answered, replica.revision), (Ok(Rest::Done), 1));
}

#[tokio::test]
async fn a_revision_that_this_database_never_had_is_refused() {
    let service = Service::start().await;
    service.team("acme").await;
    let ahead = answer(service.node(Method::GET, "/node/v1/changes?after=2&wait=20&nonce=1")).await;
    ahead.refused(409, "revision_not_reached");
    assert_eq!(ahead.headers["x-tollkeeper-service"], "keyservice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_ever_skipped_while_many_write() {
    let service = Service::start().await;
    let done = AtomicBool::new(false);
    let write = async {
        let written = tokio::join!(writer(&service, 0), writer(&service, 1), writer(&service, 2), writer(&service, 3));
        done.store(true, Ordering::SeqCst);
        [written.0, written.1, written.2, written.3].concat()
    };
    let (written, first, second, late) =
        tokio::join!(write, reader(&service, &done, 1), reader(&service, &done, 0), async {
            eventually("some are written", async || (service.revision().await > 40).then_some(())).await;
            reader(&service, &done, 1).await
        },);
    let (truth, _) = Replica::snapshot(&service).await;
    assert_eq!(truth.revision, service.revision().await);
    for replica in [first, second, late] {
        assert_eq!(replica.revision, truth.revision);
        assert_eq!(replica.records, truth.records);
    }
    check_against_admin_api(&service, &truth, &written).await;
}

#[tokio::test]
async fn a_page_that_was_read_ahead_is_read_again_when_something_has_changed_since() {
    let folder = Folder::new();
    let store = fill(&folder, 600).await;
    let first = store.snapshot_page(None).await.unwrap();
    let first = first.writer.seal(store.service(), 1, first.span, &node_token());
    let last = page::open(&first, &node_token()).unwrap().entries.last().unwrap().cursor;
    let news = new_team(TeamId::parse("globex").unwrap());
    store.create::<Team>(news, None, By::SERVICE, Moment::from_unix(2).unwrap()).await.unwrap();
    let now = store.census().await.unwrap().revision;
    let second = store.snapshot_page(Some(last)).await.unwrap();
    assert_eq!(second.span, Span::Snapshot { after: Some(last), revision: now, rest: Rest::Done });
    store.close().await;
}

/// Makes, changes, revokes and deletes; gives back every key that it made.
async fn writer(service: &Service, number: usize) -> Vec<Value> {
    let team = format!("team-{number}");
    service.team(&team).await;
    let mut made = Vec::new();
    for round in 0..24 {
        let key = service.key(&team).await;
        let path = format!("/v1/keys/{}", text(&key, "id"));
        match round % 4 {
            0 => drop(service.post(&format!("{path}/revoke"), json!({})).await.ok()),
            1 => assert_eq!(service.delete(&path).await.status, StatusCode::NO_CONTENT),
            2 => drop(service.patch(&path, json!({ "scopes": [format!("round-{round}")] })).await.ok()),
            _ => drop(service.patch(&format!("/v1/teams/{team}"), json!({ "name": format!("r{round}") })).await.ok()),
        }
        made.push(key);
    }
    made
}

/// A node that follows until all is written.
async fn reader(service: &Service, done: &AtomicBool, wait: u64) -> Replica {
    let (mut replica, _) = Replica::snapshot(service).await;
    while !done.load(Ordering::SeqCst) {
        let before = replica.revision;
        replica.follow(service, wait).await.unwrap();
        assert!(replica.revision >= before);
    }
    replica.catch_up(service).await;
    replica
}

async fn check_against_admin_api(service: &Service, replica: &Replica, written: &[Value]) {
    let mut known = 0;
    for key in written {
        let shown = service.get(&format!("/v1/keys/{}", text(key, "id"))).await;
        let record = replica.key(text(key, "key"));
        if shown.status == StatusCode::NOT_FOUND {
            assert_eq!(record, None);
            continue;
        }
        let (shown, record) = (shown.ok(), record.unwrap());
        assert_eq!((record.id, record.owner.id()), (text(&shown, "id"), text(&shown, "team")));
        assert_eq!(json!(record.scopes.split(' ').collect::<Vec<_>>()), shown["scopes"]);
        assert_eq!(record.state == PublishedState::Revoked, shown["state"] == "revoked");
        known += 1;
    }
    assert_eq!(replica.records.len(), known + 4);
}

#[tokio::test]
async fn what_fills_several_pages_arrives_whole() {
    let folder = Folder::new();
    fill(&folder, 600).await.close().await;
    let service = Service::start_in(folder).await;
    let (from_snapshot, pages) = Replica::snapshot(&service).await;
    assert_eq!((from_snapshot.records.len(), from_snapshot.revision), (601, 601));
    assert!(pages > 1, "one page was enough");

    let mut from_changes = Replica::default();
    let mut parts = 1;
    while from_changes.follow(&service, 0).await.unwrap() == Rest::More {
        parts += 1;
    }
    assert!(parts > 1, "one page was enough");
    assert_eq!(from_changes.records, from_snapshot.records);
}

pub(crate) fn new_team(id: TeamId) -> NewTeam {
    NewTeam {
        id,
        name: Name::parse("T").unwrap(),
        state: TenantState::Active,
        quota: None,
        enterprise: None,
        hosts: HostList::default(),
        revoke_sessions: false,
    }
}

/// Makes a team with keys of the longest records.
async fn fill(folder: &Folder, keys: usize) -> Store {
    let store = Store::open(&folder.database()).await.unwrap();
    let now = Moment::from_unix(1).unwrap();
    let team = TeamId::parse(&"t".repeat(64)).unwrap();
    store.create::<Team>(new_team(team.clone()), None, By::SERVICE, now).await.unwrap();
    let scopes = (0..Scopes::MAX).map(|number| Scope::parse(&format!("{number:0>64}")).unwrap());
    let terms = KeyTerms {
        name: None,
        scopes: Scopes::new(scopes).unwrap(),
        state: KeyState::Active,
        not_before: None,
        expires: None,
        origin: None,
    };
    let claimant = Claimant::Application { team, subject: Some(Subject::parse(&"s".repeat(128)).unwrap()) };
    let key = NewKey { claimant, terms };
    for number in 0..keys {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        let mut seed = KeySeed { id: [0; 10], secret: [7; 20] };
        (seed.id[0], seed.id[1]) = (high, low);
        store.create_key(key.clone(), seed, None, By::SERVICE, now).await.unwrap();
    }
    store
}

async fn waiting(service: &Service, count: u64) {
    eventually("nodes wait", async || {
        let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        (metric(&metrics, "keyservice_long_polls") == count).then_some(())
    })
    .await;
}
