//! Which thread of Envoy does the steward's work.

use std::time::Duration;

use lab::edge::Edge;

use crate::connections::Connections;

/// The thread that wrote the last line of the log with this text: `[time][thread][level]…`.
pub(crate) fn last_thread(log: &str, text: &str) -> Option<String> {
    let line = log.lines().rfind(|line| line.contains(text))?;
    line.split(['[', ']']).filter(|part| !part.is_empty()).nth(1).map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn once_workers_serve_requests_the_main_thread_is_steward_and_stays_it() {
    let edge = Edge::synced_start(|setup| setup.workers(4)).await;
    Connections::to_every_worker(&edge).await;
    let main = last_thread(&edge.envoy_log(), "starting workers").unwrap();
    edge.wait_until("the main thread is steward", Duration::from_secs(20), async || {
        (last_thread(&edge.envoy_log(), "this VM is steward now")? == main).then_some(())
    })
    .await;
    for round in 0..5 {
        edge.key(&format!("team-{round}"), &["read"]).await;
    }
    let log = edge.envoy_log();
    assert_eq!(last_thread(&log, "this VM is steward now"), Some(main), "{log}");
}
