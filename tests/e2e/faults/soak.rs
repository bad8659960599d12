//! A long day in short: requests of every sort, ten changes a second, configurations pushed; then every record in Envoy, and
//! what every worker makes of every key, are held against the database, and how memory grew is told. `make soak MINUTES=20` takes its time.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use lab::{edge::Edge, envoy::Pushed};
use serde_json::json;

use super::{
    changes::{Confirmed, Operator, State},
    flow::Flow,
    number, outcome,
    records::{self, Compared},
    sort::{PATH, Phase},
    sorts,
    traffic::Traffic,
    with_tokens,
};
use crate::connections::Connections;

/// Ten a second.
const CHANGES: Duration = Duration::from_millis(100);

const PUSHES: Duration = Duration::from_secs(5);

/// From so long on, how memory grows says something, and is bounded: in less, everything finds its size.
const LONG: Duration = Duration::from_secs(600);

/// KiB a minute that either may grow by in the later half of a long run: 600 requests a second that each left 15 bytes behind
/// would be more. The key service may keep pages of its database besides, so it may grow by as much as that does.
const BOUND: f64 = 512.0;

/// Memory over time, of Envoy and of the key service, and what the latter keeps pages of: its database, and this one's log.
#[derive(Default)]
struct Memory {
    samples: Vec<Sample>,
}

/// Seconds since the beginning, and KiB of each.
type Sample = (f64, [f64; 4]);

impl Memory {
    #[expect(clippy::cast_precision_loss, reason = "nobody has so much")]
    fn sample(&mut self, edge: &mut Edge, begin: Instant) {
        let envoy = edge.envoy_resident_kib();
        let service = edge.key_service_process().process().unwrap().resident_kib().unwrap();
        let database = edge.key_service_process().launch().database.clone();
        let log = format!("{}-wal", database.display());
        let file = |path: &str| fs::metadata(path).map_or(0, |file| file.len() / 1024);
        let sizes = [envoy, service, file(&database.display().to_string()), file(&log)].map(|kib| kib as f64);
        self.samples.push((begin.elapsed().as_secs_f64(), sizes));
    }

    /// KiB a minute by least squares, of what was sampled in the later half: first everything has to find its size.
    fn slope(&self, of: usize) -> f64 {
        let later = &self.samples[self.samples.len() / 2..];
        let mean = |value: &dyn Fn(&Sample) -> f64| {
            later.iter().map(value).sum::<f64>() / f64::from(u32::try_from(later.len()).unwrap())
        };
        let (time, memory) = (mean(&|sample| sample.0), mean(&|sample| sample.1[of]));
        let together = mean(&|sample| (sample.0 - time) * (sample.1[of] - memory));
        let spread = mean(&|sample| (sample.0 - time).powi(2));
        if spread == 0.0 { 0.0 } else { 60.0 * together / spread }
    }

    /// What the slopes of Envoy and of the key service must stay below.
    fn bounds(&self) -> [f64; 2] {
        [BOUND, BOUND + self.slope(2).max(0.0)]
    }

    /// At the beginning, in the middle, at the end.
    fn sizes(&self, of: usize) -> [f64; 3] {
        let last = self.samples.len() - 1;
        [0, last / 2, last].map(|at| self.samples[at].1[of])
    }
}

/// What the database says of every key that there is, by its id.
async fn database(edge: &Edge) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = edge.key_service().get(&format!("/v1/keys?limit=1000{after}")).await.unwrap();
        for key in page["keys"].as_array().unwrap() {
            let text = |name: &str| key[name].as_str().unwrap().to_owned();
            keys.insert(text("id"), text("state"));
        }
        let Some(next) = page["next"].as_str() else { return keys };
        after = format!("&after={next}");
    }
}

/// Every key that was ever made, as the database has it, asked of every worker; what differs.
async fn differences(edge: &Edge, confirmed: &Confirmed) -> (usize, Vec<String>) {
    let database = database(edge).await;
    let connections = Connections::to_every_worker(edge).await;
    let (mut compared, mut differing) = (0, Vec::new());
    for (key, _) in &confirmed.keys {
        let of_database = match database.get(&key.id).map(String::as_str) {
            Some("active") => State::Active,
            Some("revoked") => State::Revoked,
            None => State::Deleted,
            Some(other) => panic!("nobody made a key {other}"),
        };
        for request in connections.get(PATH) {
            compared += 1;
            let told = outcome(edge, request.header("x-api-key", &key.key)).await;
            if !of_database.is_told_by(&told) {
                differing.push(format!("{} is {of_database:?} in the database, and is answered {told}", key.id));
            }
        }
    }
    (compared, differing)
}

struct Day {
    lasted: Duration,
    pushes: u64,
    memory: Memory,
    flow: Flow,
    confirmed: Confirmed,
    lost: Vec<String>,
    compared: usize,
    differing: Vec<String>,
    records: Compared,
    vm_traps: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_long_day_every_record_and_every_answer_is_what_the_database_has() {
    let time = Duration::from_secs(number("SOAK_SECONDS", 5));
    let mut edge = Edge::synced_start(|setup| with_tokens(setup).drains_within(Duration::from_secs(3))).await;
    let sorts = sorts(&edge).await;
    let (operator, traffic) = (Operator::start(&edge, CHANGES), Traffic::start(&edge, sorts));
    let (begin, mut pushes, mut memory) = (Instant::now(), 0_u64, Memory::default());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    traffic.flows(1).await;
    traffic.enters(Phase::During).await;
    while begin.elapsed() < time {
        second.tick().await;
        memory.sample(&mut edge, begin);
        if begin.elapsed() >= PUSHES * u32::try_from(pushes + 1).unwrap() || pushes == 0 {
            let pushed = edge.push_filter(|filter| filter["realm"] = json!(format!("push {pushes}"))).await;
            assert_eq!(pushed, Pushed::Accepted);
            pushes += 1;
        }
    }
    let lasted = begin.elapsed();
    let confirmed = operator.stop().await;
    let flow = traffic.stop(&edge).await;
    let lost = confirmed.lost(&edge).await;
    let (compared, differing) = differences(&edge, &confirmed).await;
    let records = records::compared(&mut edge).await;
    let vm_traps = edge.vm_traps();
    let day = Day { lasted, pushes, memory, flow, confirmed, lost, compared, differing, records, vm_traps };
    day.report();
    day.ensure_memory_is_bounded();
    let Day { flow, lost, differing, records, confirmed, vm_traps, .. } = day;
    assert!(records.differing.is_empty(), "{:?}", records.differing);
    assert!(records.records > confirmed.keys.len() / 2, "half of the keys that were made are still there");
    assert!(
        differing.is_empty() && lost.is_empty() && flow.wrong.is_empty(),
        "{differing:?} {lost:?} {:?}",
        flow.wrong
    );
    assert_eq!((flow.without_right, flow.valid_refused, flow.not_arrived, vm_traps), (0, 0, 0, 0));
}

impl Day {
    fn ensure_memory_is_bounded(&self) {
        if self.lasted < LONG {
            return;
        }
        for (of, bound) in self.memory.bounds().into_iter().enumerate() {
            let slope = self.memory.slope(of);
            assert!(slope < bound, "{of} grows by {slope} KiB a minute: {:?}", self.memory.samples);
        }
    }

    #[expect(clippy::print_stdout, reason = "what was measured belongs into the report of the test run")]
    fn report(&self) {
        let Self { lasted, pushes, memory, flow, confirmed, lost, compared, differing, records, vm_traps } = self;
        println!("| soak | |\n|---|---:|");
        let rows = [
            ("lasted, in seconds".to_owned(), format!("{:.0}", lasted.as_secs_f64())),
            ("requests".to_owned(), flow.all().to_string()),
            ("that reached the upstream without the right to".to_owned(), flow.without_right.to_string()),
            ("valid ones that were refused".to_owned(), flow.valid_refused.to_string()),
            ("refused otherwise than they should be".to_owned(), flow.misjudged.to_string()),
            ("sent again, because the connection that was kept had ended".to_owned(), flow.again.to_string()),
            ("VM traps".to_owned(), vm_traps.to_string()),
            ("changes".to_owned(), confirmed.entries.len().to_string()),
            ("changes that were refused".to_owned(), confirmed.refused.to_string()),
            ("keys, revocations and audit entries lost".to_owned(), lost.len().to_string()),
            ("configurations pushed".to_owned(), pushes.to_string()),
            ("keys that were made".to_owned(), confirmed.keys.len().to_string()),
            (
                "what connections to every worker made of each key, held against the database".to_owned(),
                compared.to_string(),
            ),
            ("that differed from it".to_owned(), differing.len().to_string()),
            (
                "records in Envoy's shared data or the database, compared field by field".to_owned(),
                records.records.to_string(),
            ),
            ("of these, keys and teams held against what operators are told".to_owned(), records.told.to_string()),
            ("that differed, or were on one side alone".to_owned(), records.differing.len().to_string()),
        ];
        for (what, count) in rows {
            println!("| {what} | {count} |");
        }
        let grown =
            ["memory of Envoy", "memory of the key service", "size of its database", "size of the database's log"];
        for (of, name) in grown.into_iter().enumerate() {
            let [first, middle, last] = memory.sizes(of).map(|kib| kib / 1024.0);
            println!(
                "| {name} at the beginning, in the middle, at the end, in MiB | {first:.1} {middle:.1} {last:.1} |"
            );
            println!("| its slope in the later half, in KiB a minute | {:.1} |", memory.slope(of));
            if let Some(bound) = memory.bounds().get(of).filter(|_| *lasted >= LONG) {
                println!("| which must be less than | {bound:.1} |");
            }
        }
        println!(
            "hold: soak/mixed {} without_right={}/{} valid_refused={}/{} lost={}/{} differing={}/{compared} \
             records_differing={}/{} vm_traps={vm_traps} sent_again={} changes={} pushes={pushes}",
            flow.all(),
            flow.without_right,
            flow.wrong_sent,
            flow.valid_refused,
            flow.valid_sent(),
            lost.len(),
            confirmed.count(),
            differing.len(),
            records.differing.len(),
            records.records,
            flow.again,
            confirmed.entries.len(),
        );
    }
}

#[test]
fn memory_that_grows_with_each_request_is_more_than_is_allowed_and_that_of_pages_is_not() {
    let growing = |service: f64| {
        let sample =
            |second: u32| (f64::from(second), [100.0, service, 800.0, 0.0].map(|kib| kib * f64::from(second) / 60.0));
        Memory { samples: (0..600).map(sample).collect() }
    };
    let exceeds = |memory: Memory| [0, 1].map(|of| memory.slope(of) >= memory.bounds()[of]);
    assert_eq!(exceeds(growing(1_000.0)), [false, false]);
    assert_eq!(exceeds(growing(1_400.0)), [false, true]);
}
