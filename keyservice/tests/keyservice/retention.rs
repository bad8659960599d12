//! What is forgotten, and what nodes are told then.

use keyservice::{
    domain::{By, Moment, Team},
    store::{Behind, Cleared, Retention, Store},
};
use reqwest::StatusCode;
use tollkeeper_contract::TeamId;

use super::publication::new_team;
use crate::{
    harness::{Folder, Service},
    replica::{Replica, fetch},
};

const DAY: u64 = 24 * 60 * 60;

fn day(number: u64) -> Moment {
    Moment::from_unix(number * DAY).unwrap()
}

/// A database in which team `a` was made and deleted on day 0, `b` on day 5, and `c` stays: revisions 1 to 5.
async fn store(folder: &Folder) -> Store {
    let store = Store::open(&folder.database()).await.unwrap();
    for (id, at) in [("a", day(0)), ("b", day(5))] {
        make(&store, id, at).await;
        store.delete::<Team>(TeamId::parse(id).unwrap(), By::SERVICE, at).await.unwrap();
    }
    make(&store, "c", day(5)).await;
    store
}

async fn make(store: &Store, id: &str, at: Moment) {
    let team = new_team(TeamId::parse(id).unwrap());
    store.create::<Team>(team, None, By::SERVICE, at).await.unwrap();
}

async fn forgotten(store: &Store, after: u64) -> Option<u64> {
    match store.changes_page(after).await.unwrap() {
        Err(Behind::Forgotten { history_from }) => Some(history_from),
        Err(other) => panic!("{other:?}"),
        Ok(_) => None,
    }
}

#[tokio::test]
async fn tombstones_are_kept_for_a_week() {
    let folder = Folder::new();
    let store = store(&folder).await;
    assert_eq!(store.clear(Retention::default(), day(7)).await.unwrap(), Cleared::default());
    assert_eq!(forgotten(&store, 0).await, None);
    let cleared = store.clear(Retention::default(), day(8)).await.unwrap();
    assert_eq!(cleared.tombstones, 1);
    assert_eq!(forgotten(&store, 1).await, Some(2));
    assert_eq!(forgotten(&store, 2).await, None);
}

#[tokio::test]
async fn tombstones_are_bounded_in_number() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let few = Retention { tombstones: 1, ..Retention::default() };
    assert_eq!(store.clear(few, day(5)).await.unwrap().tombstones, 1);
    assert_eq!(forgotten(&store, 1).await, Some(2));
    let none = Retention { tombstones: 0, ..Retention::default() };
    assert_eq!(store.clear(none, day(5)).await.unwrap().tombstones, 1);
    assert_eq!(forgotten(&store, 3).await, Some(4));
    assert_eq!(forgotten(&store, 4).await, None);
}

#[tokio::test]
async fn forgetting_takes_no_revision() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.clear(Retention::default(), day(100)).await.unwrap();
    assert_eq!(store.census().await.unwrap().revision, 5);
}

#[tokio::test]
async fn a_node_that_was_away_too_long_takes_a_snapshot() {
    let folder = Folder::new();
    let store = store(&folder).await;
    store.clear(Retention::default(), day(100)).await.unwrap();
    store.close().await;
    let service = Service::start_in(folder).await;
    let changes = |after: u64| format!("/node/v1/changes?after={after}&wait=20&nonce=1");
    assert_eq!(fetch(&service, &changes(0)).await, Err(StatusCode::GONE));
    assert_eq!(fetch(&service, &changes(3)).await, Err(StatusCode::GONE));
    assert!(fetch(&service, &changes(4)).await.is_ok());
    let (replica, _) = Replica::snapshot(&service).await;
    assert_eq!((replica.records.len(), replica.revision), (1, 5));
}
