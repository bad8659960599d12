//! Counters and gauges; the host's have no labels, so these stand in the names and `stats_tags` take them out again.

use std::{cell::RefCell, collections::BTreeMap};

use proxy_wasm::{hostcalls, types::MetricType};

use crate::verdict::Verdict;

/// The metrics of one VM; the host adds up what the VMs of a process count under the same name.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    instance: String,
    /// One counter per verdict and reason, both from closed vocabularies.
    requests: RefCell<BTreeMap<(&'static str, &'static str), u32>>,
    degraded: RefCell<Option<u32>>,
    sync_failures: RefCell<Option<u32>>,
    gauges: RefCell<Option<Gauges>>,
}

#[derive(Debug, Clone, Copy)]
struct Gauges {
    revision: u32,
    age: u32,
}

impl Metrics {
    pub(super) fn new(instance: &str) -> Self {
        Self { instance: instance.to_owned(), ..Self::default() }
    }

    /// Counts a verdict.
    pub(super) fn count(&self, verdict: &Verdict) {
        let Ok(mut requests) = self.requests.try_borrow_mut() else { return };
        let key = (verdict.word(), verdict.reason());
        let id = match requests.get(&key) {
            Some(id) => *id,
            None => {
                let (verdict, reason) = key;
                let name = format!("tollkeeper.requests.instance.{}.verdict.{verdict}.reason.{reason}", self.instance);
                let Ok(id) = hostcalls::define_metric(MetricType::Counter, &name) else { return };
                requests.insert(key, id);
                id
            }
        };
        let _ = hostcalls::increment_metric(id, 1);
        if verdict.is_degraded() {
            self.count_one(&self.degraded, "quota_degraded");
        }
    }

    /// Counts an answer of the key service that was refused, or that did not come.
    pub(super) fn count_sync_failure(&self) {
        self.count_one(&self.sync_failures, "sync_failures");
    }

    fn count_one(&self, counter: &RefCell<Option<u32>>, name: &str) {
        let Ok(mut id) = counter.try_borrow_mut() else { return };
        let name = format!("tollkeeper.{name}.instance.{}", self.instance);
        *id = id.or_else(|| hostcalls::define_metric(MetricType::Counter, &name).ok());
        if let Some(id) = *id {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }

    /// Shows which revision is served, and how many seconds ago the key service said that it is the last.
    pub(super) fn show(&self, revision: u64, age: u64) {
        let Ok(mut gauges) = self.gauges.try_borrow_mut() else { return };
        if gauges.is_none() {
            *gauges = self.define_gauges();
        }
        let Some(Gauges { revision: revision_id, age: age_id }) = *gauges else { return };
        let _ = hostcalls::record_metric(revision_id, revision);
        let _ = hostcalls::record_metric(age_id, age);
    }

    fn define_gauges(&self) -> Option<Gauges> {
        let gauge = |name: &str| {
            hostcalls::define_metric(MetricType::Gauge, &format!("tollkeeper.{name}.instance.{}", self.instance)).ok()
        };
        Some(Gauges { revision: gauge("revision")?, age: gauge("sync_age_seconds")? })
    }
}
