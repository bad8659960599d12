//! What quotas are, unless a team has its own, and over what they hold.

use tollkeeper_contract::Quota;

use crate::limiter::Limit;

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    setting::{Setting, settings},
    values::Whole,
    vocabulary::{Fallback, Promise, QuotaScope, Remaining},
};

/// What quotas are and mean.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// What holds for a team that has no quota of its own; the promise is for all.
    pub limit: Limit,
    /// How they hold over the whole fleet; `None`: over each Envoy by itself.
    pub fleet: Option<FleetQuotas>,
}

/// How quotas hold over all Envoys together.
#[derive(Debug, Clone, Copy)]
pub struct FleetQuotas {
    /// How long a request may wait for a lease, 10 to 10,000 milliseconds.
    pub wait_ms: u64,
    /// What happens when nobody lends.
    pub fallback: Fallback,
    /// Of what answers say that it is left.
    pub remaining: Remaining,
}

settings! {
    /// So many requests in so much time.
    QuotaSettings {
        /// Requests per window, and the most that can be saved up.
        limit: Whole<1, { u32::MAX }>,
        /// The window in seconds, at most 31 days.
        window_seconds: Whole<1, { Quota::MAX_WINDOW }>,
        /// What that promises, for every team. `bucket`: the limit at once, then as many per window as come back bit by bit. `strict`: never more than the limit in any window of that length.
        promise: Promise = "bucket",
        /// Over what quotas hold, those of teams too. `process`: over each Envoy by itself. `fleet`: over all Envoys that share a key service; each spends what the key service has lent it.
        scope: QuotaScope = "process",
        /// With scope `fleet`: how long a request may wait for the first tokens that its team is lent, in milliseconds.
        wait_ms: Whole<10, 10_000> = 1_000,
        /// With scope `fleet`: what happens to requests that no lease covers while nobody lends. `share`: each Envoy may spend its share of the limit. `refuse`: they are refused.
        fallback: Fallback = "share",
        /// With scope `fleet`: what answers tell to be left. `fleet`: what all Envoys together may still spend, as this one heard last; it may be too much for the moment in which others spend much. `lease`: only what this Envoy holds, which is never more than is left.
        remaining: Remaining = "fleet",
    }
}

impl Setting for Quotas {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let settings = QuotaSettings::read(json, place, mistakes)?;
        let QuotaSettings { promise, fallback, remaining, .. } = settings;
        let wait_ms = settings.wait_ms.get().into();
        let fleet = match settings.scope {
            QuotaScope::Process => None,
            QuotaScope::Fleet => Some(FleetQuotas { wait_ms, fallback, remaining }),
        };
        let quota = Quota::new(settings.limit.get(), settings.window_seconds.get());
        let limit = quota.map(|quota| Limit { quota, promise });
        limit.map(|limit| Self { limit, fleet }).map_err(|error| mistakes.note(place, error))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        QuotaSettings::schema()
    }
}
