//! Usage, and for whom tokens are wanted, on the way from the workers to the steward, over the shared queue `ledger`.

use std::{cell::RefCell, collections::BTreeSet};

use proxy_wasm::hostcalls;
use serde::{Deserialize, Serialize};
use tollkeeper_contract::{
    lease,
    ledger::{Report, Usage},
};

use crate::{
    principal::{Account, Principal},
    refusal::Refusal,
    shared::HostFailure,
    steward::Unsettled,
    table::Names,
    time::Now,
    usage::{Tally, Use},
    verdict::{Shadowed, Verdict},
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
            Verdict::Shadowed(Shadowed { refused, .. }) | Verdict::Refused(refused) => {
                let is_limited = matches!(refused.refusal, Refusal::Denial(_)) && refused.refusal.is_about_quota();
                let Some(principal) = refused.principal.as_deref().filter(|_| is_limited) else { return };
                (principal, Use::Limited)
            }
            Verdict::Public => return,
        };
        let Principal { key_id, account, .. } = principal;
        if let Ok(mut tally) = self.tally.try_borrow_mut() {
            tally.count(key_id.as_deref().unwrap_or_default(), account.team().unwrap_or_default(), what, now);
        }
    }

    /// Puts everything into the queue. Only while there is a steward to empty it: the queue has no bound of its own,
    /// while what is kept here is one entry per key.
    pub(super) fn hand_on(&self, names: &Names) {
        let Ok(mut tally) = self.tally.try_borrow_mut() else { return };
        if tally.is_empty() {
            return;
        }
        let Some(queue) = find_queue(names) else { return };
        while !tally.is_empty() {
            let message = Message::Usage(tally.take(BATCH));
            if message.send(queue).is_err()
                && let Message::Usage(batch) = message
            {
                batch.into_iter().for_each(|usage| tally.add(usage));
                return;
            }
        }
    }

    /// Puts what a steward has not settled into the queue, for the next one.
    pub(super) fn bequeath(&self, names: &Names, unsettled: Unsettled) {
        if let Ok(mut tally) = self.tally.try_borrow_mut() {
            tally.add_all(unsettled.tally);
        }
        self.hand_on(names);
        Self::ask_for(names, &unsettled.wanted);
        for report in unsettled.reports {
            let Some(queue) = find_queue(names) else { return };
            let _ = Message::Report(report).send(queue);
        }
    }

    /// Tells the steward for whom tokens are wanted.
    pub(super) fn ask_for(names: &Names, wanted: &BTreeSet<Account>) {
        if wanted.is_empty() {
            return;
        }
        let Some(queue) = find_queue(names) else { return };
        let _ = Message::Wanted(wanted.iter().map(lease::Account::from).collect()).send(queue);
    }

    /// Takes what the workers have put into the queue.
    pub(super) fn collect(queue: u32) -> Unsettled {
        let mut unsettled = Unsettled::default();
        for _ in 0..DRAIN {
            let Ok(Some(message)) = hostcalls::dequeue_shared_queue(queue) else { break };
            match serde_json::from_slice(&message) {
                Ok(Message::Usage(batch)) => batch.into_iter().for_each(|usage| unsettled.tally.add(usage)),
                Ok(Message::Report(report)) => unsettled.reports.push(report),
                Ok(Message::Wanted(accounts)) => unsettled.wanted.extend(accounts.into_iter().map(Account::from)),
                // Only filters write into this queue, but for a moment another version's may.
                Err(_) => log::warn!("a message in {queue} is of another version of the filter; it is dropped"),
            }
        }
        unsettled
    }
}

/// What goes through the queue.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Usage(Vec<Usage>),
    Report(Report),
    Wanted(Vec<lease::Account>),
}

impl Message {
    fn send(&self, queue: u32) -> Result<(), HostFailure> {
        let message = serde_json::to_vec(self).map_err(|_| HostFailure)?;
        hostcalls::enqueue_shared_queue(queue, Some(&message)).map_err(|_| HostFailure)
    }
}

fn find_queue(names: &Names) -> Option<u32> {
    let vm_id = super::host::property(&["plugin_vm_id"]).unwrap_or_default();
    hostcalls::resolve_shared_queue(&vm_id, &names.ledger()).ok().flatten()
}
