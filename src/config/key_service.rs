//! Where the keys come from, and how long a node waits for them.

use std::time::Duration;

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    setting::{Setting, settings},
    values::{Authority, Cluster, EnvName, Whole},
};

/// How a node reaches the key service.
#[derive(Debug, Clone)]
pub struct KeyService {
    /// The Envoy cluster.
    pub cluster: Cluster,
    /// The host that requests name.
    pub authority: Authority,
    /// The environment variable that holds the node token.
    pub node_token_env: EnvName,
    /// The bound of one call, 0.1 s to 60 s; a long poll takes `poll` more.
    pub timeout: Duration,
    /// How long the service may hold a request for changes, 1 s to 300 s.
    pub poll: Duration,
    /// How long the table serves without a successful sync, 10 s to a year; longer than `poll` and `timeout`
    /// together.
    pub max_age: Duration,
}

settings! {
    /// How a node reaches the key service.
    KeyServiceSettings {
        /// The Envoy cluster of the key service.
        cluster: Cluster,
        /// The host that requests to it name; the name of the cluster if not given.
        authority: Option<Authority>,
        /// The environment variable that holds the node token; list it in `vm_config.environment_variables`.
        node_token_env: EnvName = "TOLLKEEPER_NODE_TOKEN",
        /// How long one call may take, in milliseconds; a long poll may take `poll_seconds` more.
        timeout_ms: Whole<100, 60_000> = 5_000,
        /// How long the key service may hold a request for changes, in seconds.
        poll_seconds: Whole<1, 300> = 20,
        /// How long the keys serve without a successful sync, in seconds; must be more than `poll_seconds` and `timeout_ms` together.
        max_age_seconds: Whole<10, 31_536_000> = 86_400,
    }
}

impl Setting for KeyService {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let settings = KeyServiceSettings::read(json, place, mistakes)?;
        let timeout = Duration::from_millis(settings.timeout_ms.get().into());
        let poll = Duration::from_secs(settings.poll_seconds.get().into());
        let max_age = Duration::from_secs(settings.max_age_seconds.get().into());
        // A quiet poll with a slow answer would outlive the table, and every request be refused meanwhile.
        let max_age = if max_age > poll.saturating_add(timeout) {
            Ok(max_age)
        } else {
            let (age, poll, timeout) = (max_age.as_secs(), poll.as_secs(), timeout.as_millis());
            let what = format_args!(
                "{age} s is not more than poll_seconds, {poll} s, and timeout_ms, {timeout} ms, together; \
                 use more, or a shorter poll"
            );
            Err(mistakes.note(&place.field("max_age_seconds"), what))
        };
        let authority = match settings.authority {
            Some(authority) => Ok(authority),
            None => Authority::parse(&settings.cluster).ok_or_else(|| {
                mistakes.note(&place.field("authority"), "is missing, and the cluster's name is no host name; give it")
            }),
        };
        Ok(Self {
            cluster: settings.cluster,
            authority: authority?,
            node_token_env: settings.node_token_env,
            timeout,
            poll,
            max_age: max_age?,
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        KeyServiceSettings::schema()
    }
}
