//! Books in Valkey or Redis, for any number of services: a script settles each claim at once, by Valkey's clock.
//!
//! A book is one hash, `{tkNN}book:INSTANCE:team:ID`, that expires. NN is one of 64 slots, chosen by the account's name;
//! `{tkNN}born` says when the memory of that slot began. So all that a script touches is in one slot of a cluster, and
//! whoever finds its books gone knows since when.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisResult, Script,
    ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cmd, from_redis_value,
};
use tokio::{sync::Mutex, time::timeout};
use tollkeeper_contract::{
    Digest,
    lease::{Account, Lent, Promise},
};

use super::{Asker, Books, Settled};
use crate::domain::quota::{Claim, Lending};

const SCRIPT: &str = include_str!("valkey.lua");

/// Over how many slots accounts are spread.
const SLOTS: u8 = 64;

/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_millis(500);

/// How long Valkey may take to answer.
const ANSWERING: Duration = Duration::from_secs(1);

/// How long a question may take altogether.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A Valkey, a Redis, or a cluster of either.
pub(super) struct Valkey {
    info: ConnectionInfo,
    source: String,
    script: Script,
    held: Mutex<Held>,
}

/// The connection, and the how manyth it is.
#[derive(Default)]
struct Held {
    link: Option<Link>,
    number: u64,
}

/// What Valkey is to do.
enum Call {
    Plain(Cmd),
    /// The script, with these keys and arguments.
    Script(Vec<Vec<u8>>),
}

/// A connection that any number of tasks use at the same time.
#[derive(Clone)]
enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self.clone() {
            Self::Single(mut connection) => connection.req_packed_command(command).await,
            Self::Cluster(mut connection) => connection.req_packed_command(command).await,
        };
        answer?.extract_error()
    }
}

impl Valkey {
    pub(super) fn new(info: ConnectionInfo) -> Self {
        Self::running(info, SCRIPT.to_owned())
    }

    fn running(info: ConnectionInfo, source: String) -> Self {
        Self { info, script: Script::new(&source), source, held: Mutex::default() }
    }

    /// Whether it answers, and is set up so that it keeps what it is given; otherwise says what is wrong.
    pub(super) async fn check(&self) -> Result<(), String> {
        let info: Vec<String> = self.carry_out(&[Call::Plain(info_command())]).await?;
        match info.first().and_then(|info| value_of(info, "maxmemory_policy")) {
            None | Some("noeviction") => Ok(()),
            Some(policy) => Err(format!(
                "its maxmemory-policy is {policy}, so it may forget what was spent when its memory is full; set it to \
                 noeviction"
            )),
        }
    }

    /// From now on, whoever has no book has spent nothing, unless memory began already.
    pub(super) async fn begin_full(&self) -> Result<(), String> {
        let set = |slot| Call::Plain(cmd("SET").arg(born_key(slot)).arg(0).arg("NX").to_owned());
        let calls: Vec<_> = (0..SLOTS).map(set).collect();
        self.carry_out::<Value>(&calls).await.map(drop)
    }

    pub(super) async fn settle(&self, asker: &Asker, claims: &[Claim], lending: Lending) -> Result<Books, String> {
        let calls: Vec<_> = claims.iter().map(|claim| Call::Script(arguments(asker, claim, lending))).collect();
        Ok(read(claims, self.carry_out(&calls).await?))
    }

    /// Carries out all of these at the same time; on a new connection once more if the one there was had broken, because
    /// nothing is settled twice.
    async fn carry_out<T: FromRedisValue>(&self, calls: &[Call]) -> Result<Vec<T>, String> {
        let both = async {
            match self.try_once(calls).await {
                Err(error) if error.is_connection_dropped() && !error.is_connection_refusal() => {
                    self.try_once(calls).await
                }
                first => first,
            }
        };
        match timeout(PATIENCE, both).await {
            Ok(Ok(answers)) => {
                answers.into_iter().map(from_redis_value).collect::<Result<_, _>>().map_err(|e| e.to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                // A connection that is silent may be dead without knowing.
                if let Ok(mut held) = self.held.try_lock() {
                    held.link = None;
                }
                Err(format!("no answer within {} ms", PATIENCE.as_millis()))
            }
        }
    }

    async fn try_once(&self, calls: &[Call]) -> RedisResult<Vec<Value>> {
        let (link, number) = self.link().await?;
        // All are waited for: what was sent is carried out in any case.
        let answers = join_all(calls.iter().map(|call| self.send(&link, call))).await;
        let answers: RedisResult<Vec<_>> = answers.into_iter().collect();
        if answers.as_ref().is_err_and(|error| error.is_io_error() || error.is_unrecoverable_error()) {
            let mut held = self.held.lock().await;
            if held.number == number {
                held.link = None;
            }
        }
        answers
    }

    async fn send(&self, link: &Link, call: &Call) -> RedisResult<Value> {
        match call {
            Call::Plain(command) => link.send(command).await,
            Call::Script(arguments) => {
                match link.send(cmd("EVALSHA").arg(self.script.get_hash()).arg(2).arg(arguments)).await {
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                        link.send(cmd("EVAL").arg(&self.source).arg(2).arg(arguments)).await
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn link(&self) -> RedisResult<(Link, u64)> {
        // Also a queue: however many ask at the same time, one connects.
        let mut held = self.held.lock().await;
        let link = match held.link.take() {
            Some(link) => link,
            None => {
                held.number += 1;
                self.connect().await?
            }
        };
        held.link = Some(link.clone());
        Ok((link, held.number))
    }

    async fn connect(&self) -> RedisResult<Link> {
        let limits =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(Some(ANSWERING));
        let client = Client::open(self.info.clone())?;
        let single = Link::Single(client.get_multiplexed_async_connection_with_config(&limits).await?);
        // Who may not ask for it has no cluster.
        let info = single.send(&info_command()).await.ok().and_then(|info| from_redis_value::<String>(info).ok());
        if info.as_deref().and_then(|info| value_of(info, "cluster_enabled")) != Some("1") {
            // Else it would be sent with each account of the first question. If this is refused, it is.
            let _ = single.send(cmd("SCRIPT").arg("LOAD").arg(&self.source)).await;
            return Ok(single);
        }
        let cluster = ClusterClientBuilder::new([self.info.clone()])
            .connection_timeout(CONNECTING)
            .response_timeout(ANSWERING)
            .retries(1)
            .build()?;
        Ok(Link::Cluster(cluster.get_async_connection().await?))
    }
}

/// What the script answers: granted, void, left, wait, how many nodes hold, how many were lent, and whether the slot's
/// memory begins.
type Answer = (u64, u64, u64, i64, u64, u64, u8);

fn read(claims: &[Claim], answers: Vec<Answer>) -> Books {
    let mut books = Books::default();
    for (claim, (granted, void, left, wait, held, grant, begins)) in claims.iter().zip(answers) {
        let wait_ms = u64::try_from(wait).unwrap_or(u64::MAX);
        let (account, seq) = (claim.ask().account.clone(), claim.ask().seq);
        books.settled.push(Settled { lent: Lent { account, seq, granted, void, left, wait_ms, held }, grant });
        books.begin |= begins != 0;
    }
    books
}

fn info_command() -> Cmd {
    cmd("INFO").to_owned()
}

fn value_of<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

fn born_key(slot: u8) -> String {
    format!("{{tk{slot:02}}}born")
}

/// The script's keys and arguments.
fn arguments(asker: &Asker, claim: &Claim, lending: Lending) -> Vec<Vec<u8>> {
    let ask = claim.ask();
    let name = match &ask.account {
        Account::Team(id) => format!("{}:team:{id}", asker.instance),
        Account::Enterprise(id) => format!("{}:enterprise:{id}", asker.instance),
    };
    let slot = Digest::of(name.as_bytes()).as_bytes().first().map_or(0, |byte| byte % SLOTS);
    let promise = match ask.promise {
        Promise::Bucket => "bucket",
        Promise::Strict => "strict",
    };
    let lends = match lending {
        Lending::Lends => "1",
        Lending::OnlySettles => "0",
    };
    let window = u64::from(ask.window) * 1000;
    let keys = [format!("{{tk{slot:02}}}book:{name}"), born_key(slot), claim.counter(asker.node.as_str())];
    let seq = format!("{:020}", ask.seq);
    let counts = [ask.granted, ask.void, ask.spent, ask.returned, ask.overdrawn, ask.settled];
    let wishes = [ask.need, ask.want, ask.least, ask.limit].map(u64::from);
    let numbers = counts.into_iter().chain(wishes).chain([window]);
    let words = keys.into_iter().chain([seq]).chain(numbers.map(|number| number.to_string()));
    words.chain([promise.to_owned(), lends.to_owned()]).map(String::into_bytes).collect()
}

#[cfg(test)]
mod tests;
