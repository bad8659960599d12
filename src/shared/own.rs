//! What this VM wrote last, guessed to be there still: a charge then needs no look at the cell before its swap.
//!
//! The host numbers all writings of a process in turn, and does not tell a writer its number. If nobody else has written since
//! the last number that was read here, each writing has the next one. That is a guess, but never one too high: the writing came after that
//! number was given, so its own is the guess or greater. And a value only ever gets greater numbers. So a swap that expects the
//! guess finds this very writing, or fails; what another has written since cannot be taken for it.
//!
//! All of that is so with Envoy's numbers (proxy-wasm-cpp-host, `SharedData::nextCas`). Whether this host's are such is found out
//! first ([`are_in_turn`]): of numbers that began anew with each name, a guess could be too high.
//!
//! Where other workers are busy too, many guesses are wrong, and a swap in vain costs a third of what a look does: where more
//! than a third are, more and more charges look at once. Numbers come round again after 2^32 writings, which take much longer than it
//! is until all of this is forgotten.

use super::{Expected, HostFailure, SharedData, Swap, Value, Version};

/// How many values are kept.
const SLOTS: usize = 64;

/// The longest value that is kept: the cell of a busy team under a strict promise may be longer.
const LONGEST: usize = 1024;

/// From this on, pauses get no longer.
const MOST_WRONG: u8 = 5;

/// So many ticks, and all is forgotten.
const TICKS: u8 = 50;

/// Names that hold nothing; that they are written is all.
const TURNS: [&str; 2] = ["tk/turns/1", "tk/turns/2"];

/// Whether the host numbers all writings in turn, and not those of each name by themselves. `false` also if other VMs find
/// it out at the same moment.
///
/// # Errors
/// When the host fails.
pub fn are_in_turn(shared: &impl SharedData) -> Result<bool, HostFailure> {
    let mut before = None;
    // Numbers of their own: the first name is written twice as often, so the second has the lowest.
    for name in [TURNS[0], TURNS[1], TURNS[0]] {
        let expected = Expected::from_read(shared.get(name)?.as_ref());
        if shared.swap(name, &[], expected)? == Swap::Conflict {
            return Ok(false);
        }
        let number = shared.get(name)?.map(|value| value.version.0);
        if number <= before {
            return Ok(false);
        }
        before = number;
    }
    Ok(true)
}

/// What one VM wrote lately.
#[derive(Debug, Default)]
pub struct Own {
    /// No less than this was the last number given, if one was read since it was certainly too low.
    latest: Option<u32>,
    slots: Vec<Option<Written>>,
    /// The last version that was guessed, until it is known whether it is right.
    guessed: Option<Version>,
    /// Twice how many guesses were wrong, less how many were right since.
    wrong: u8,
    /// For how many charges nothing is guessed.
    pause: u8,
    ticks: u8,
}

#[derive(Debug)]
struct Written {
    name: Box<str>,
    value: Value,
}

/// What is to be done after a writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Rest,
    /// It is to be read again, so that its number is known: those of the next follow from it.
    Read,
}

impl Own {
    /// Time goes on.
    pub fn tick(&mut self) {
        self.ticks = self.ticks.saturating_add(1);
        if self.ticks > TICKS {
            *self = Self::default();
        }
    }

    /// What may be under `name`.
    pub fn guess(&mut self, name: &str) -> Option<Value> {
        if let Some(left) = self.pause.checked_sub(1) {
            self.pause = left;
            return None;
        }
        let slot = self.slots.get_mut(slot(name))?;
        // Whatever comes of it, it will be there no longer.
        let value = slot.take_if(|written| *written.name == *name)?.value;
        self.guessed = Some(value.version);
        Some(value)
    }

    /// What was expected to be there was not.
    pub fn note_conflict(&mut self) {
        if self.guessed.take().is_none() {
            return;
        }
        // Others have written. Once it is worth a look how far that went; if they go on, it is not.
        if self.wrong == 0 {
            self.latest = None;
        }
        self.pause = (1_u8 << self.wrong).saturating_sub(1);
        self.wrong = self.wrong.saturating_add(2).min(MOST_WRONG);
    }

    /// This was written over what was `expected`.
    pub fn note_written(&mut self, name: &str, bytes: &[u8], expected: Expected) -> Next {
        let Some(latest) = self.latest else { return Next::Read };
        let read = match expected {
            Expected::Version(version) => version.0,
            Expected::Absent => 0,
        };
        if self.guessed.take() == Some(Version(read)) {
            self.wrong = self.wrong.saturating_sub(1);
        }
        self.latest = latest.max(read).checked_add(1);
        if let Some(next) = self.latest {
            self.keep(name, Value { bytes: bytes.to_vec(), version: Version(next) });
        }
        Next::Rest
    }

    /// This was read.
    pub fn note_read(&mut self, name: &str, value: Value) {
        self.latest = Some(value.version.0);
        self.keep(name, value);
    }

    fn keep(&mut self, name: &str, value: Value) {
        if value.bytes.len() > LONGEST {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        if let Some(slot) = self.slots.get_mut(slot(name)) {
            *slot = Some(Written { name: name.into(), value });
        }
    }
}

/// The slot of a name (FNV-1a).
fn slot(name: &str) -> usize {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    name.bytes().fold(0x811c_9dc5, mix) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
    };

    use super::{Next, Own, TICKS, are_in_turn};
    use crate::shared::{Expected, HostFailure, SharedData, Swap, Value, Version, memory::Memory};
    use proptest::prelude::*;

    /// A VM that counts under names, as charges do.
    struct Vm<'a> {
        process: &'a Memory,
        own: RefCell<Own>,
        looks: Cell<u32>,
        vain: Cell<u32>,
    }

    impl<'a> Vm<'a> {
        fn new(process: &'a Memory) -> Self {
            Self { process, own: RefCell::default(), looks: Cell::new(0), vain: Cell::new(0) }
        }

        fn count(&self, name: &str) {
            let guess = self.own.borrow_mut().guess(name);
            if let Some(guess) = guess {
                let present = self.process.get(name).unwrap();
                let expected = Expected::Version(guess.version);
                if self.swap(name, &one_more(&guess.bytes), expected) == Swap::Done {
                    assert_eq!(present, Some(guess));
                    return;
                }
                self.vain.set(self.vain.get() + 1);
            }
            self.looks.set(self.looks.get() + 1);
            let read = self.process.get(name).unwrap();
            let next = one_more(read.as_ref().map_or(&[0; 4], |value| &value.bytes));
            assert_eq!(self.swap(name, &next, Expected::from_read(read.as_ref())), Swap::Done);
        }

        fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Swap {
            let swap = self.process.swap(name, value, expected).unwrap();
            match swap {
                Swap::Done => {
                    let next = self.own.borrow_mut().note_written(name, value, expected);
                    if next == Next::Read {
                        self.looks.set(self.looks.get() + 1);
                        self.own.borrow_mut().note_read(name, self.process.get(name).unwrap().unwrap());
                    }
                }
                Swap::Conflict => self.own.borrow_mut().note_conflict(),
            }
            swap
        }
    }

    /// A host that counts the writings of each name by themselves.
    #[derive(Default)]
    struct Apart(RefCell<BTreeMap<String, u32>>);

    impl SharedData for Apart {
        fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
            let version = self.0.borrow().get(name).copied().map(Version);
            Ok(version.map(|version| Value { bytes: Vec::new(), version }))
        }

        fn swap(&self, name: &str, _: &[u8], _: Expected) -> Result<Swap, HostFailure> {
            *self.0.borrow_mut().entry(name.to_owned()).or_default() += 1;
            Ok(Swap::Done)
        }
    }

    #[test]
    fn numbers_that_begin_anew_with_each_name_are_told_from_those_in_turn_however_often_it_is_asked() {
        let (process, apart) = (Memory::default(), Apart::default());
        for _ in 0..5 {
            assert_eq!((are_in_turn(&process), are_in_turn(&apart)), (Ok(true), Ok(false)));
            process.put("other", &[1]);
        }
        process.conflict_next(1);
        assert_eq!(are_in_turn(&process), Ok(false));
    }

    fn one_more(bytes: &[u8]) -> Vec<u8> {
        (u32::from_le_bytes(bytes.try_into().unwrap()) + 1).to_le_bytes().to_vec()
    }

    #[test]
    fn a_vm_that_writes_alone_looks_once_for_each_name_and_its_number_and_some_seconds_later_again() {
        let process = Memory::default();
        let vm = Vm::new(&process);
        for looks in [4, 8] {
            for name in ["a", "b", "c"].repeat(50) {
                vm.count(name);
            }
            assert_eq!((vm.looks.get(), vm.vain.get()), (looks, 0));
            (0..=TICKS).for_each(|_| vm.own.borrow_mut().tick());
        }
    }

    #[test]
    fn a_vm_is_soon_right_again_after_somebody_else_has_written() {
        let process = Memory::default();
        let vm = Vm::new(&process);
        for round in 0..20 {
            for name in ["a", "b", "c"].repeat(50) {
                vm.count(name);
            }
            process.put("other", &[round]);
        }
        assert!(vm.vain.get() <= 3 * 20 && vm.looks.get() <= 20 * 20, "{} {}", vm.vain.get(), vm.looks.get());
    }

    #[test]
    fn a_vm_among_others_that_write_as_often_seldom_swaps_in_vain() {
        let process = Memory::default();
        let (vm, other) = (Vm::new(&process), Vm::new(&process));
        for _ in 0..1000 {
            vm.count("a");
            other.count("b");
        }
        assert!(vm.vain.get() < 50, "{}", vm.vain.get());
    }

    proptest! {
        #[test]
        fn whatever_several_vms_write_in_turn_nothing_is_lost(steps in proptest::collection::vec((0..3_usize, 0..5_usize), 0..200)) {
            let process = Memory::default();
            let vms = [Vm::new(&process), Vm::new(&process), Vm::new(&process)];
            let (names, mut counted) = (["a", "b", "c", "d"], [0_u32; 4]);
            for (vm, what) in steps {
                match names.get(what) {
                    Some(name) => {
                        vms[vm].count(name);
                        counted[what] += 1;
                    }
                    None => (0..=TICKS).for_each(|_| vms[vm].own.borrow_mut().tick()),
                }
            }
            for (name, counted) in names.iter().zip(counted) {
                let value = process.get(name).unwrap().map_or(vec![0; 4], |value| value.bytes);
                prop_assert_eq!(value, counted.to_le_bytes());
            }
        }
    }
}
