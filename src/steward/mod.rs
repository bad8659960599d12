//! The one VM per Envoy process that syncs the table and reports usage.
//!
//! Every VM could be steward; a lease in shared data says which one is. State machines without I/O: [`Steward`] says
//! which calls to make and is told their answers.

mod lease;
mod outbox;
mod question;
mod sync;

use std::time::Duration;

use tollkeeper_contract::{Quota, page::NodeToken};

pub use lease::{Holder, Lease, Standing};
pub use question::{Answer, Call, Errand};
pub use sync::SyncError;

use crate::{
    shared::{HostFailure, SharedData},
    table::{Meta, Names},
    time::{Monotonic, Now},
    usage::Tally,
};

use lease::Candidate;
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
    /// The quota of a team that has none of its own.
    pub default_quota: Quota,
}

/// One VM's part in the stewardship.
#[derive(Debug)]
pub struct Steward {
    names: Names,
    candidate: Candidate,
    sync: Sync,
    outbox: Outbox,
}

impl Steward {
    /// A VM that may become steward; `holder` must differ from that of every other VM.
    #[must_use]
    pub fn new(names: Names, holder: Holder, settings: Settings) -> Self {
        Self {
            candidate: Candidate::new(holder),
            outbox: Outbox::new(&settings, holder),
            sync: Sync::new(settings),
            names,
        }
    }

    /// Claims or keeps the lease, if it is this VM's turn.
    ///
    /// # Errors
    /// When the host fails; the VM is not steward then.
    pub fn stand(&mut self, shared: &impl SharedData, now: Monotonic) -> Result<Standing, HostFailure> {
        self.candidate.stand(shared, &self.names, now)
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
    pub fn resign(&mut self, shared: &impl SharedData) -> Result<Tally, HostFailure> {
        self.candidate.resign(shared, &self.names)?;
        Ok(self.outbox.give_up())
    }

    /// Takes over what workers have settled.
    pub fn settle(&mut self, tally: Tally) {
        self.outbox.add(tally);
    }

    /// The calls to make now; `standing` is what [`Steward::stand`] has just said.
    ///
    /// # Errors
    /// When the host fails.
    pub fn calls(&mut self, shared: &impl SharedData, now: Now, standing: Standing) -> Result<Vec<Call>, HostFailure> {
        let sync = match standing {
            Standing::Steward => self.sync.next_call(Meta::read(shared, &self.names)?.as_ref(), now),
            Standing::Other => {
                self.sync.abandon();
                None
            }
        };
        Ok(sync.into_iter().chain(self.outbox.next_call(now.monotonic)).collect())
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
    ) -> Result<(), SyncError> {
        match errand {
            Errand::Report { seq } => {
                self.outbox.on_answer(seq, &answer, now.monotonic);
                Ok(())
            }
            Errand::Sync { nonce } => {
                // Somebody else may have become steward while the answer was under way.
                let standing = self.stand(shared, now.monotonic)?;
                if standing == Standing::Other {
                    self.sync.abandon();
                    return Ok(());
                }
                self.sync.on_answer(shared, &self.names, nonce, answer, now)
            }
        }
    }
}

#[cfg(test)]
mod tests;
