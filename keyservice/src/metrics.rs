//! What the service counts, as OpenMetrics text.

use std::{fmt, sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::{
    domain::LoginRefusal,
    login::LoginFailure,
    store::{Age, Census, Login, Settled},
};

/// A gauge of something that cannot be negative.
type Level = Gauge<u64, AtomicU64>;

/// What requests are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The method, or `other`.
    pub method: &'static str,
    /// The route as it is written in the program, or `unmatched`.
    pub route: String,
    /// The status of the answer.
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What became of a node's question for leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// It was settled, and what there was could be lent.
    Lent {
        /// How many tokens were.
        granted: u64,
    },
    /// It was settled; nothing is lent so soon after an outage.
    Settled,
    /// It broke a rule.
    Refused,
    /// The books cannot be reached.
    Unavailable,
}

/// What became of a call to the quota store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaOutcome {
    /// It answered.
    Answered,
    /// It did not, or with an error.
    Failed,
}

/// All metrics of the service.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    long_polls: Level,
    batches: Family<OutcomeLabel, Counter>,
    missing_batches: Counter,
    unknown_keys: Counter,
    logins: Family<OutcomeLabel, Counter>,
    lease_questions: Family<OutcomeLabel, Counter>,
    lease_tokens: Counter,
    quota_calls: Family<OutcomeLabel, Counter>,
    quota_seconds: Histogram,
    revision: Level,
    teams: Family<StateLabel, Level>,
    keys: Family<StateLabel, Level>,
    nodes: Family<VersionLabel, Level>,
}

impl Metrics {
    /// Metrics that all stand at 0.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("keyservice"),
            requests: Family::default(),
            long_polls: Level::default(),
            batches: Family::default(),
            missing_batches: Counter::default(),
            unknown_keys: Counter::default(),
            logins: Family::default(),
            lease_questions: Family::default(),
            lease_tokens: Counter::default(),
            quota_calls: Family::default(),
            quota_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 12)),
            revision: Level::default(),
            teams: Family::default(),
            keys: Family::default(),
            nodes: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register("long_polls", "Nodes that wait for changes now", self.long_polls.clone());
        registry.register("usage_batches", "Batches of usage from nodes, by outcome", self.batches.clone());
        let help = "Batches of usage that never arrived";
        registry.register("usage_batches_missing", help, self.missing_batches.clone());
        let help = "Keys in batches of usage that do not exist, or no longer";
        registry.register("usage_unknown_keys", help, self.unknown_keys.clone());
        registry.register("logins", "Logins that were tried, by outcome", self.logins.clone());
        for outcome in ["given", "repeated", "refused", "limited", "unavailable"] {
            self.logins.get_or_create(&OutcomeLabel { outcome }).inc_by(0);
        }
        let help = "Questions of nodes for leases on quotas, by outcome";
        registry.register("lease_questions", help, self.lease_questions.clone());
        for outcome in ["lent", "settled", "refused", "unavailable"] {
            self.lease_questions.get_or_create(&OutcomeLabel { outcome }).inc_by(0);
        }
        let help = "Tokens lent to nodes";
        registry.register("lease_tokens_granted", help, self.lease_tokens.clone());
        let help = "Accounts that the quota store was asked about, by outcome";
        registry.register("quota_store_calls", help, self.quota_calls.clone());
        for outcome in ["answered", "failed"] {
            self.quota_calls.get_or_create(&OutcomeLabel { outcome }).inc_by(0);
        }
        let help = "How long the quota store took for all accounts of a question";
        registry.register_with_unit("quota_store", help, Unit::Seconds, self.quota_seconds.clone());
        registry.register("revision", "The number of the last change", self.revision.clone());
        registry.register("teams", "Teams by state", self.teams.clone());
        registry.register("keys", "Keys by state", self.keys.clone());
        registry.register("nodes", "Nodes that called within ten minutes, by version", self.nodes.clone());
    }

    /// Counts a request that was answered.
    pub fn count_request(&self, labels: RequestLabels) {
        self.requests.get_or_create(&labels).inc();
    }

    /// Counts a batch of usage.
    pub fn count_batch(&self, settled: Settled) {
        let outcome = match settled {
            Settled::Counted { missing, unknown_keys } => {
                self.missing_batches.inc_by(missing);
                self.unknown_keys.inc_by(unknown_keys);
                "counted"
            }
            Settled::Repeated => "repeated",
        };
        self.batches.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a login.
    pub fn count_login(&self, login: &Result<Login, LoginFailure>) {
        let outcome = match login {
            Ok(Login { age: Age::New, .. }) => "given",
            Ok(Login { age: Age::Old, .. }) => "repeated",
            Err(LoginFailure::TooManyAttempts(_) | LoginFailure::Refused(LoginRefusal::TooManySessions)) => "limited",
            Err(LoginFailure::Refused(_)) => "refused",
            Err(_) => "unavailable",
        };
        self.logins.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts a question for leases.
    pub fn count_leases(&self, outcome: LeaseOutcome) {
        let outcome = match outcome {
            LeaseOutcome::Lent { granted } => {
                self.lease_tokens.inc_by(granted);
                "lent"
            }
            LeaseOutcome::Settled => "settled",
            LeaseOutcome::Refused => "refused",
            LeaseOutcome::Unavailable => "unavailable",
        };
        self.lease_questions.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Counts what the quota store was asked, and how long that took.
    pub fn count_quota_calls(&self, accounts: usize, outcome: QuotaOutcome, took: Duration) {
        let outcome = match outcome {
            QuotaOutcome::Answered => "answered",
            QuotaOutcome::Failed => "failed",
        };
        self.quota_calls.get_or_create(&OutcomeLabel { outcome }).inc_by(u64::try_from(accounts).unwrap_or(u64::MAX));
        self.quota_seconds.observe(took.as_secs_f64());
    }

    /// Counts a long poll for as long as the answer is held.
    #[must_use]
    pub fn long_poll(&self) -> impl Drop + Send + use<> {
        self.long_polls.inc();
        LongPoll(self.long_polls.clone())
    }

    /// All metrics, with those that are read from elsewhere set to what they are now.
    ///
    /// # Errors
    /// When they cannot be written as text.
    pub fn render(&self, census: &Census, nodes: Vec<(String, u64)>) -> Result<String, fmt::Error> {
        self.revision.set(census.revision);
        set_states(&self.teams, &["active", "disabled"], &census.teams);
        set_states(&self.keys, &["active", "disabled", "revoked"], &census.keys);
        self.nodes.clear();
        for (version, count) in nodes {
            self.nodes.get_or_create(&VersionLabel { version }).set(count);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn set_states(family: &Family<StateLabel, Level>, states: &[&str], counts: &[(String, u64)]) {
    for state in states {
        let count = counts.iter().find(|(counted, _)| counted == state).map_or(0, |(_, count)| *count);
        family.get_or_create(&StateLabel { state: (*state).to_owned() }).set(count);
    }
}

struct LongPoll(Level);

impl Drop for LongPoll {
    fn drop(&mut self) {
        self.0.dec();
    }
}
