//! Who is steward: a lease in shared data, taken and renewed by compare-and-swap.
//!
//! Envoy runs one VM per worker and one on the main thread, which never serves a request and is therefore the one
//! that should do this work. No VM can ask which thread it is on, but each knows whether it has served a request:
//! those that have hand the lease over, and take it only when nobody else has for a while. So a steward whose VM has
//! trapped is replaced in any case.

use crate::{
    shared::{Expected, HostFailure, SharedData, Swap},
    table::Names,
    time::Monotonic,
};

/// How long a steward that stays silent keeps its lease, in milliseconds.
const TERM: u64 = 3000;

/// A lease with less than this left is renewed, in milliseconds.
const RENEW_BELOW: u64 = 2000;

/// How long a VM that serves requests leaves a free lease to others, in milliseconds.
const RESTRAINT: u64 = 1000;

/// A VM, by a random number other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder(pub u64);

/// Whether this VM is steward.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is, until the lease ends.
    Steward,
    /// Somebody else is, or nobody.
    Other,
}

/// The lease as it stands in shared data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    holder: Holder,
    until: Monotonic,
}

impl Lease {
    /// Whether somebody is steward.
    ///
    /// # Errors
    /// When the host fails.
    pub fn is_held(shared: &impl SharedData, names: &Names, now: Monotonic) -> Result<bool, HostFailure> {
        let lease = shared.get(&names.steward())?.and_then(|value| Self::decode(&value.bytes));
        Ok(lease.is_some_and(|lease| lease.until > now))
    }

    fn encode(self) -> Vec<u8> {
        [self.holder.0.to_le_bytes(), self.until.0.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let [holder, until] = numbers else { return None };
        Some(Self { holder: Holder(u64::from_le_bytes(*holder)), until: Monotonic(u64::from_le_bytes(*until)) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calling {
    /// It has never served a request.
    Idle,
    /// It has.
    Serving,
}

/// One VM's claim to the lease.
#[derive(Debug)]
pub(super) struct Candidate {
    me: Holder,
    calling: Calling,
}

impl Candidate {
    pub(super) fn new(me: Holder) -> Self {
        Self { me, calling: Calling::Idle }
    }

    pub(super) fn stand(
        &self,
        shared: &impl SharedData,
        names: &Names,
        now: Monotonic,
    ) -> Result<Standing, HostFailure> {
        let name = names.steward();
        let read = shared.get(&name)?;
        let expected = Expected::from_read(read.as_ref());
        let lease = read.and_then(|value| Lease::decode(&value.bytes));
        if let Some(lease) = lease {
            if lease.holder == self.me && lease.until.since(now) > RENEW_BELOW {
                return Ok(Standing::Steward);
            }
            if lease.holder != self.me && now < self.may_claim_from(lease) {
                return Ok(Standing::Other);
            }
        }
        let mine = Lease { holder: self.me, until: now.after(TERM) };
        match shared.swap(&name, &mine.encode(), expected)? {
            Swap::Done => Ok(Standing::Steward),
            Swap::Conflict => Ok(Standing::Other),
        }
    }

    /// Hands the lease over at the first request that this VM serves.
    pub(super) fn yield_to_idle(&mut self, shared: &impl SharedData, names: &Names) -> Result<(), HostFailure> {
        if self.calling == Calling::Serving {
            return Ok(());
        }
        self.calling = Calling::Serving;
        self.resign(shared, names)
    }

    /// Frees the lease, if this VM holds it.
    pub(super) fn resign(&self, shared: &impl SharedData, names: &Names) -> Result<(), HostFailure> {
        let name = names.steward();
        let Some(value) = shared.get(&name)? else { return Ok(()) };
        let Some(lease) = Lease::decode(&value.bytes).filter(|lease| lease.holder == self.me) else { return Ok(()) };
        // A conflict means that somebody else has taken it already, which is just as well.
        let free = Lease { holder: Holder(0), ..lease };
        let _ = shared.swap(&name, &free.encode(), Expected::Version(value.version))?;
        Ok(())
    }

    fn may_claim_from(&self, lease: Lease) -> Monotonic {
        // Handed over: free at once for those that do not serve requests.
        let free_from = if lease.holder == Holder(0) { Monotonic(0) } else { lease.until };
        match self.calling {
            Calling::Idle => free_from,
            Calling::Serving => lease.until.after(RESTRAINT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Holder, Lease, Standing};
    use crate::{shared::memory::Memory, table::Names, time::Monotonic};

    fn stand(candidate: &Candidate, shared: &Memory, now: u64) -> Standing {
        candidate.stand(shared, &Names::new("test"), Monotonic(now)).unwrap()
    }

    #[test]
    fn there_is_one_steward_and_another_when_it_falls_silent() {
        let shared = Memory::default();
        let (one, other) = (Candidate::new(Holder(1)), Candidate::new(Holder(2)));
        assert_eq!(stand(&one, &shared, 0), Standing::Steward);
        assert_eq!(stand(&other, &shared, 100), Standing::Other);
        assert_eq!(stand(&one, &shared, 1500), Standing::Steward, "renewed");
        assert_eq!(stand(&other, &shared, 4400), Standing::Other);
        assert_eq!(stand(&other, &shared, 4500), Standing::Steward);
        assert_eq!(stand(&one, &shared, 4501), Standing::Other);
    }

    #[test]
    fn a_vm_that_serves_requests_hands_over_to_one_that_does_not() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut worker, main) = (Candidate::new(Holder(1)), Candidate::new(Holder(2)));
        assert_eq!(stand(&worker, &shared, 0), Standing::Steward);
        worker.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&worker, &shared, 10), Standing::Other);
        assert_eq!(stand(&main, &shared, 10), Standing::Steward);
    }

    #[test]
    fn a_vm_that_serves_requests_steps_in_when_nobody_else_does() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut worker, main) = (Candidate::new(Holder(1)), Candidate::new(Holder(2)));
        assert_eq!(stand(&main, &shared, 0), Standing::Steward);
        worker.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&worker, &shared, 3500), Standing::Other);
        assert!(!Lease::is_held(&shared, &names, Monotonic(3500)).unwrap());
        assert_eq!(stand(&worker, &shared, 4000), Standing::Steward);
    }

    #[test]
    fn whoever_loses_the_race_is_not_steward() {
        let shared = Memory::default();
        shared.conflict_next(1);
        assert_eq!(stand(&Candidate::new(Holder(1)), &shared, 0), Standing::Other);
    }
}
