//! A VM of the filter traps: what becomes of what is in flight, of leases and of quotas. Under traffic of every sort:
//! `faults::traps`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use lab::{
    artifacts,
    edge::{Edge, Fleet, Setup},
    port::local,
};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{
    fleet::{
        calls_for_books,
        demand::{Demand, Wish},
        record::Quota,
    },
    scene::{self, connection_manager, limit_team},
};

const PATH: &str = "/api/acme/x";

/// For whatever is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// 100 a second, after the first 1000: a lease of 31 tokens, if no more is wanted.
const QUOTA: Quota = Quota { limit: 1000, window: Duration::from_secs(10) };

/// 40 requests a second, so what was lent is spent before another steward asks for more.
const WITHIN: Wish = Wish { clients: 4, requests: u64::MAX, pace: Duration::from_millis(100) };

/// With the filter that traps when it is told to.
pub(crate) fn trapping(setup: Setup) -> Setup {
    setup.bootstrap(|bootstrap| bootstrap.wasm(&artifacts::filter_that_traps()?))
}

/// Tells `worker`, the VM that gets the request, or `steward`, or `both`, to trap.
pub(crate) async fn trap(edge: &Edge, who: &str) -> Response {
    edge.get_over_new_connection("/healthz").header("x-test-trap", who).send().await.unwrap()
}

/// One node whose quota holds over the fleet.
async fn node(quota: Quota) -> Fleet {
    // A request may wait for 2 s, instead of the one of the default, because the machine may be busy with other tests.
    let window = quota.window.as_secs();
    let settings = json!({ "scope": "fleet", "limit": quota.limit, "window_seconds": window, "wait_ms": 2000 });
    Fleet::start(1, move |setup| {
        let settings = settings.clone();
        trapping(setup).workers(2).filter(move |filter| filter["quota"] = settings)
    })
    .await
}

/// How many VMs have trapped, and how often one has become steward.
pub(crate) fn log_counts(edge: &Edge) -> (usize, usize) {
    let log = edge.envoy_log();
    (log.matches("unreachable").count(), log.matches("this VM is steward now").count())
}

/// Makes the steward's VM trap, waits until another one is steward, and gives how long nobody was.
async fn replace_steward(edge: &Edge) -> Duration {
    let (traps, stewards) = log_counts(edge);
    assert_eq!(trap(edge, "steward").await.status(), 200);
    edge.wait_until("the steward's VM has trapped", LIMIT, async || (log_counts(edge).0 > traps).then_some(())).await;
    let trapped = Instant::now();
    edge.wait_until("another VM is steward", LIMIT, async || (log_counts(edge).1 > stewards).then_some(())).await;
    trapped.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_stewards_vm_traps_no_request_is_refused_and_changes_and_leases_come_as_before() {
    let fleet = node(QUOTA).await;
    let edge = &fleet.nodes()[0];
    let (key, doomed) = (fleet.key("acme").await, edge.new_key("acme", json!({ "scopes": ["read"] })).await);
    let demand = Demand::start(&fleet, PATH, &key, WITHIN);
    demand.until("requests flow", |seen| seen.len() >= 100).await;

    let stewards = log_counts(edge).1;
    let took = replace_steward(edge).await;
    let (calls, since) = (calls_for_books(&fleet).await, demand.now());
    let revoked = edge.key_service().revoke_key(&doomed.id).await.unwrap();
    edge.serves(revoked["revision"].as_u64().unwrap()).await;
    let told = scene::get(edge, PATH, &doomed.key).await;
    let lost = u64::from(told.header("x-auth-reason") != "key_revoked");
    demand.until_each("requests flow again", 1, since, 100, |seen| seen.is_admitted()).await;
    assert!(calls_for_books(&fleet).await > calls, "a further lease was taken");
    // On a busy machine it may be late once itself.
    assert!(log_counts(edge).1 - stewards <= 2, "whoever steps in stays: {}", edge.envoy_log());

    let record = demand.stop().await;
    let longest = record.seen().iter().map(|seen| seen.answered - seen.sent).max().unwrap();
    let valid_refused = record.count(|seen| !seen.is_admitted() || seen.degraded);
    eprintln!(
        "hold: quota/a_steward_traps {} without_right={}/1 valid_refused={valid_refused} over={} lost={lost}/1 vm_traps={} \
         traps_asked=1 sent_again={} longest_ms={} recovery_ms={}",
        record.seen().len(),
        told.hits,
        record.over(QUOTA),
        edge.vm_traps() - 1,
        record.count(|seen| seen.again),
        longest.as_millis(),
        took.as_millis()
    );
    told.is_refused(401, "key_revoked");
    assert_eq!((valid_refused, edge.vm_traps()), (0, 1), "{:?}", record.summary());
    record.assert_never_over(QUOTA);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_stewards_vm_traps_a_team_that_always_wants_more_gets_no_more_than_its_limit() {
    let quota = Quota { limit: 100, window: Duration::from_secs(5) };
    let fleet = node(quota).await;
    let key = fleet.key("acme").await;
    let demand = Demand::start(&fleet, PATH, &key, Wish::without_end());
    demand.until("the bucket is drained", |seen| seen.iter().any(|seen| !seen.is_admitted())).await;
    replace_steward(&fleet.nodes()[0]).await;
    let since = demand.now();
    demand.until_each("it gets what comes back", 1, since, 50, |seen| seen.is_admitted() && !seen.degraded).await;
    let record = demand.stop().await;
    record.assert_decided();
    assert_eq!(fleet.hits(), record.admitted() + 1, "and the request that made the steward trap");
    record.assert_never_over(quota);
    eprintln!("measured: {} of {} admitted", record.admitted(), quota.within(record.end()));
}

/// An upstream that answers when it is told to.
struct Held {
    listener: TcpListener,
    requests: Vec<TcpStream>,
}

impl Held {
    async fn start() -> Self {
        Self { listener: TcpListener::bind(local(0)).await.unwrap(), requests: Vec::new() }
    }

    /// Waits for the headers of one more request.
    async fn takes_one(&mut self) {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
        self.requests.push(stream);
    }

    /// Answers all of them.
    async fn answers(&mut self) {
        for mut stream in self.requests.drain(..) {
            // Who was refused already is not there any more.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await;
        }
    }
}

/// `/api/acme/slow` goes to another upstream.
fn lead_slow_route_to(bootstrap: &mut Value, upstream: SocketAddr) {
    let mut cluster = bootstrap["static_resources"]["clusters"][0].clone();
    cluster["name"] = json!("slow");
    let address = json!({ "address": upstream.ip().to_string(), "port_value": upstream.port() });
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] = address;
    bootstrap["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster);
    let routes = &mut connection_manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"];
    let route = json!({ "match": { "prefix": "/api/acme/slow" }, "route": { "cluster": "slow", "timeout": "15s" } });
    routes.as_array_mut().unwrap().insert(0, route);
}

fn spawn(edge: &Edge, path: &str, key: &str) -> JoinHandle<(u16, String)> {
    let request = edge.get_over_new_connection(path).header("x-api-key", key);
    tokio::spawn(async move {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// `r` of `RateLimit`.
fn left(outcome: &scene::Outcome) -> u32 {
    assert_eq!(outcome.status(), 200, "{outcome:?}");
    outcome.header("ratelimit").split(['=', ';']).nth(2).unwrap().parse().unwrap()
}

/// Envoy refuses by itself what comes within 1.5 s of when it last loaded the VM.
async fn served_again(edge: &Edge, key: &str) -> scene::Outcome {
    edge.wait_until("requests are served again", LIMIT, async || {
        let outcome = scene::send(edge, edge.get_over_new_connection(PATH).header("x-api-key", key)).await;
        assert!(matches!((outcome.status(), outcome.hits), (200, 1) | (503, 0)), "{outcome:?}");
        (outcome.status() == 200).then_some(outcome)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_workers_vm_traps_what_is_in_flight_fails_and_what_comes_next_is_served_from_what_was_there() {
    let mut held = Held::start().await;
    let slow = held.listener.local_addr().unwrap();
    let edge = Edge::synced_start(|setup| {
        trapping(setup).workers(1).bootstrap(move |bootstrap| {
            bootstrap.edit(move |bootstrap| lead_slow_route_to(bootstrap, slow));
            Ok(())
        })
    })
    .await;
    let key = edge.key("acme", &["read"]).await;
    limit_team(&edge, "acme", 100, 2_678_400).await;
    assert_eq!(left(&scene::get(&edge, PATH, &key).await), 99);
    let revision = edge.revision().await;
    let in_flight: Vec<_> = (0..3).map(|_| spawn(&edge, "/api/acme/slow", &key)).collect();
    for _ in &in_flight {
        held.takes_one().await;
    }

    let trapped = trap(&edge, "worker").await;
    assert_eq!(trapped.status(), 503);
    held.answers().await;
    let mut in_flight_failed = 0;
    for request in in_flight {
        let (status, body) = request.await.unwrap();
        assert_eq!((status, body.as_str()), (503, ""), "of what the upstream said, nothing goes out");
        in_flight_failed += 1;
    }

    let began = Instant::now();
    let outcome = served_again(&edge, &key).await;
    let recovery = began.elapsed();
    assert_eq!(left(&outcome), 95, "three in flight and this one");
    assert_eq!(edge.revision().await, revision);
    let mut admitted = 5_u64;
    let limited = loop {
        let outcome = scene::get(&edge, PATH, &key).await;
        if outcome.status() != 200 {
            break outcome;
        }
        admitted += 1;
    };
    eprintln!(
        "hold: quota/a_worker_traps {} without_right={}/1 valid_refused={}/100 over={} vm_traps={} traps_asked=1 \
         in_flight_failed={in_flight_failed} recovery_ms={}",
        admitted + 1,
        limited.hits,
        100_u64.saturating_sub(admitted),
        admitted.saturating_sub(100),
        edge.vm_traps() - 1,
        recovery.as_millis()
    );
    assert_eq!((admitted, limited.hits, edge.vm_traps()), (100, 0, 1), "held to the token");
    // What an operator sees of it.
    assert_eq!(edge.stat("wasm.tollkeeper.vm_reload_success").await, Some(1));
    assert!(edge.envoy_log().contains("proxy_on_request_headers failed: Uncaught RuntimeError"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_lease_in_a_vm_that_traps_ends_with_the_streams_idle_time_and_is_not_let_through() {
    let mut fleet = Fleet::start(1, |setup| {
        let settings = json!({ "scope": "fleet", "limit": 100, "window_seconds": 2_678_400, "wait_ms": 10_000 });
        trapping(setup).workers(1).filter(move |filter| filter["quota"] = settings).bootstrap(|bootstrap| {
            bootstrap.edit(|bootstrap| connection_manager(bootstrap)["stream_idle_timeout"] = json!("3s"));
            Ok(())
        })
    })
    .await;
    let key = fleet.key("acme").await;
    fleet.valkey().pause().unwrap();
    let edge = &fleet.nodes()[0];
    let waiting = spawn(edge, PATH, &key);
    edge.wait_until("the request waits", LIMIT, async || {
        (edge.stat("http.edge.downstream_rq_active").await == Some(1)).then_some(())
    })
    .await;
    let began = Instant::now();
    assert_eq!(trap(edge, "worker").await.status(), 503);
    let (status, _) = waiting.await.unwrap();
    eprintln!("measured: a request that waited got {status} after {} ms", began.elapsed().as_millis());
    assert_eq!((status, edge.upstream().hits()), (503, 0));
    edge.wait_until("the VM has been loaded again", LIMIT, async || {
        (edge.get_over_new_connection("/healthz").send().await.unwrap().status() == 200).then_some(())
    })
    .await;
}
