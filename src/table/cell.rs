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
mod tests {
    use super::{Charge, Order};
    use crate::{
        config::Promise,
        lease::{Patience, Taking},
        limiter::Limit,
        policy::Terms,
        principal::Account,
        purse::Scope,
        refusal::{Denial, Fault, Refusal},
        shared::{
            SharedData,
            memory::{Interleaved, Memory},
        },
        table::{KeyTable, Names, WriteError},
        time::Monotonic,
    };
    use tollkeeper_contract::{
        Digest, Hosts, Quota, TeamRecord, TenantState,
        page::{Cursor, Entry, Table},
    };

    const NOW: Monotonic = Monotonic(1000);

    fn names() -> Names {
        Names::new("test")
    }

    const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };

    const ONE: Order = Order { cost: 1, scope: Scope::Process, patience: Patience::New };

    fn acme() -> Account {
        Account::Team("acme".into())
    }

    fn three() -> Limit {
        Limit::bucket(3, 300)
    }

    fn charge(shared: &impl SharedData, now: Monotonic) -> Result<Charge, Refusal> {
        KeyTable { shared, names: &names(), limits: three().into(), now }.charge(&acme(), &TERMS, ONE)
    }

    fn write(shared: &impl SharedData, state: TenantState, quota: Option<Quota>) {
        let mut record = Vec::new();
        TeamRecord { id: "acme", state, quota, enterprise: None, hosts: Hosts::Shared }.encode(&mut record);
        let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
        let table = KeyTable { shared, names: &names(), limits: three().into(), now: NOW };
        table.apply(&[Entry { cursor, record: Some(&record) }]).unwrap();
    }

    fn take(shared: &impl SharedData) -> Result<bool, Refusal> {
        charge(shared, NOW).map(|charge| matches!(charge.taking, Taking::Taken(_)))
    }

    #[test]
    fn a_team_has_its_quota_and_no_more() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        assert_eq!((0..9).filter(|_| take(&shared) == Ok(true)).count(), 3);
    }

    #[test]
    fn an_unknown_team_gets_no_cell() {
        let shared = Memory::default();
        assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()));
        assert!(shared.names().is_empty());
    }

    #[test]
    fn a_change_of_quota_holds_at_once_and_gives_no_fresh_bucket() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        while take(&shared) == Ok(true) {}
        write(&shared, TenantState::Active, Some(Quota::new(1000, 300).unwrap()));
        assert_eq!(take(&shared), Ok(false));
        let taken = charge(&shared, NOW.after(300));
        assert!(
            matches!(taken, Ok(Charge { taking: Taking::Taken(_), limit, .. }) if limit.quota.limit().get() == 1000),
            "{taken:?}"
        );
    }

    #[test]
    fn what_an_idle_team_saves_up_after_a_change_comes_from_the_new_quota() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, Some(Quota::new(1000, 10).unwrap()));
        while take(&shared) == Ok(true) {}
        write(&shared, TenantState::Active, Some(Quota::new(3, 300).unwrap()));
        let exhausted = charge(&shared, NOW.after(60_000));
        assert!(matches!(exhausted, Ok(Charge { taking: Taking::Refused { wait: 40_000, .. }, .. })), "{exhausted:?}");
    }

    #[test]
    fn a_changed_default_holds_from_the_next_request_on() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        while take(&shared) == Ok(true) {}
        let charge = |now| {
            let limits = Limit::bucket(1000, 300).into();
            KeyTable { shared: &shared, names: &names(), limits, now }.charge(&acme(), &TERMS, ONE)
        };
        assert!(matches!(charge(NOW), Ok(Charge { taking: Taking::Refused { .. }, .. })));
        assert!(matches!(charge(NOW.after(300)), Ok(Charge { taking: Taking::Taken(_), .. })));
    }

    #[test]
    fn a_changed_promise_holds_from_the_next_request_on_and_gives_no_fresh_tokens() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        while take(&shared) == Ok(true) {}
        let charge = |now| {
            let limits = Limit { promise: Promise::Strict, ..three() }.into();
            KeyTable { shared: &shared, names: &names(), limits, now }.charge(&acme(), &TERMS, ONE)
        };
        assert!(matches!(charge(NOW), Ok(Charge { taking: Taking::Refused { wait: 300_001, .. }, .. })));
        assert!(matches!(charge(NOW.after(150_000)), Ok(Charge { taking: Taking::Refused { wait: 150_001, .. }, .. })));
        assert!(
            matches!(charge(NOW.after(300_001)), Ok(Charge { taking: Taking::Taken(_), left, .. }) if left.tokens == 2)
        );
    }

    #[test]
    fn a_disabled_team_is_refused_at_once_and_keeps_its_bucket() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        assert_eq!(take(&shared), Ok(true));
        write(&shared, TenantState::Disabled, None);
        assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()));
        write(&shared, TenantState::Active, None);
        assert_eq!((0..9).filter(|_| take(&shared) == Ok(true)).count(), 2);
    }

    #[test]
    fn contention_is_survived_and_when_it_does_not_end_refused_as_our_fault() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        shared.conflict_next(5);
        assert_eq!(take(&shared), Ok(true));
        shared.conflict_next(u32::MAX);
        assert_eq!(take(&shared), Err(Fault::BucketContended.into()));
    }

    #[test]
    fn a_cell_that_cannot_be_read_is_our_fault() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        shared.put(&names().cell(&acme()), b"nonsense");
        assert_eq!(take(&shared), Err(Fault::TableUnreadable.into()));
    }

    #[test]
    fn a_record_that_changes_at_any_moment_of_the_first_request_is_in_the_cell_afterwards() {
        for moment in 0..6 {
            let shared = Memory::default();
            write(&shared, TenantState::Active, None);
            let change = || write(&shared, TenantState::Disabled, None);
            let interleaved = Interleaved::new(&shared, moment, change);
            let _ = take(&interleaved);
            if interleaved.has_acted() {
                assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()), "changed before access {moment}");
            }
        }
    }

    fn remove(shared: &impl SharedData) -> Result<(), WriteError> {
        let cursor = Cursor { table: Table::Teams, digest: Digest::of(b"acme") };
        let table = KeyTable { shared, names: &names(), limits: three().into(), now: NOW };
        table.apply(&[Entry { cursor, record: None }])
    }

    #[test]
    fn a_removal_that_breaks_off_at_any_moment_and_is_repeated_leaves_nobody_served() {
        for moment in 0..12 {
            let shared = Memory::default();
            write(&shared, TenantState::Active, None);
            assert_eq!(take(&shared), Ok(true));
            // From this access on, every write of the steward fails; a request comes in between.
            let interleaved = Interleaved::new(&shared, moment, || {
                let _ = take(&shared);
                shared.conflict_next(u32::MAX);
            });
            let broken_off = remove(&interleaved).is_err();
            shared.conflict_next(0);
            if broken_off {
                assert_eq!(remove(&shared), Ok(()), "broken off before access {moment}");
            }
            assert_eq!(take(&shared), Err(Denial::TeamDisabled.into()), "broken off before access {moment}");
            write(&shared, TenantState::Active, None);
            assert_eq!(take(&shared), Ok(true), "made again after {moment}");
        }
    }

    #[test]
    fn a_team_that_goes_leaves_an_empty_cell() {
        let shared = Memory::default();
        write(&shared, TenantState::Active, None);
        assert_eq!(take(&shared), Ok(true));
        remove(&shared).unwrap();
        assert_eq!(shared.get(&names().cell(&acme())).unwrap().unwrap().bytes, b"");
    }
}
