//! The figure of the documentation: what three nodes admit over time, against what is promised, through an outage.
//!
//! `make figure` takes its time and names a file for the data in `FIGURE_DATA`; otherwise this is a test like others.

use std::{env, fmt::Write, fs, time::Duration};

use serde_json::json;

use super::{
    NODES, PATH,
    demand::{Demand, Wish},
    fleet,
    record::{Quota, Record},
};

const QUOTA: Quota = Quota { limit: 100, window: Duration::from_secs(10) };
const STEP: Duration = Duration::from_millis(250);

/// When what happens, since the first request.
struct Plan {
    killed: Duration,
    back: Duration,
    end: Duration,
}

impl Plan {
    const FOR_THE_FIGURE: Self =
        Self { killed: Duration::from_secs(25), back: Duration::from_secs(40), end: Duration::from_secs(80) };
    /// When it is killed, every node has a share: the others know of it.
    const FOR_A_TEST: Self =
        Self { killed: Duration::from_secs(5), back: Duration::from_secs(11), end: Duration::from_secs(17) };
}

#[tokio::test(flavor = "multi_thread")]
async fn through_an_outage_of_valkey_three_nodes_stay_at_or_below_the_exact_limit() {
    let file = env::var_os("FIGURE_DATA");
    let plan = if file.is_some() { Plan::FOR_THE_FIGURE } else { Plan::FOR_A_TEST };
    let mut fleet = fleet(QUOTA, json!({})).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until_age(plan.killed).await;
    fleet.valkey().kill().unwrap();
    let killed = demand.now();
    demand.until_age(plan.back).await;
    fleet.valkey().restart().await.unwrap();
    let back = demand.now();
    demand.until_age(plan.end).await;
    let record = demand.stop().await;
    record.assert_decided();
    assert!(record.admitted() <= QUOTA.within(record.end()), "{:?}", record.summary());
    assert_eq!(fleet.hits(), record.admitted());
    if let Some(file) = file {
        fs::write(file, data(&record, killed, back)).unwrap();
    }
}

/// As comma-separated values: when, and how many each node and all of them have admitted until then.
fn data(record: &Record, killed: Duration, back: Duration) -> String {
    let mut text = format!(
        "# limit,{}\n# window_seconds,{}\n# killed,{:.2}\n# back,{:.2}\nseconds",
        QUOTA.limit,
        QUOTA.window.as_secs(),
        killed.as_secs_f64(),
        back.as_secs_f64()
    );
    for node in 0..NODES {
        write!(text, ",node {}", node + 1).unwrap();
    }
    text.push_str(",all\n");
    for step in 0..=record.end().as_millis() / STEP.as_millis() {
        let until = STEP * u32::try_from(step).unwrap();
        let admitted = |node: Option<usize>| {
            record
                .count(|seen| seen.is_admitted() && seen.answered <= until && node.is_none_or(|node| node == seen.node))
        };
        write!(text, "{:.2}", until.as_secs_f64()).unwrap();
        for column in (0..NODES).map(Some).chain([None]) {
            write!(text, ",{}", admitted(column)).unwrap();
        }
        text.push('\n');
    }
    text
}
