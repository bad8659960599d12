//! Changes that an operator makes while something breaks. What was confirmed must be there afterwards: each key, each
//! revocation and the entry of each in the audit log.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use lab::{
    edge::Edge,
    key_service::{KeyService, NewKey},
};
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use super::{outcome, sort::PATH};

/// What an operator knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Revoked,
    Deleted,
    /// A change of it was not confirmed, and may have been made.
    Unknown,
}

impl State {
    /// Whether a request with such a key may come to this.
    pub(crate) fn is_told_by(self, outcome: &str) -> bool {
        match self {
            // Whoever is told that its quota is used up was recognised.
            Self::Active => ["200", "429 quota_exhausted"].contains(&outcome),
            Self::Revoked => outcome == "401 key_revoked",
            Self::Deleted => outcome == "401 unknown_key",
            Self::Unknown => ["200", "401 key_revoked", "401 unknown_key"].contains(&outcome),
        }
    }
}

/// What was confirmed.
#[derive(Default)]
pub(crate) struct Confirmed {
    pub(crate) keys: Vec<(NewKey, State)>,
    /// Actions and resources as the audit log has them.
    pub(crate) entries: Vec<(&'static str, String)>,
    /// Changes that were refused, or not answered.
    pub(crate) refused: u64,
}

/// An operator's program that makes a key and revokes the one before, again and again.
pub(crate) struct Operator {
    confirmed: Arc<Mutex<Confirmed>>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Operator {
    /// Begins to make a change each `pace`.
    pub(crate) fn start(edge: &Edge, pace: Duration) -> Self {
        let confirmed = Arc::<Mutex<Confirmed>>::default();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(work(edge.key_service().clone(), Arc::clone(&confirmed), stopped, pace));
        Self { confirmed, stop, running }
    }

    /// How many changes have been confirmed.
    pub(crate) fn count(&self) -> usize {
        self.confirmed.lock().unwrap().entries.len()
    }

    /// Waits until so many more changes have been confirmed.
    pub(crate) async fn makes(&self, count: usize) {
        let goal = self.count() + count;
        lab::poll::wait_until("changes are made", Duration::from_secs(60), async || {
            (self.count() >= goal).then_some(())
        })
        .await
        .unwrap();
    }

    pub(crate) async fn stop(self) -> Confirmed {
        self.stop.send_replace(true);
        self.running.await.unwrap();
        std::mem::take(&mut self.confirmed.lock().unwrap())
    }
}

async fn work(service: KeyService, confirmed: Arc<Mutex<Confirmed>>, stopped: watch::Receiver<bool>, pace: Duration) {
    let mut pace = interval(pace);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for turn in 0_u64.. {
        pace.tick().await;
        if *stopped.borrow() {
            return;
        }
        match turn % 4 {
            0 | 2 => make(&service, &confirmed, turn).await,
            1 => revoke(&service, &confirmed).await,
            _ => delete(&service, &confirmed).await,
        }
    }
}

async fn make(service: &KeyService, confirmed: &Mutex<Confirmed>, turn: u64) {
    // No two records alike.
    let fields = json!({ "team": "acme", "scopes": ["read"], "subject": format!("made in turn {turn}") });
    let made = service.create_key(&fields).await;
    let mut confirmed = confirmed.lock().unwrap();
    match made {
        Ok(key) => {
            confirmed.entries.push(("key.create", format!("key:{}", key.id)));
            confirmed.keys.push((key, State::Active));
        }
        Err(_) => confirmed.refused += 1,
    }
}

async fn revoke(service: &KeyService, confirmed: &Mutex<Confirmed>) {
    // The last but one, so that there are always some that work.
    let Some((at, id)) = confirmed.lock().unwrap().last_but_one(State::Active) else { return };
    let revoked = service.revoke_key(&id).await;
    confirmed.lock().unwrap().note(at, "key.revoke", State::Revoked, revoked.is_ok());
}

async fn delete(service: &KeyService, confirmed: &Mutex<Confirmed>) {
    let Some((at, id)) = confirmed.lock().unwrap().last_but_one(State::Revoked) else { return };
    let deleted = service.delete_key(&id).await;
    confirmed.lock().unwrap().note(at, "key.delete", State::Deleted, deleted.is_ok());
}

impl Confirmed {
    fn last_but_one(&self, state: State) -> Option<(usize, String)> {
        let of_state = self.keys.iter().enumerate().rev().filter(|(_, (_, of))| *of == state);
        of_state.map(|(at, (key, _))| (at, key.id.clone())).nth(1)
    }

    fn note(&mut self, at: usize, action: &'static str, state: State, is_confirmed: bool) {
        if is_confirmed {
            self.entries.push((action, format!("key:{}", self.keys[at].0.id)));
            self.keys[at].1 = state;
        } else {
            self.refused += 1;
            self.keys[at].1 = State::Unknown;
        }
    }

    /// How much of it could be lost: keys with what became of them, and entries of the audit log.
    pub(crate) fn count(&self) -> usize {
        self.keys.len() + self.entries.len()
    }

    /// What is not there any more, once the edge serves the last change: each with its name.
    pub(crate) async fn lost(&self, edge: &Edge) -> Vec<String> {
        // Behind all of them, also behind a deletion, of which nobody is told the revision.
        edge.new_key("acme", json!({ "scopes": ["read"] })).await;
        let mut lost = Vec::new();
        for (key, state) in &self.keys {
            let request = edge.get(PATH).header("x-api-key", &key.key);
            let told = outcome(edge, request).await;
            if !state.is_told_by(&told) {
                lost.push(format!("key {} ({state:?}) is answered {told}", key.id));
            }
        }
        let written = audit(edge.key_service()).await;
        let missing = self.entries.iter().filter(|(action, of)| !written.contains(&((*action).to_owned(), of.clone())));
        lost.extend(missing.map(|(action, of)| format!("{action} of {of} is not in the audit log")));
        lost
    }
}

async fn audit(service: &KeyService) -> BTreeSet<(String, String)> {
    let mut entries = BTreeSet::new();
    let mut after = String::new();
    loop {
        let page = service.get(&format!("/v1/audit?limit=1000{after}")).await.unwrap();
        for entry in page["entries"].as_array().unwrap() {
            let text = |name: &str| entry[name].as_str().unwrap().to_owned();
            entries.insert((text("action"), text("resource")));
        }
        let Some(next) = page["next"].as_u64() else { return entries };
        after = format!("&after={next}");
    }
}
