//! What this VM wrote last, guessed to be there still: a charge then needs no look at the cell before its swap.
//!
//! The host numbers all writings of a process in turn, and does not tell a writer its number. If nobody else has written since
//! the last number that is known here, it is the next one. That is a guess, but never one too high: the writing came after that
//! number was given, so its own is the guess or greater. And a value only ever gets greater numbers. So a swap that expects the
//! guess finds this very writing, or fails; what another has written since cannot be taken for it.
//!
//! Where other workers are busy too, many guesses are wrong, and a swap in vain costs a third of what a look does: after several
//! in a row, more and more charges look at once. Numbers come round again after 2^32 writings, so all of this is forgotten with
//! every tick.

use super::{Expected, Value, Version};

/// How many values are kept.
const SLOTS: usize = 64;

/// The longest value that is kept: the cell of a busy team under a strict promise may be longer.
const LONGEST: usize = 1024;

/// After so many wrong guesses in a row, pauses get no longer.
const MOST_WRONG: u8 = 5;

/// What one VM wrote since the last tick.
#[derive(Debug, Default)]
pub struct Own {
    /// No less than this was the last number given.
    latest: Option<u32>,
    slots: Vec<Option<Written>>,
    /// The last version that was guessed, until it is known whether it is right.
    guessed: Option<Version>,
    /// How many guesses were wrong since the last that was right.
    wrong: u8,
    /// For how many charges nothing is guessed.
    pause: u8,
}

#[derive(Debug)]
struct Written {
    name: Box<str>,
    value: Value,
}

impl Own {
    /// Nothing is guessed any more of what was written until now.
    pub fn forget(&mut self) {
        *self = Self { wrong: self.wrong, pause: self.pause, ..Self::default() };
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
        self.pause = (1_u8 << self.wrong).saturating_sub(1);
        self.wrong = self.wrong.saturating_add(1).min(MOST_WRONG);
    }

    /// This was written over what was `expected`.
    pub fn note_written(&mut self, name: &str, bytes: &[u8], expected: Expected) {
        if let Expected::Version(version) = expected {
            if self.guessed.take() == Some(version) {
                self.wrong = 0;
            }
            self.latest = self.latest.max(Some(version.0));
        }
        let Some(next) = self.latest.and_then(|latest| latest.checked_add(1)) else { return };
        self.latest = Some(next);
        if bytes.len() > LONGEST {
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize_with(SLOTS, || None);
        }
        if let Some(slot) = self.slots.get_mut(slot(name)) {
            let value = Value { bytes: bytes.to_vec(), version: Version(next) };
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
    use std::cell::{Cell, RefCell};

    use super::Own;
    use crate::shared::{Expected, SharedData, Swap, memory::Memory};
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
                Swap::Done => self.own.borrow_mut().note_written(name, value, expected),
                Swap::Conflict => self.own.borrow_mut().note_conflict(),
            }
            swap
        }
    }

    fn one_more(bytes: &[u8]) -> Vec<u8> {
        (u32::from_le_bytes(bytes.try_into().unwrap()) + 1).to_le_bytes().to_vec()
    }

    #[test]
    fn a_vm_that_writes_alone_looks_once_for_each_name_and_again_after_each_tick() {
        let process = Memory::default();
        let vm = Vm::new(&process);
        for looks in [3, 6] {
            for name in ["a", "b", "c"].repeat(50) {
                vm.count(name);
            }
            assert_eq!((vm.looks.get(), vm.vain.get()), (looks, 0));
            vm.own.borrow_mut().forget();
        }
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
                    None => vms[vm].own.borrow_mut().forget(),
                }
            }
            for (name, counted) in names.iter().zip(counted) {
                let value = process.get(name).unwrap().map_or(vec![0; 4], |value| value.bytes);
                prop_assert_eq!(value, counted.to_le_bytes());
            }
        }
    }
}
