//! The whole gate against a model written for clarity: it lets through only what the model allows, for whom it allows it,
//! and refuses no plain request that the model allows.

mod model;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    sync::LazyLock,
};

use arbitrary::Unstructured;
use tollkeeper::{
    config::Config,
    familiar::Familiar,
    gate::{Gate, Judgement},
    lease::Patience,
    purse::Scope,
    request::Request,
    shared::{Expected, HostFailure, SharedData, Swap, Value, Version},
    table::{KeyTable, Names, Recent},
    time::{Monotonic, Now},
    token::{NoSignatures, Verifier},
    verdict::Verdict,
    wanted::Wanted,
};
use tollkeeper_contract::page::NodeToken;

use model::{KEYS, NOW, Sent};

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = br#"{
        "key_service": {"cluster": "keyservice"}, "quota": {"limit": 4000000000, "window_seconds": 1}, "unmatched": "refuse",
        "routes": [{"path": "/api/{team}/..."}, {"path": "/me"}]
    }"#;
    Config::parse(text).expect("a configuration")
});

/// Shared data of one thread.
#[derive(Debug, Default)]
struct Shared {
    values: RefCell<BTreeMap<String, Value>>,
    writes: Cell<u32>,
}

impl SharedData for Shared {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        Ok(self.values.borrow().get(name).cloned())
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        if Expected::from_read(self.get(name)?.as_ref()) != expected {
            return Ok(Swap::Conflict);
        }
        self.writes.set(self.writes.get().wrapping_add(1));
        let value = Value { bytes: value.to_vec(), version: Version(self.writes.get()) };
        self.values.borrow_mut().insert(name.to_owned(), value);
        Ok(Swap::Done)
    }
}

/// What a worker keeps between requests.
struct Worker {
    shared: Shared,
    names: Names,
    secret: NodeToken,
    recent: RefCell<Recent>,
    familiar: Familiar,
}

thread_local! {
    static WORKER: Worker = Worker::start();
}

impl Worker {
    fn start() -> Self {
        let worker = Self {
            shared: Shared::default(),
            names: Names::new("default"),
            secret: NodeToken::parse("a-token-for-nodes").expect("a token"),
            recent: RefCell::default(),
            familiar: Familiar::new(Some([7; 16])),
        };
        model::publish(&worker.table());
        worker
    }

    fn table(&self) -> KeyTable<'_, Shared> {
        let limits = CONFIG.quotas.limit.into();
        KeyTable { shared: &self.shared, names: &self.names, limits, now: Monotonic(1000) }
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let (cache, wanted) = (RefCell::default(), Wanted::default());
        let tokens = Verifier { settings: &CONFIG.tokens, secret: &self.secret, host: &NoSignatures, cache: &cache };
        let gate = Gate {
            config: &CONFIG,
            table: self.table(),
            recent: &self.recent,
            familiar: &self.familiar,
            usable: Ok(()),
            now: Now { unix: NOW, monotonic: Monotonic(1000) },
            tokens,
            scope: Scope::Process,
            wanted: &wanted,
        };
        match gate.judge(request, Patience::New) {
            Judgement::Decided(verdict) => verdict,
            Judgement::Waits(account) => panic!("waits for {account:?}"),
        }
    }
}

/// The input chooses the parts of a request, and what is wrong with them.
pub fn look(data: &[u8]) {
    let Ok(sent) = Sent::draw(&mut Unstructured::new(data)) else { return };
    compare(&sent);
}

/// Whether it was let through.
fn compare(sent: &Sent) -> bool {
    let headers = sent.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
    let verdict = WORKER.with(|worker| worker.judge(&Request::read(headers)));
    let allowed = sent.allowed();
    match &verdict {
        Verdict::Granted(grant) => assert_eq!(Some(&grant.principal.account), allowed.as_ref(), "{sent:?}"),
        Verdict::Refused(refused) => {
            assert!(allowed.is_none() || !sent.is_plain, "{sent:?} is refused: {:?}", refused.refusal);
        }
        Verdict::Public | Verdict::Shadowed(_) => panic!("{sent:?}: {verdict:?}"),
    }
    matches!(verdict, Verdict::Granted(_))
}

/// Choices for each key.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let key = |number: usize| [vec![0, 0, 0], vec![number as u8; 4], vec![0; 24]].concat();
    let mut seeds: Vec<_> = (0..KEYS.len()).map(key).collect();
    seeds.push((0..64).collect());
    seeds
}

#[cfg(test)]
mod tests {
    use super::{KEYS, Sent, compare};

    #[test]
    fn a_plain_request_with_a_good_key_is_let_through_by_both() {
        let sent = |key: &str, target: &str| {
            let headers = [(":method", "GET"), (":path", target), ("authorization", key)];
            let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
            Sent { headers: headers.to_vec(), is_plain: true }
        };
        let is_let_through = |key: &str| compare(&sent(key, "/api/acme/x")) || compare(&sent(key, "/me"));
        let good: Vec<_> = KEYS.iter().filter(|key| is_let_through(key.text)).map(|key| key.text).collect();
        assert_eq!(good, ["of-acme", "personal", "of-enterprise"]);
    }
}
