//! Usage on its way from the workers to the steward, over the shared queue `ledger`.

use std::cell::RefCell;

use proxy_wasm::hostcalls;
use tollkeeper_contract::ledger::Usage;

use crate::{
    principal::Principal,
    refusal::Denial,
    table::Names,
    time::Now,
    usage::{Tally, Use},
    verdict::Verdict,
};

/// The most entries of one message.
const BATCH: usize = 500;

/// The most messages taken from the queue in one callback, so that no callback takes long.
const DRAIN: usize = 200;

/// What this VM has counted and not handed on.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    tally: RefCell<Tally>,
}

impl Settlement {
    /// Counts a request, if its team's bucket was asked.
    pub(super) fn count(&self, verdict: &Verdict, now: Now) {
        let (principal, what) = match verdict {
            Verdict::Granted(grant) => (&grant.principal, Use::Granted),
            Verdict::Refused(refused) if refused.refusal == Denial::QuotaExhausted.into() => {
                let Some(principal) = refused.principal.as_deref() else { return };
                (principal, Use::Limited)
            }
            Verdict::Public | Verdict::Refused(_) => return,
        };
        let Principal { key_id, team, .. } = principal;
        if let Ok(mut tally) = self.tally.try_borrow_mut() {
            tally.count(key_id, team, what, now);
        }
    }

    /// Takes over what a steward has not reported.
    pub(super) fn add(&self, mut unreported: Tally) {
        let Ok(mut tally) = self.tally.try_borrow_mut() else { return };
        unreported.take(usize::MAX).into_iter().for_each(|usage| tally.add(usage));
    }

    /// Puts everything into the queue. Only while there is a steward to empty it: the queue has no bound of its own,
    /// while what is kept here is one entry per key.
    pub(super) fn hand_on(&self, names: &Names) {
        let Ok(mut tally) = self.tally.try_borrow_mut() else { return };
        if tally.is_empty() {
            return;
        }
        let vm_id = super::host::property(&["plugin_vm_id"]).unwrap_or_default();
        let Ok(Some(queue)) = hostcalls::resolve_shared_queue(&vm_id, &names.ledger()) else { return };
        while !tally.is_empty() {
            let batch = tally.take(BATCH);
            let sent = serde_json::to_vec(&batch).ok();
            let sent = sent.and_then(|message| hostcalls::enqueue_shared_queue(queue, Some(&message)).ok());
            if sent.is_none() {
                batch.into_iter().for_each(|usage| tally.add(usage));
                return;
            }
        }
    }

    /// Takes what the workers have put into the queue.
    pub(super) fn collect(queue: u32) -> Tally {
        let mut tally = Tally::default();
        for _ in 0..DRAIN {
            let Ok(Some(message)) = hostcalls::dequeue_shared_queue(queue) else { break };
            // Only the filter writes into this queue; another version's messages may differ for a moment.
            let batch: Vec<Usage> = serde_json::from_slice(&message).unwrap_or_default();
            batch.into_iter().for_each(|usage| tally.add(usage));
        }
        tally
    }
}
