//! What befalls Envoy: configurations and modules are pushed, its main thread stalls, it has one core for four workers, it dies.

use std::{fs, time::Duration};

use lab::{
    artifacts,
    edge::{Edge, Setup},
    envoy::Pushed,
    faults::Faults,
};
use serde_json::json;
use tempfile::TempDir;

use super::{LIMIT, PATH, becomes, everywhere, number, sort::Sort, sorts, survives, takes, with_tokens};
use crate::{connections::Connections, scene};

/// The module with other bytes: behind it, a section that says nothing to anybody.
fn another_module(folder: &TempDir) -> std::path::PathBuf {
    let mut bytes = fs::read(artifacts::filter().unwrap()).unwrap();
    // Of no kind, three bytes long, of which one says that its name has two: `v2`.
    bytes.extend([0, 3, 2, b'v', b'2']);
    let file = folder.path().join("another.wasm");
    fs::write(&file, bytes).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_replaced_by_another_keeps_the_table_and_a_name_for_other_data_begins_with_none() {
    let folder = TempDir::new().unwrap();
    let mut edge = Edge::synced_start(with_tokens).await;
    let all = sorts(&edge).await;
    takes(&mut edge, "module_replaced", all.clone(), 1, async |edge, _| {
        let pushed = edge.push_config(|bootstrap| bootstrap.wasm(&another_module(&folder))).await;
        assert_eq!(pushed, Pushed::Accepted);
    })
    .await;

    let all = all.into_iter().map(|sort| sort.perhaps("503 not_synced")).collect();
    takes(&mut edge, "vm_id_changed", all, 1, async |edge, _| {
        let pushed = edge.push_config(|bootstrap| bootstrap.vm_id("another")).await;
        assert_eq!(pushed, Pushed::Accepted);
        edge.synced().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envoy_that_is_killed_comes_back_with_the_keys_of_now_and_lets_nobody_in_meanwhile() {
    let mut edge = Edge::synced_start(|setup| with_tokens(setup).comes_back()).await;
    let doomed = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    let mut all = sorts(&edge).await;
    // Revoked while Envoy is dead, so it must never be let in by what comes back.
    all.push(Sort::valid("doomed", ("x-api-key", doomed.key.clone())).refused_for_good("401 key_revoked"));
    let all = all.into_iter().map(|sort| sort.perhaps("no answer").perhaps("503 not_synced")).collect();
    let kill = async |edge: &mut Edge| {
        edge.kill_envoy();
        edge.key_service().revoke_key(&doomed.id).await.unwrap();
    };
    survives(&mut edge, "envoy_killed", all, kill, async |edge| edge.start_envoy().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_on_one_core_judge_as_they_do_on_many() {
    let mut edge = Edge::synced_start(|setup| with_tokens(setup).workers(4)).await;
    let sorts = sorts(&edge).await;
    let confine = async |edge: &mut Edge| edge.envoy_process().confine_to_one_core().unwrap();
    let give_back = async |edge: &mut Edge| edge.envoy_process().give_back_cores().unwrap();
    survives(&mut edge, "one_core_for_four_workers", sorts, confine, give_back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_worker_for_which_envoy_cannot_make_a_vm_nobody_is_let_in() {
    let (folder, faults) = (TempDir::new().unwrap(), Faults::none().unwrap());
    let drains = Duration::from_secs(3);
    let mut edge = Edge::synced_start(|setup| with_tokens(setup).envoy_faults(&faults).drains_within(drains)).await;
    // While listeners change over, Envoy ends a few connections of that worker without an answer.
    let perhaps = |sort: Sort| sort.perhaps("503 not_judged").perhaps("no answer");
    let sorts = sorts(&edge).await.into_iter().map(perhaps).collect();
    let breaks = async |edge: &mut Edge| {
        faults.leave_no_room_for_vms().unwrap();
        let pushed = edge.push_config(|bootstrap| bootstrap.wasm(&another_module(&folder))).await;
        assert_eq!(pushed, Pushed::Accepted);
        becomes(edge, "nobody-knows-this-key", "503 not_judged").await;
    };
    // For another module Envoy makes VMs anew.
    let mends = async |edge: &mut Edge| {
        faults.leave_room_for_vms().unwrap();
        let pushed = edge.push_config(|bootstrap| bootstrap.wasm(&artifacts::filter()?)).await;
        assert_eq!(pushed, Pushed::Accepted);
        edge.drained().await;
        let connections = Connections::to_every_worker(edge).await;
        everywhere(edge, &connections, &("x-api-key", "nobody-knows-this-key".to_owned()), "401 unknown_key").await;
    };
    let flow = survives(&mut edge, "worker_without_a_vm", sorts, breaks, mends).await;
    assert!(flow.outage > 0, "{flow:?}");
}

#[tokio::test]
async fn whom_no_module_judged_is_told_so_and_would_be_let_in_without_the_filter_that_says_it() {
    let faults = Faults::none().unwrap();
    faults.leave_no_room_for_vms().unwrap();
    let edge = Edge::start(|setup| setup.workers(1).envoy_faults(&faults)).await;
    let seen = scene::get(&edge, PATH, "nobody-knows-this-key").await;
    seen.is_refused(503, "not_judged");
    let described = ["x-auth-status", "retry-after", "cache-control"].map(|name| seen.header(name));
    assert_eq!(described, ["fault", "1", "no-store"]);
    let call = edge.get_over_new_connection(PATH).header("content-type", "application/grpc");
    let seen = scene::send(&edge, call).await;
    assert_eq!((seen.header("grpc-status").as_str(), seen.header("x-auth-reason").as_str()), ("14", "not_judged"));
    assert_eq!(seen.hits, 0);

    // So it is Envoy that leaves a filter out; a version that no longer does fails here.
    let edge = Edge::start(|setup| {
        setup.workers(1).envoy_faults(&faults).bootstrap(|bootstrap| {
            bootstrap.edit(scene::forgets_whom_nobody_judged);
            Ok(())
        })
    })
    .await;
    assert_eq!(scene::get(&edge, PATH, "nobody-knows-this-key").await.status(), 200);
}

/// How often a VM has become steward.
fn stewards(edge: &Edge) -> usize {
    edge.envoy_log().matches("this VM is steward now").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steward_that_stood_still_while_another_took_its_place_undoes_nothing_when_it_goes_on() {
    let faults = Faults::none().unwrap();
    let on_it = |setup: Setup| with_tokens(setup).envoy_faults(&faults);
    let mut edge = Edge::synced_start(on_it).await;
    let sorts = sorts(&edge).await;
    let doomed = edge.new_key("acme", json!({ "scopes": ["read"] })).await;
    // Once a worker serves requests, the main thread is steward.
    becomes(&edge, &doomed.key, "200").await;
    takes(&mut edge, "two_stewards", sorts, number("FAULT_STEWARDS", 3), async |edge, _| {
        let doomed = edge.key_service().create_key(&json!({ "team": "acme", "scopes": ["read"] })).await.unwrap();
        becomes(edge, &doomed.key, "200").await;
        let before = stewards(edge);
        faults.freeze_main_thread().unwrap();
        edge.wait_until("another is steward", LIMIT, async || (stewards(edge) > before).then_some(())).await;
        edge.key_service().revoke_key(&doomed.id).await.unwrap();
        becomes(edge, &doomed.key, "401 key_revoked").await;
        faults.thaw_main_thread().unwrap();
        edge.wait_until("the main thread is steward again", LIMIT, async || {
            (stewards(edge) > before + 1).then_some(())
        })
        .await;
        becomes(edge, &doomed.key, "401 key_revoked").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configurations_that_are_pushed_one_after_the_other_answer_no_request_wrongly() {
    let mut edge = Edge::synced_start(|setup| with_tokens(setup).drains_within(Duration::from_secs(2))).await;
    let sorts = sorts(&edge).await;
    let rounds = number("FAULT_RELOADS", 10);
    takes(&mut edge, "configuration_pushed", sorts, rounds, async |edge, round| {
        let pushed = edge.push_filter(|filter| filter["realm"] = json!(format!("round {round}"))).await;
        assert_eq!(pushed, Pushed::Accepted);
    })
    .await;
}
