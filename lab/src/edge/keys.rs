//! The key service of an edge, and what the filter knows of its keys.

use serde_json::{Value, json};

use super::{Edge, SYNC_LIMIT, or_end};
use crate::authority::Certificate;
use crate::key_service::{KeyService, NewKey};
use crate::keyservice_process::KeyServiceProcess;
use crate::poll::wait_until;
use crate::port::reserve;
use crate::secret::Tokens;

impl Edge {
    /// The key service's admin API.
    pub fn key_service(&self) -> &KeyService {
        &self.key_service
    }

    /// Makes a key with these scopes (and its team, if there is none), waits until the filter knows it, returns it.
    pub async fn key(&self, team: &str, scopes: &[&str]) -> String {
        self.new_key(team, json!({ "scopes": scopes })).await.key
    }

    /// Makes a key with more fields of `POST /v1/keys` (and its team, if there is none), and waits until the filter
    /// knows it.
    pub async fn new_key(&self, team: &str, fields: Value) -> NewKey {
        let key = self.new_key_at_once(team, fields).await;
        self.serves(key.revision).await;
        key
    }

    /// Like [`Self::new_key`], but returns when the key service has answered, before the filter knows.
    pub async fn new_key_at_once(&self, team: &str, mut fields: Value) -> NewKey {
        or_end(self.key_service.create_team(team, team).await);
        fields["team"] = json!(team);
        or_end(self.key_service.create_key(&fields).await)
    }

    /// Waits until the filter serves this revision, which every answer of the admin API about a change carries, or a
    /// later one.
    pub async fn serves(&self, revision: u64) {
        let what = format!("the filter serves revision {revision}");
        let reached = wait_until(&what, SYNC_LIMIT, async || (self.revision().await? >= revision).then_some(()));
        or_end(reached.await.map_err(|late| late.context(self.envoy.log())));
    }

    /// The revision that the filter serves, from its gauge; `None` before the first sync.
    pub async fn revision(&self) -> Option<u64> {
        let instance = or_end(self.bootstrap.instance());
        self.stat(&format!("wasmcustom.tollkeeper.revision.instance.{instance}")).await
    }

    /// Starts the key service, if it does not run, where it was before.
    pub async fn start_key_service(&mut self) {
        or_end(self.key_service_process.start().await);
    }

    /// The key service's process.
    pub fn key_service_process(&mut self) -> &mut KeyServiceProcess {
        &mut self.key_service_process
    }

    /// Ends the key service at once, as a crash would.
    pub fn kill_key_service(&mut self) {
        or_end(self.key_service_process.kill());
    }

    /// While the key service is dead: starts it where Envoy does not find it, lets `change` use its admin API, and
    /// ends it again.
    pub async fn out_of_reach<T>(&self, change: impl AsyncFnOnce(&KeyService) -> T) -> T {
        let mut elsewhere = self.key_service_process.elsewhere(or_end(reserve()));
        or_end(elsewhere.start().await);
        let admin = or_end(KeyService::of(elsewhere.launch()));
        let changed = change(&admin).await;
        or_end(elsewhere.kill());
        changed
    }

    /// Ends the key service at once and starts it again.
    pub async fn restart_key_service(&mut self) {
        self.kill_key_service();
        self.start_key_service().await;
    }

    /// Ends the key service at once and starts it again with this variable set.
    pub async fn restart_key_service_with(&mut self, name: &str, value: &str) {
        self.kill_key_service();
        self.key_service_process.set(name, value);
        self.start_key_service().await;
    }

    /// Tells the key service to read its files again.
    pub fn reload_key_service(&mut self) {
        or_end(self.key_service_process.reload());
    }

    /// Lets the key service show another certificate to whoever connects from now on.
    pub fn renew_key_service_certificate(&mut self, certificate: Certificate) {
        or_end(self.key_service_process.renew(certificate));
    }

    /// The tokens of this installation: to look for them where they must not be.
    pub fn tokens(&self) -> &Tokens {
        self.key_service_process.tokens()
    }

    /// The key service's log up to now.
    pub fn key_service_log(&self) -> String {
        self.key_service_process.log()
    }
}
