//! The cell of a team or an enterprise: its purse and a copy of its record in one shared-data value, so that one
//! compare-and-swap charges it exactly and sees its present state.
//!
//! A cell is made by the first request that is served. The steward copies a changed record into the cell *after*
//! the shard; whoever makes a cell looks at the shard *again* afterwards. Whichever comes last sees the other, so no
//! cell keeps an old record.
//!
//! Whoever is removed is marked as gone in the cell *before* the shard: a steward that breaks off in between, and one
//! that does it again, leave no cell that would go on serving.

use crate::{
    lease::{Patience, Signal, Taking},
    limiter::{Left, Limit},
    policy::{Tenant, Terms},
    principal::Account,
    purse::{Purse, Scope, Taken},
    refusal::{Fault, Refusal},
    shared::{Expected, SharedData, Swap, Value},
};

use super::{KeyTable, WriteError};

/// How often a compare-and-swap is tried before giving up. Each failure means that somebody else succeeded, so this
/// many in a row need this many other requests of the same team within microseconds.
pub(super) const ATTEMPTS: u32 = 256;

/// What stands in the cell of whoever is being removed.
const GONE: &[u8] = b"gone";

/// A purse and the encoded record of whoever it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The tokens.
    pub purse: Purse,
    /// The encoded record, of a team or of an enterprise.
    pub record: Vec<u8>,
}

/// What a request wants of the account that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// How many tokens.
    pub cost: u32,
    /// Over what the quota holds.
    pub scope: Scope,
    /// Whether the request may wait for tokens to be lent.
    pub patience: Patience,
}

/// What a charged request gets to know about its quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Whether there were enough tokens; if not, nothing was taken.
    pub taking: Taking,
    /// The limit.
    pub limit: Limit,
    /// What is left.
    pub left: Left,
    /// Whether the steward is to be told that more are wanted.
    pub signal: Signal,
}

/// What became of one attempt to charge a cell.
enum Attempt {
    /// The cell was as it was read, and is charged.
    Confirmed(Charge),
    /// There was nothing to write, so nothing says that the cell was as it was read.
    Unchanged(Charge),
    /// Somebody else was faster.
    Conflict,
}

impl<Shared: SharedData> KeyTable<'_, Shared> {
    /// Takes tokens from the purse of `account`, if it is served on these terms.
    ///
    /// # Errors
    /// When the account is gone or not served, too many others were faster, or the host fails. Nothing is taken then.
    pub fn charge(&self, account: &Account, terms: &Terms<'_>, order: Order) -> Result<Charge, Refusal> {
        let name = self.names.cell(account);
        // It decides nothing unless it is confirmed, so whatever else comes of it is found out again.
        if let Some(guess) = self.shared.guess(&name)
            && let Ok(Attempt::Confirmed(charge)) = self.try_charge(account, terms, order, &name, Some(guess))
        {
            return Ok(charge);
        }
        for _ in 0..ATTEMPTS {
            let read = self.shared.get(&name)?;
            match self.try_charge(account, terms, order, &name, read)? {
                Attempt::Confirmed(charge) | Attempt::Unchanged(charge) => return Ok(charge),
                Attempt::Conflict => {}
            }
        }
        Err(Fault::BucketContended.into())
    }

    /// Charges the cell as it was read.
    fn try_charge(
        &self,
        account: &Account,
        terms: &Terms<'_>,
        order: Order,
        name: &str,
        read: Option<Value>,
    ) -> Result<Attempt, Refusal> {
        if read.as_ref().is_some_and(|value| value.bytes == GONE) {
            return Err(terms.unknown(account).into());
        }
        let expected = Expected::from_read(read.as_ref());
        let known = read.filter(|value| !value.bytes.is_empty());
        let is_new = known.is_none();
        let cell = match known {
            Some(value) => Cell::decode(&value.bytes).ok_or(Fault::TableUnreadable)?,
            None => self.first_cell(account, terms, order.scope)?,
        };
        let tenant = Tenant::decode(account, &cell.record)?;
        terms.check(&tenant)?;
        let limit = self.limit_of(&tenant);
        let Taken { taking, signal, left, changed } =
            cell.purse.take(limit, order.scope, self.now, order.cost, order.patience);
        let charge = Charge { taking, limit, left, signal };
        let Some(purse) = changed else { return Ok(Attempt::Unchanged(charge)) };
        let next = Cell { purse, record: cell.record };
        if self.shared.swap_own(name, &next.encode(), expected)? == Swap::Conflict {
            return Ok(Attempt::Conflict);
        }
        if is_new {
            self.confirm_cell(account, &next.record)?;
        }
        Ok(Attempt::Confirmed(charge))
    }

    fn first_cell(&self, account: &Account, terms: &Terms<'_>, scope: Scope) -> Result<Cell, Refusal> {
        let record = self.find_account(account)?.ok_or_else(|| terms.unknown(account))?;
        let limit = self.limit_of(&Tenant::decode(account, &record)?);
        Ok(Cell { purse: Purse::fresh(limit, scope, self.now), record })
    }

    fn limit_of(&self, tenant: &Tenant<'_>) -> Limit {
        self.limits.of(tenant.quota())
    }

    /// Looks at the shard once more after a cell was made from it. A cell that cannot be confirmed does not stay.
    fn confirm_cell(&self, account: &Account, copied: &[u8]) -> Result<(), Refusal> {
        let confirmed = self.find_account(account).and_then(|present| {
            if present.as_deref() == Some(copied) {
                return Ok(());
            }
            self.refresh_cell(account, present.as_deref()).map_err(|_| Fault::BucketContended.into())
        });
        if confirmed.is_err() {
            let _ = self.refresh_cell(account, None);
        }
        confirmed
    }

    /// Marks the cell of whoever is about to be removed, whether it was made already or not.
    ///
    /// # Errors
    /// When the host fails, or others were faster too often.
    pub(super) fn mark_gone(&self, account: &Account) -> Result<(), WriteError> {
        let name = self.names.cell(account);
        for _ in 0..ATTEMPTS {
            let read = self.shared.get(&name)?;
            if self.shared.swap(&name, GONE, Expected::from_read(read.as_ref()))? == Swap::Done {
                return Ok(());
            }
        }
        Err(WriteError::Superseded)
    }

    /// Copies the present record of a team or an enterprise into its cell, if it has one; without a record the cell is emptied.
    ///
    /// The tokens stay what they are, and refill under the new quota from this moment on.
    ///
    /// # Errors
    /// When the host fails, or others were faster too often.
    pub(super) fn refresh_cell(&self, account: &Account, record: Option<&[u8]>) -> Result<(), WriteError> {
        let name = self.names.cell(account);
        for _ in 0..ATTEMPTS {
            let Some(value) = self.shared.get(&name)?.filter(|value| !value.bytes.is_empty()) else { return Ok(()) };
            let next = match (Cell::decode(&value.bytes), record) {
                (Some(cell), Some(record)) => {
                    let limit = self.limit_of(&Tenant::decode(account, record)?);
                    Cell { purse: cell.purse.at(limit, self.now), record: record.to_vec() }.encode()
                }
                (None, _) | (_, None) => Vec::new(),
            };
            if self.shared.swap(&name, &next, Expected::Version(value.version))? == Swap::Done {
                return Ok(());
            }
        }
        Err(WriteError::Superseded)
    }
}

impl Cell {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.purse.encode(&mut bytes);
        bytes.extend(&self.record);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (purse, record) = Purse::decode(bytes)?;
        Some(Self { purse, record: record.to_vec() })
    }
}

#[cfg(test)]
mod tests;
