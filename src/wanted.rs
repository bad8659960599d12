//! The accounts for which the steward is to be asked for tokens; each once, however many requests want some.

use std::{cell::RefCell, collections::BTreeSet};

use crate::principal::Account;

/// What the steward has not been told yet.
#[derive(Debug, Default)]
pub struct Wanted(RefCell<BTreeSet<Account>>);

impl Wanted {
    /// Tokens of this account are wanted.
    pub fn note(&self, account: &Account) {
        if let Ok(mut wanted) = self.0.try_borrow_mut() {
            wanted.insert(account.clone());
        }
    }

    /// Whether there is nobody to be told of.
    pub fn is_empty(&self) -> bool {
        self.0.try_borrow().is_ok_and(|wanted| wanted.is_empty())
    }

    /// All that were noted, to be told.
    pub fn take(&self) -> BTreeSet<Account> {
        self.0.try_borrow_mut().map(|mut wanted| std::mem::take(&mut *wanted)).unwrap_or_default()
    }
}
