//! What is forgotten, and what nodes are told then.

use keyservice::{
    domain::{By, Moment, Team},
    store::{Behind, Cleared, Housekeeping, Retention, Store},
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

async fn cleared(store: &Store, retention: Retention, now: Moment) -> Cleared {
    match store.clear(retention, now).await.unwrap() {
        Housekeeping::Cleared(cleared) => cleared,
        Housekeeping::Doubtful(last) => panic!("{now} is not believed after {last}"),
    }
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
    assert_eq!(cleared(&store, Retention::default(), day(7)).await, Cleared::default());
    assert_eq!(forgotten(&store, 0).await, None);
    assert_eq!(cleared(&store, Retention::default(), day(7).plus(1)).await.tombstones, 1);
    assert_eq!(forgotten(&store, 1).await, Some(2));
    assert_eq!(forgotten(&store, 2).await, None);
}

#[tokio::test]
async fn tombstones_are_bounded_in_number() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let few = Retention { tombstones: 1, ..Retention::default() };
    assert_eq!(cleared(&store, few, day(5)).await.tombstones, 1);
    assert_eq!(forgotten(&store, 1).await, Some(2));
    let none = Retention { tombstones: 0, ..Retention::default() };
    assert_eq!(cleared(&store, none, day(5)).await.tombstones, 1);
    assert_eq!(forgotten(&store, 3).await, Some(4));
    assert_eq!(forgotten(&store, 4).await, None);
}

#[tokio::test]
async fn forgetting_takes_no_revision() {
    let folder = Folder::new();
    let store = store(&folder).await;
    cleared(&store, Retention::default(), day(100)).await;
    assert_eq!(store.census().await.unwrap().revision, 5);
}

/// Centuries ahead, as a clock is that lost its battery.
#[tokio::test]
async fn by_a_clock_that_leaped_ahead_nothing_is_forgotten_until_it_has_gone_on_like_that_for_a_week() {
    let folder = Folder::new();
    let store = store(&folder).await;
    let clear = async |now| store.clear(Retention::default(), now).await.unwrap();
    assert_eq!(clear(day(6)).await, Housekeeping::Cleared(Cleared::default()));
    let in_2300 = day(120_530);
    let doubtful = Housekeeping::Doubtful(day(6));
    assert_eq!(clear(in_2300).await, doubtful);
    assert_eq!(clear(in_2300.plus(600)).await, doubtful);
    assert_eq!(clear(day(6).plus(600)).await, Housekeeping::Cleared(Cleared::default()), "it was set right");
    let hours = 7 * 24;
    for hour in 0..hours {
        assert_eq!(clear(in_2300.plus(hour * 3_600)).await, Housekeeping::Doubtful(day(6).plus(600)));
    }
    let Housekeeping::Cleared(cleared) = clear(in_2300.plus(hours * 3_600)).await else { panic!("a week is enough") };
    assert_eq!(cleared.tombstones, 2);
}

#[tokio::test]
async fn what_was_audited_while_a_clock_was_wrong_is_as_old_as_what_stands_beside_it() {
    let folder = Folder::new();
    let store = Store::open(&folder.database()).await.unwrap();
    for (id, at) in [("a", day(20_000)), ("b", day(20_001)), ("c", day(1)), ("d", day(120_530)), ("e", day(20_002))] {
        make(&store, id, at).await;
    }
    assert_eq!(cleared(&store, Retention::default(), day(20_400)).await.audit_entries, 0);
    assert_eq!(cleared(&store, Retention::default(), day(20_400).plus(1)).await.audit_entries, 1, "only the first");
    make(&store, "f", day(20_300)).await;
    let later = Retention { audit_seconds: 200 * DAY, ..Retention::default() };
    assert_eq!(cleared(&store, later, day(20_400).plus(2)).await.audit_entries, 4, "all before the last");
}

#[tokio::test]
async fn a_clock_that_was_set_back_forgets_nothing_of_what_was_audited() {
    let folder = Folder::new();
    let store = Store::open(&folder.database()).await.unwrap();
    make(&store, "a", day(20_000)).await;
    assert_eq!(cleared(&store, Retention::default(), day(20_000)).await.audit_entries, 0);
    for (id, now) in [("b", day(1)), ("c", day(1).plus(600))] {
        make(&store, id, now).await;
        let doubtful = Housekeeping::Doubtful(day(20_000));
        assert_eq!(store.clear(Retention::default(), now).await.unwrap(), doubtful);
    }
    let an_hour_behind = day(20_000).minus(3_600);
    make(&store, "d", an_hour_behind).await;
    assert_eq!(cleared(&store, Retention::default(), an_hour_behind).await.audit_entries, 0);
}

#[tokio::test]
async fn a_node_that_was_away_too_long_takes_a_snapshot() {
    let folder = Folder::new();
    let store = store(&folder).await;
    cleared(&store, Retention::default(), day(100)).await;
    store.close().await;
    let service = Service::start_in(folder).await;
    let changes = |after: u64| format!("/node/v1/changes?after={after}&wait=20&nonce=1");
    assert_eq!(fetch(&service, &changes(0)).await, Err(StatusCode::GONE));
    assert_eq!(fetch(&service, &changes(3)).await, Err(StatusCode::GONE));
    assert!(fetch(&service, &changes(4)).await.is_ok());
    let (replica, _) = Replica::snapshot(&service).await;
    assert_eq!((replica.records.len(), replica.revision), (1, 5));
}
