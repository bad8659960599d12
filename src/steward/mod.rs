//! The one VM per Envoy process that syncs the table, asks for leases and reports usage.
//!
//! Every VM could be steward; a lease in shared data says which one is. State machines without I/O: [`Steward`] says
//! which calls to make and is told their answers.

mod agenda;
mod fence;
mod lease;
mod leases;
mod outbox;
mod question;
mod sync;

use std::{collections::BTreeSet, time::Duration};

use tollkeeper_contract::page::NodeToken;

pub use lease::{Generation, Holder, Lease, Standing};
pub use outbox::Unsettled;
pub use question::{Answer, Call, Errand};
pub use sync::SyncError;

use crate::{
    config::FleetQuotas,
    limiter::Limit,
    principal::Account,
    shared::{HostFailure, SharedData},
    table::{KeyTable, Meta, Names},
    time::{Monotonic, Now},
};

use fence::Fenced;
use lease::{Candidate, Term};
use leases::Leases;
use outbox::Outbox;
use sync::Sync;

/// How the key service is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a question may wait for a change.
    pub poll: Duration,
    /// How long a call may take beyond that.
    pub timeout: Duration,
    /// What the node shows, and under which answers are sealed.
    pub token: NodeToken,
    /// This node's name.
    pub node: String,
    /// The installation's name.
    pub instance: String,
    /// The quota of a team that has none of its own.
    pub default_limit: Limit,
    /// How quotas hold over the fleet, if they do. If not, leases are still asked for on behalf of other configurations.
    pub fleet: Option<FleetQuotas>,
}

/// One VM's part in the stewardship.
#[derive(Debug)]
pub struct Steward {
    names: Names,
    holder: Holder,
    candidate: Candidate,
    default_limit: Limit,
    sync: Sync,
    leases: Leases,
    outbox: Outbox,
}

/// What an answer led to.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The table is what the key service says.
    Synced,
    /// Nothing that concerns the table.
    Nothing,
}

impl Steward {
    /// A VM that may become steward; `holder` must differ from that of every other VM.
    #[must_use]
    pub fn new(names: Names, holder: Holder, generation: Generation, settings: Settings) -> Self {
        Self {
            candidate: Candidate::new(holder, generation),
            outbox: Outbox::new(&settings, holder),
            leases: Leases::new(settings.clone(), holder),
            default_limit: settings.default_limit,
            sync: Sync::new(settings, holder),
            names,
            holder,
        }
    }

    /// Claims or keeps the lease, if it is this VM's turn.
    ///
    /// # Errors
    /// When the host fails; the VM is not steward then.
    pub fn stand(&mut self, shared: &impl SharedData, now: Monotonic) -> Result<Standing, HostFailure> {
        let term = if self.sync.reads_snapshot() { Term::OfSnapshot } else { Term::Usual };
        self.candidate.stand(shared, &self.names, term, now)
    }

    /// A VM that serves requests leaves the work to one that does not, normally the main thread's.
    ///
    /// # Errors
    /// When the host fails; the lease then ends by itself.
    pub fn note_request(&mut self, shared: &impl SharedData) -> Result<(), HostFailure> {
        self.candidate.yield_to_idle(shared, &self.names)
    }

    /// This VM's configuration ends: somebody else can take over at once, also what is not reported yet.
    ///
    /// # Errors
    /// When the host fails; the lease then ends by itself.
    pub fn resign(&mut self, shared: &impl SharedData) -> Result<Unsettled, HostFailure> {
        self.candidate.resign(shared, &self.names)?;
        let (tally, reports) = self.outbox.give_up();
        Ok(Unsettled { tally, reports, wanted: self.leases.give_up() })
    }

    /// Another VM is steward now: for whom it has to ask for leases.
    pub fn hand_over(&mut self) -> BTreeSet<Account> {
        self.leases.give_up()
    }

    /// Takes over what workers have settled, and what a steward before has left.
    pub fn settle(&mut self, unsettled: Unsettled) {
        let Unsettled { tally, reports, wanted } = unsettled;
        self.outbox.add(tally, reports);
        self.leases.ask_for(wanted);
    }

    /// The calls to make now; `standing` is what [`Steward::stand`] has just said.
    ///
    /// # Errors
    /// When the host fails.
    pub fn calls(
        &mut self,
        shared: &impl SharedData,
        now: Monotonic,
        standing: Standing,
    ) -> Result<Vec<Call>, HostFailure> {
        let (sync, lend) = match standing {
            Standing::Steward => {
                let table = KeyTable { shared, names: &self.names, limits: self.default_limit.into(), now };
                let lend = self.leases.next_call(&table);
                (self.sync.next_call(Meta::read(shared, &self.names)?.as_ref(), now), lend)
            }
            Standing::Other => {
                self.sync.abandon();
                (None, None)
            }
        };
        Ok(sync.into_iter().chain(lend).chain(self.outbox.next_call(now)).collect())
    }

    /// Takes in the answer to a call.
    ///
    /// # Errors
    /// Why the answer was refused; the table stays as it was, and the question will be asked again.
    pub fn on_answer(
        &mut self,
        shared: &impl SharedData,
        errand: Errand,
        answer: Answer<'_>,
        now: Now,
    ) -> Result<Progress, SyncError> {
        match errand {
            Errand::Report { epoch, seq } => {
                self.outbox.on_answer((epoch, seq), &answer, now.monotonic);
                Ok(Progress::Nothing)
            }
            Errand::Lend { nonce } => {
                let limits = self.default_limit.into();
                let table = KeyTable { shared, names: &self.names, limits, now: now.monotonic };
                self.leases.on_answer(&table, nonce, &answer)?;
                Ok(Progress::Nothing)
            }
            Errand::Sync { nonce } => {
                let fenced = Fenced { shared, names: &self.names, holder: self.holder };
                self.sync.on_answer(&fenced, &self.names, nonce, answer, now.monotonic)
            }
        }
    }
}

#[cfg(test)]
mod tests;
