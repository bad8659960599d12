//! Leases in cells: what the steward asks for an account, and what it is told, each by one compare-and-swap.
//!
//! Unlike other writes of the steward these are not fenced: a lease only goes forward by numbers of its own, so two
//! stewards at once, and one that is late, do no harm.

use std::num::NonZeroU32;

use tollkeeper_contract::lease::Ask;

use crate::{
    config::{Fallback, FleetQuotas},
    lease::{Draft, Fleet, Lease, Reply},
    principal::Account,
    purse::Purse,
    shared::{Expected, HostFailure, SharedData, Swap},
    time::Monotonic,
};

use super::{
    KeyTable, Names, WriteError,
    cell::{ATTEMPTS, Cell},
};

/// What a lease needs after an answer.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// There is nothing to settle.
    AtRest,
    /// It is to be settled again after so many milliseconds.
    DueAfter(u64),
}

impl<Shared: SharedData> KeyTable<'_, Shared> {
    /// Puts the next question about `account`; `None` if no lease is kept for it.
    ///
    /// # Errors
    /// When the host fails, or others were faster too often.
    pub fn ask(&self, account: &Account) -> Result<Option<(Draft, Ask)>, WriteError> {
        self.change_lease(account, |lease| {
            let draft = lease.ask(self.now);
            (draft, lease.to_ask(account.into(), draft))
        })
    }

    /// Takes in what is said about `account`, which is to be heard of again after `fresh` milliseconds; `None` if no lease is
    /// kept for it.
    ///
    /// # Errors
    /// When the host fails, or others were faster too often.
    pub fn take_in(&self, account: &Account, reply: Reply<'_>, fresh: u64) -> Result<Option<Upkeep>, WriteError> {
        self.change_lease(account, |lease| {
            lease.take_in(reply, self.now);
            if lease.is_at_rest() { Upkeep::AtRest } else { Upkeep::DueAfter(lease.settles_after(self.now, fresh)) }
        })
    }

    /// After how many milliseconds the lease of `account` is to be settled, 0 for now, if it is to be heard every `fresh`
    /// milliseconds how much its fleet has left; `None` if none is kept.
    ///
    /// # Errors
    /// When the host fails.
    pub fn settles_after(&self, account: &Account, fresh: u64) -> Result<Option<u64>, HostFailure> {
        Ok(self.read_lease(account)?.map(|lease| lease.settles_after(self.now, fresh)))
    }

    /// Whether a request that waits for something to be lent to `account` should be judged again.
    ///
    /// # Errors
    /// When the host fails.
    pub fn has_news(&self, account: &Account) -> Result<bool, HostFailure> {
        // What cannot be read, or is no lease any more, is for the judgement to say.
        Ok(self.read_lease(account)?.is_none_or(|lease| lease.has_news(self.now)))
    }

    /// The lease of `account`, if one is kept.
    #[cfg(test)]
    pub(crate) fn lease(&self, account: &Account) -> Option<Lease> {
        self.read_lease(account).unwrap().map(|lease| *lease)
    }

    fn read_lease(&self, account: &Account) -> Result<Option<Box<Lease>>, HostFailure> {
        let cell = self.shared.get(&self.names.cell(account))?.and_then(|value| Cell::decode(&value.bytes));
        Ok(match cell {
            Some(Cell { purse: Purse::Lent(lease), .. }) => Some(lease),
            Some(Cell { purse: Purse::Own(_), .. }) | None => None,
        })
    }

    fn change_lease<T>(&self, account: &Account, change: impl Fn(&mut Lease) -> T) -> Result<Option<T>, WriteError> {
        let name = self.names.cell(account);
        for _ in 0..ATTEMPTS {
            let Some(value) = self.shared.get(&name)? else { return Ok(None) };
            let Some(Cell { purse: Purse::Lent(mut lease), record }) = Cell::decode(&value.bytes) else {
                return Ok(None);
            };
            let changed = change(&mut lease);
            let cell = Cell { purse: Purse::Lent(lease), record };
            if self.shared.swap(&name, &cell.encode(), Expected::Version(value.version))? == Swap::Done {
                return Ok(Some(changed));
            }
        }
        Err(WriteError::Superseded)
    }
}

/// What the key service said last of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Company {
    /// How many nodes there are.
    pub nodes: NonZeroU32,
    /// When it said so.
    pub heard: Monotonic,
    /// Once something was heard then or later, every other node knows of this one. Before, their shares and one of this node
    /// together would be more than the whole.
    pub known_from: Monotonic,
}

impl Company {
    /// On what requests are judged by a node that knows so much.
    #[must_use]
    pub fn fleet(known: Option<Self>, quotas: FleetQuotas) -> Fleet {
        let FleetQuotas { wait_ms: wait, fallback, remaining } = quotas;
        let has_share = known.is_some_and(|company| company.heard >= company.known_from);
        let fallback = if has_share { fallback } else { Fallback::Refuse };
        Fleet { wait, fallback, remaining, nodes: known.map(|company| company.nodes) }
    }

    /// `None` before the key service has said anything.
    ///
    /// # Errors
    /// When the host fails.
    pub fn read(shared: &impl SharedData, names: &Names) -> Result<Option<Self>, HostFailure> {
        Ok(shared.get(&names.fleet())?.and_then(|value| Self::decode(&value.bytes)))
    }

    /// Puts it down for all VMs.
    ///
    /// # Errors
    /// When the host fails.
    pub fn write(self, shared: &impl SharedData, names: &Names) -> Result<(), HostFailure> {
        let read = shared.get(&names.fleet())?;
        let Self { nodes, heard, known_from } = self;
        let bytes = [&nodes.get().to_le_bytes()[..], &heard.0.to_le_bytes(), &known_from.0.to_le_bytes()].concat();
        // Who was faster has heard as much.
        let _ = shared.swap(&names.fleet(), &bytes, Expected::from_read(read.as_ref()))?;
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (nodes, bytes) = bytes.split_first_chunk()?;
        let (heard, bytes) = bytes.split_first_chunk()?;
        let nodes = NonZeroU32::new(u32::from_le_bytes(*nodes))?;
        let [heard, known_from] = [*heard, bytes.try_into().ok()?].map(|time| Monotonic(u64::from_le_bytes(time)));
        Some(Self { nodes, heard, known_from })
    }
}
