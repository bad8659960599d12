//! Shared data of one thread, and somebody who comes in between.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use tollkeeper::shared::{Expected, HostFailure, SharedData, Swap, Value, Version};

#[derive(Debug, Default, Clone)]
pub(super) struct Shared {
    values: RefCell<BTreeMap<String, Value>>,
    writes: Cell<u32>,
}

impl SharedData for Shared {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        Ok(self.values.borrow().get(name).cloned())
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        if Expected::from_read(self.get(name)?.as_ref()) != expected {
            return Ok(Swap::Conflict);
        }
        self.writes.set(self.writes.get().wrapping_add(1));
        let value = Value { bytes: value.to_vec(), version: Version(self.writes.get()) };
        self.values.borrow_mut().insert(name.to_owned(), value);
        Ok(Swap::Done)
    }
}

/// The same for one who is interrupted before one of his accesses.
pub(super) struct Interrupted<'a> {
    shared: &'a Shared,
    /// Accesses until then.
    left: Cell<Option<u32>>,
    act: &'a dyn Fn(),
}

impl<'a> Interrupted<'a> {
    pub(super) fn new(shared: &'a Shared, moment: u32, act: &'a dyn Fn()) -> Self {
        Self { shared, left: Cell::new(Some(moment)), act }
    }

    fn count(&self) {
        let left = self.left.get();
        self.left.set(left.and_then(|left| left.checked_sub(1)));
        if left == Some(0) {
            (self.act)();
        }
    }
}

impl SharedData for Interrupted<'_> {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        self.count();
        self.shared.get(name)
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        self.count();
        self.shared.swap(name, value, expected)
    }
}
