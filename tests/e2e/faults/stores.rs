//! What the key service stands on breaks: its PostgreSQL, or the Valkey with the books of the fleet's quotas.

use std::{net::SocketAddr, time::Duration};

use lab::{artifacts, edge::Edge, port::local, postgres::Server, valkey::Valkey};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use super::{Course, lasting, sorts, with_tokens};

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_dead_keys_work_and_changes_are_refused_and_afterwards_nothing_confirmed_is_lost() {
    let mut postgres = Server::start(&artifacts::postgres_programs().unwrap()).await.unwrap();
    let database = format!("{}/postgres", postgres.url());
    let mut edge = Edge::synced_start(move |setup| with_tokens(setup).database(&database)).await;
    let sorts = sorts(&edge).await;
    let mut course = Course::start(&edge, "postgresql_killed", sorts);
    course.begins_to_break().await;
    postgres.kill().unwrap();
    course.is_broken_for(lasting()).await;
    course.is_mended(&mut edge, async |_| postgres.start_again().await.unwrap()).await;
    course.ends(&edge).await;
}

/// How long a request may wait for a lease: longer than by default, because the machine may be busy with other tests.
const WAIT: Duration = Duration::from_secs(5);

/// A way to Valkey on which everything takes so long.
struct SlowWay {
    address: SocketAddr,
    delay: watch::Sender<Duration>,
}

impl SlowWay {
    async fn to(valkey: SocketAddr) -> Self {
        let listener = TcpListener::bind(local(0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let delay = watch::Sender::new(Duration::ZERO);
        let delayed = delay.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Where nobody listens, the connection ends as it would there.
                let Ok(server) = TcpStream::connect(valkey).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, delayed.subscribe()));
                tokio::spawn(carry(from_server, to_client, delayed.subscribe()));
            }
        });
        Self { address, delay }
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: watch::Receiver<Duration>) -> Option<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        let delay = *delay.borrow();
        tokio::time::sleep(delay).await;
        to.write_all(&bytes[..count]).await.ok()?;
    }
}

#[derive(Clone, Copy)]
enum Fault {
    Slow,
    Killed,
    Frozen,
    Emptied,
}

const FAULTS: [(&str, Fault); 4] = [
    ("valkey_slow", Fault::Slow),
    ("valkey_killed", Fault::Killed),
    ("valkey_frozen", Fault::Frozen),
    ("valkey_restarted_empty", Fault::Emptied),
];

impl Fault {
    async fn befalls(self, valkey: &mut Valkey, way: &SlowWay) {
        match self {
            Self::Slow => drop(way.delay.send_replace(Duration::from_millis(300))),
            Self::Killed => valkey.kill().unwrap(),
            Self::Frozen => valkey.pause().unwrap(),
            Self::Emptied => valkey.restart().await.unwrap(),
        }
    }

    async fn is_over(self, valkey: &mut Valkey, way: &SlowWay) {
        match self {
            Self::Slow => drop(way.delay.send_replace(Duration::ZERO)),
            Self::Killed => valkey.restart().await.unwrap(),
            Self::Frozen => valkey.resume().unwrap(),
            Self::Emptied => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_befalls_valkey_requests_are_admitted_by_leases_and_shares_and_wait_for_no_longer_than_they_may() {
    let mut valkey = Valkey::start().await.unwrap();
    let way = SlowWay::to(valkey.address()).await;
    let store = format!("redis://{}", way.address);
    let mut edge = Edge::synced_start(move |setup| {
        let quota = json!({ "scope": "fleet", "limit": 100_000, "window_seconds": 1, "wait_ms": WAIT.as_millis() });
        with_tokens(setup).key_service_environment("TOLLKEEPER_QUOTA_STORE", &store).filter(move |filter| {
            filter["quota"] = quota;
        })
    })
    .await;
    // A share begins empty; and once the books are there again, nothing is lent for some seconds, in which nodes tell what they
    // spent, so that the next fault may begin in them.
    let sorts = sorts(&edge).await.into_iter();
    let sorts: Vec<_> =
        sorts.map(|sort| if sort.is_valid() { sort.limited("429 quota_exhausted") } else { sort }).collect();
    for (name, fault) in FAULTS {
        let mut course = Course::start(&edge, name, sorts.clone()).bound(WAIT);
        course.begins_to_break().await;
        fault.befalls(&mut valkey, &way).await;
        course.is_broken_for(lasting()).await;
        course.is_mended(&mut edge, async |_| fault.is_over(&mut valkey, &way).await).await;
        course.ends(&edge).await;
    }
}
