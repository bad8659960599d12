//! Who is steward: a lease in shared data, taken and renewed by compare-and-swap.
//!
//! Envoy runs one VM per worker and one on the main thread, which never serves a request and is therefore the one
//! that should do this work. No VM can ask which thread it is on, but each knows whether it has served a request:
//! those that have hand the lease over, and take it only when nobody else has for a while; then they keep it until one comes
//! that has not. So a steward whose VM has trapped is replaced in any case, and by one that stays.
//!
//! A configuration that was replaced lives on until its last connection is drained, ten minutes by default. The lease
//! says what its holder's configuration is and when it was born, and a later one takes over at once: it may know better
//! how to reach the key service.

use crate::{
    shared::{Expected, HostFailure, SharedData, Swap},
    table::Names,
    time::Monotonic,
};

/// How long a VM that serves requests leaves a free lease to others, in milliseconds: they tick meanwhile.
const RESTRAINT: u64 = 150;

/// All VMs get a configuration within this time, in milliseconds: a VM with the same one that is born later belongs to
/// a later push, for example of a newer module.
const ONE_PUSH: u64 = 1000;

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

/// How long a steward that stays silent keeps its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// With [`RESTRAINT`] and a tick, less than the second that requests wait for tokens by default, so that they outlive a
    /// steward that has trapped.
    Usual,
    /// Whoever took over would read the whole snapshot anew. A page takes one step, which looks at every shard that the page passes
    /// by: on a loaded machine whose log tells of each, for seconds.
    OfSnapshot,
}

impl Term {
    /// In milliseconds.
    const fn length(self) -> u64 {
        match self {
            Self::Usual => 600,
            Self::OfSnapshot => 10_000,
        }
    }

    /// Whether a lease until then need not be written anew: it has enough left, and not more than this term allows. One of
    /// [`Self::OfSnapshot`] is cut short as soon as the snapshot is read.
    fn leaves(self, until: Monotonic, now: Monotonic) -> bool {
        let renewed_below = match self {
            Self::Usual => 400,
            Self::OfSnapshot => 9_000,
        };
        now.after(renewed_below) < until && until <= now.after(self.length())
    }
}

/// The lease as it stands in shared data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    holder: Holder,
    until: Monotonic,
    generation: Generation,
    calling: Calling,
}

/// A configuration in the order of pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation {
    /// A number that differs from that of every other configuration.
    pub configuration: u64,
    /// When this VM first ticked with it.
    pub born: Monotonic,
}

impl Generation {
    fn is_after(self, other: Self) -> bool {
        let later = self.born > other.born && self.configuration != other.configuration;
        later || self.born >= other.born.after(ONE_PUSH)
    }
}

/// The holder of a lease that was handed over.
const NOBODY: Holder = Holder(0);

impl Lease {
    /// How long a steward may be silent before another takes its place, in milliseconds.
    pub const TERM: u64 = Term::Usual.length();

    /// Whether somebody is steward.
    ///
    /// # Errors
    /// When the host fails.
    pub fn is_held(shared: &impl SharedData, names: &Names, now: Monotonic) -> Result<bool, HostFailure> {
        let lease = shared.get(&names.steward())?.and_then(|value| Self::decode(&value.bytes));
        Ok(lease.is_some_and(|lease| lease.until > now && lease.holder != NOBODY))
    }

    fn encode(self) -> Vec<u8> {
        let Generation { configuration, born } = self.generation;
        let calling = u64::from(self.calling == Calling::Serving);
        [self.holder.0, self.until.0, configuration, born.0, calling].into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks() else { return None };
        let [holder, until, configuration, born, calling] = numbers else { return None };
        let number = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
        Some(Self {
            holder: Holder(number(holder)),
            until: Monotonic(number(until)),
            generation: Generation { configuration: number(configuration), born: Monotonic(number(born)) },
            calling: if number(calling) == 0 { Calling::Idle } else { Calling::Serving },
        })
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
    generation: Generation,
    calling: Calling,
}

impl Candidate {
    pub(super) fn new(me: Holder, generation: Generation) -> Self {
        Self { me, generation, calling: Calling::Idle }
    }

    pub(super) fn stand(
        &self,
        shared: &impl SharedData,
        names: &Names,
        term: Term,
        now: Monotonic,
    ) -> Result<Standing, HostFailure> {
        let name = names.steward();
        let read = shared.get(&name)?;
        let expected = Expected::from_read(read.as_ref());
        if let Some(lease) = read.and_then(|value| Lease::decode(&value.bytes)) {
            if lease.holder == self.me && term.leaves(lease.until, now) {
                return Ok(Standing::Steward);
            }
            if now < self.may_claim_from(lease) {
                return Ok(Standing::Other);
            }
        }
        let Self { me: holder, generation, calling } = *self;
        let mine = Lease { holder, until: now.after(term.length()), generation, calling };
        match shared.swap(&name, &mine.encode(), expected)? {
            Swap::Done => Ok(Standing::Steward),
            Swap::Conflict => Ok(Standing::Other),
        }
    }

    /// Whether this VM is steward at this very moment, as [`Fenced`](super::fence::Fenced) needs to know.
    pub(super) fn holds(me: Holder, shared: &impl SharedData, names: &Names) -> Result<bool, HostFailure> {
        let lease = shared.get(&names.steward())?.and_then(|value| Lease::decode(&value.bytes));
        Ok(lease.is_some_and(|lease| lease.holder == me))
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
        let free = Lease { holder: NOBODY, ..lease };
        let _ = shared.swap(&name, &free.encode(), Expected::Version(value.version))?;
        Ok(())
    }

    fn may_claim_from(&self, lease: Lease) -> Monotonic {
        let at_once = Monotonic(0);
        let stepped_in = lease.calling == Calling::Serving && !lease.generation.is_after(self.generation);
        match self.calling {
            _ if lease.holder == self.me => at_once,
            Calling::Idle if lease.holder == NOBODY || stepped_in => at_once,
            Calling::Idle if self.generation.is_after(lease.generation) => at_once,
            Calling::Idle => lease.until,
            Calling::Serving => lease.until.after(RESTRAINT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Candidate, Generation, Holder, Lease, Standing, Term};
    use crate::{shared::memory::Memory, table::Names, time::Monotonic};

    fn candidate(holder: u64, born: u64) -> Candidate {
        Candidate::new(Holder(holder), Generation { configuration: 7, born: Monotonic(born) })
    }

    fn stand(candidate: &Candidate, shared: &Memory, now: u64) -> Standing {
        candidate.stand(shared, &Names::new("test"), Term::Usual, Monotonic(now)).unwrap()
    }

    #[test]
    fn there_is_one_steward_and_another_when_it_falls_silent() {
        let shared = Memory::default();
        let (one, other) = (candidate(1, 0), candidate(2, 0));
        assert_eq!(stand(&one, &shared, 0), Standing::Steward);
        assert_eq!(stand(&other, &shared, 100), Standing::Other);
        assert_eq!(stand(&one, &shared, 300), Standing::Steward, "renewed");
        assert_eq!(stand(&other, &shared, 899), Standing::Other);
        assert_eq!(stand(&other, &shared, 900), Standing::Steward);
        assert_eq!(stand(&one, &shared, 901), Standing::Other);
    }

    #[test]
    fn a_steward_that_reads_a_snapshot_may_be_late_without_losing_it() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (one, other) = (candidate(1, 0), candidate(2, 0));
        let reads = |now| one.stand(&shared, &names, Term::OfSnapshot, Monotonic(now)).unwrap();
        assert_eq!(stand(&one, &shared, 0), Standing::Steward);
        assert_eq!(reads(100), Standing::Steward);
        assert_eq!(stand(&other, &shared, 9_900), Standing::Other);
        assert_eq!(reads(10_000), Standing::Steward);
        assert_eq!(stand(&one, &shared, 10_100), Standing::Steward);
        assert_eq!(stand(&other, &shared, 20_000), Standing::Steward, "it never came back");
    }

    #[test]
    fn a_steward_that_traps_when_the_snapshot_is_read_is_replaced_as_soon_as_any_other() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (one, other) = (candidate(1, 0), candidate(2, 0));
        assert_eq!(one.stand(&shared, &names, Term::OfSnapshot, Monotonic(0)).unwrap(), Standing::Steward);
        assert_eq!(stand(&one, &shared, 100), Standing::Steward, "it has read it");
        assert_eq!(stand(&other, &shared, 699), Standing::Other);
        assert_eq!(stand(&other, &shared, 700), Standing::Steward);
    }

    #[test]
    fn a_vm_that_serves_requests_hands_over_to_one_that_does_not() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut worker, main) = (candidate(1, 0), candidate(2, 0));
        assert_eq!(stand(&worker, &shared, 0), Standing::Steward);
        worker.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&worker, &shared, 10), Standing::Other);
        assert_eq!(stand(&main, &shared, 10), Standing::Steward);
    }

    #[test]
    fn a_vm_that_serves_requests_steps_in_when_nobody_else_does() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut worker, main) = (candidate(1, 0), candidate(2, 0));
        assert_eq!(stand(&main, &shared, 0), Standing::Steward);
        worker.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&worker, &shared, 700), Standing::Other);
        assert!(!Lease::is_held(&shared, &names, Monotonic(700)).unwrap());
        assert_eq!(stand(&worker, &shared, 750), Standing::Steward);
    }

    #[test]
    fn a_vm_that_stepped_in_is_replaced_at_once_by_one_that_serves_no_requests() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut worker, main) = (candidate(1, 0), candidate(2, 0));
        worker.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&worker, &shared, 0), Standing::Steward);
        assert_eq!(stand(&worker, &shared, 300), Standing::Steward);
        assert_eq!(stand(&main, &shared, 310), Standing::Steward);
        assert_eq!(stand(&worker, &shared, 400), Standing::Other);
    }

    #[test]
    fn where_all_vms_serve_requests_the_one_that_stepped_in_stays() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (mut one, mut other) = (candidate(1, 0), candidate(2, 0));
        one.yield_to_idle(&shared, &names).unwrap();
        other.yield_to_idle(&shared, &names).unwrap();
        for now in (0..60_000).step_by(100) {
            assert_eq!(stand(&one, &shared, now), Standing::Steward, "{now}");
            assert_eq!(stand(&other, &shared, now + 50), Standing::Other, "{now}");
        }
    }

    #[test]
    fn an_earlier_configuration_takes_nothing_from_a_later_one_whose_vms_all_serve_requests() {
        let (shared, names) = (Memory::default(), Names::new("test"));
        let (old, mut new) = (candidate(1, 0), candidate(2, 60_000));
        new.yield_to_idle(&shared, &names).unwrap();
        assert_eq!(stand(&new, &shared, 60_000), Standing::Steward);
        assert_eq!(stand(&old, &shared, 60_100), Standing::Other);
    }

    #[test]
    fn a_later_configuration_takes_over_at_once_and_an_earlier_one_never() {
        let shared = Memory::default();
        let (old, same, new) = (candidate(1, 0), candidate(2, 999), candidate(3, 60_000));
        assert_eq!(stand(&old, &shared, 60_000), Standing::Steward);
        assert_eq!(stand(&same, &shared, 60_050), Standing::Other, "another VM of the same configuration");
        assert_eq!(stand(&new, &shared, 60_100), Standing::Steward);
        assert_eq!(stand(&old, &shared, 60_200), Standing::Other);
    }

    #[test]
    fn another_configuration_takes_over_however_soon_it_comes() {
        let (shared, old) = (Memory::default(), candidate(1, 0));
        let new = Candidate::new(Holder(2), Generation { configuration: 8, born: Monotonic(300) });
        assert_eq!(stand(&old, &shared, 300), Standing::Steward);
        assert_eq!(stand(&new, &shared, 300), Standing::Steward);
        assert_eq!(stand(&old, &shared, 400), Standing::Other);
    }

    #[test]
    fn whoever_loses_the_race_is_not_steward() {
        let shared = Memory::default();
        shared.conflict_next(1);
        assert_eq!(stand(&candidate(1, 0), &shared, 0), Standing::Other);
    }
}
