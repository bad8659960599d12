//! The disk of a key service with SQLite is full, or has become read-only: changes are refused, and everything else goes on.

use lab::{
    edge::{Edge, Setup},
    faults::{Disk, Faults},
};
use serde_json::json;

use super::{Course, lasting, sorts, with_tokens};

async fn refuses_changes(edge: &Edge) {
    let described = json!({ "team": "acme", "scopes": ["read"] });
    edge.wait_until("a change is refused", super::LIMIT, async || {
        edge.key_service().create_key(&described).await.err().map(drop)
    })
    .await;
}

/// What the disk does, under traffic; then the key service is killed, so that what it confirmed shows to be there.
async fn survives_a_disk_that_is(disk: Disk, name: &str) {
    let faults = Faults::none().unwrap();
    let on_it = |setup: Setup| with_tokens(setup).key_service_faults(&faults);
    let mut edge = Edge::synced_start(on_it).await;
    let sorts = sorts(&edge).await;
    let mut course = Course::start(&edge, name, sorts);
    course.begins_to_break().await;
    faults.disk(disk).unwrap();
    refuses_changes(&edge).await;
    course.is_broken_for(lasting()).await;
    course.is_mended(&mut edge, async |_| faults.disk(Disk::Fine).unwrap()).await;
    edge.restart_key_service().await;
    course.ends(&edge).await;
    let said = edge.key_service_log();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_keys_work_and_changes_are_refused_and_afterwards_nothing_confirmed_is_lost() {
    survives_a_disk_that_is(Disk::Full, "disk_full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_read_only_keys_work_and_changes_are_refused_and_afterwards_nothing_confirmed_is_lost() {
    survives_a_disk_that_is(Disk::ReadOnly, "disk_read_only").await;
}
