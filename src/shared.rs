//! What the filter asks of Envoy's shared data, so that everything built on it can be tested without Envoy.

mod own;

use std::fmt;

pub use own::{Next, Own, are_in_turn};

/// Envoy's shared data: values under names, seen by all VMs of one process.
pub trait SharedData {
    /// The value of `name`, and which writing of it this is; `None` if it was never written.
    ///
    /// # Errors
    /// When the host fails.
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure>;

    /// Writes `name` if nobody has written it since `expected` was read; [`Expected::Absent`] if nobody ever has.
    ///
    /// # Errors
    /// When the host fails.
    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure>;

    /// What may still be under `name`, without a look: only a swap that expects its version can tell. See [`Own`].
    fn guess(&self, _name: &str) -> Option<Value> {
        None
    }

    /// A [`swap`](Self::swap) whose value may be guessed afterwards.
    ///
    /// # Errors
    /// When the host fails.
    fn swap_own(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        self.swap(name, value, expected)
    }
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The bytes; empty stands for "no longer there", because a name can never be removed.
    pub bytes: Vec<u8>,
    /// Which writing of the value this is.
    pub version: Version,
}

/// Which writing of a value was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u32);

/// What a writer believes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nothing was ever written.
    Absent,
    /// This writing is still the last one.
    Version(Version),
}

impl Expected {
    /// What a reader who got `value` believes.
    #[must_use]
    pub fn from_read(value: Option<&Value>) -> Self {
        value.map_or(Self::Absent, |value| Self::Version(value.version))
    }
}

/// What became of a compare-and-swap.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It was written.
    Done,
    /// Somebody else was faster; nothing was written.
    Conflict,
}

/// The host did not do what it is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostFailure;

impl fmt::Display for HostFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call to the host failed")
    }
}

impl std::error::Error for HostFailure {}

#[cfg(test)]
pub(crate) mod memory {
    //! Shared data in memory, with a hook that lets a test act between a read and its write.

    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
    };

    use super::{Expected, HostFailure, SharedData, Swap, Value, Version};

    #[derive(Debug, Clone, Default)]
    pub(crate) struct Memory {
        values: RefCell<BTreeMap<String, Value>>,
        writes: Cell<u32>,
        conflicts: Cell<u32>,
    }

    impl Memory {
        /// The next `count` swaps find that somebody else was faster.
        pub(crate) fn conflict_next(&self, count: u32) {
            self.conflicts.set(count);
        }

        /// Writes without looking.
        pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
            self.writes.set(self.writes.get() + 1);
            let value = Value { bytes: bytes.to_vec(), version: Version(self.writes.get()) };
            self.values.borrow_mut().insert(name.to_owned(), value);
        }

        /// All names with something under them.
        pub(crate) fn names(&self) -> Vec<String> {
            let values = self.values.borrow();
            values.iter().filter(|(_, value)| !value.bytes.is_empty()).map(|(name, _)| name.clone()).collect()
        }
    }

    impl SharedData for Memory {
        fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
            Ok(self.values.borrow().get(name).cloned())
        }

        fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
            if let Some(left) = self.conflicts.get().checked_sub(1) {
                self.conflicts.set(left);
                return Ok(Swap::Conflict);
            }
            if Expected::from_read(self.get(name)?.as_ref()) != expected {
                return Ok(Swap::Conflict);
            }
            self.put(name, value);
            Ok(Swap::Done)
        }
    }

    type Planned<'a> = (usize, Box<dyn FnOnce() + 'a>);

    /// Lets somebody else act at the moment before the n-th access.
    pub(crate) struct Interleaved<'a> {
        shared: &'a Memory,
        act: RefCell<Option<Planned<'a>>>,
    }

    impl<'a> Interleaved<'a> {
        pub(crate) fn new(shared: &'a Memory, moment: usize, act: impl FnOnce() + 'a) -> Self {
            Self { shared, act: RefCell::new(Some((moment, Box::new(act)))) }
        }

        pub(crate) fn has_acted(&self) -> bool {
            self.act.borrow().is_none()
        }

        fn step(&self) {
            let planned = self.act.borrow_mut().take();
            match planned {
                Some((0, act)) => act(),
                Some((left, act)) => *self.act.borrow_mut() = Some((left - 1, act)),
                None => {}
            }
        }
    }

    impl SharedData for Interleaved<'_> {
        fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
            self.step();
            self.shared.get(name)
        }

        fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
            self.step();
            self.shared.swap(name, value, expected)
        }
    }
}
