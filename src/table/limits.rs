//! What holds for the limits of everybody: the default, and the factor that the operator has set for the time being.

use tollkeeper_contract::{Digest, Factor, LimitsRecord, Quota, page::Table, shard};

use crate::{limiter::Limit, refusal::Refusal, shared::SharedData};

use super::Names;

/// What a limit follows from, besides the quota of whoever it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What holds for a team that has no quota of its own; the promise is for all.
    pub default: Limit,
    /// What every limit is multiplied by.
    pub factor: Factor,
}

impl From<Limit> for Limits {
    /// What follows where the operator has set nothing.
    fn from(default: Limit) -> Self {
        Self { default, factor: Factor::ONE }
    }
}

impl Limits {
    /// The limit of whoever has this quota, or none.
    #[must_use]
    pub fn of(&self, quota: Option<Quota>) -> Limit {
        Limit { quota: self.factor.of(quota.unwrap_or(self.default.quota)), ..self.default }
    }
}

/// The factor that the table has at this moment.
///
/// # Errors
/// When the host fails or the shard cannot be read: never taken for "no factor".
pub fn read_factor(shared: &impl SharedData, names: &Names) -> Result<Factor, Refusal> {
    let digest = Digest::of(LimitsRecord::NAME.as_bytes());
    let Some(value) = shared.get(&names.shard_of(Table::Limits, &digest))? else { return Ok(Factor::ONE) };
    let record = shard::find(&value.bytes, &digest)?.map(LimitsRecord::decode).transpose()?;
    Ok(record.unwrap_or_default().factor)
}

#[cfg(test)]
mod tests {
    use super::{Limits, read_factor};
    use crate::{
        config::Promise,
        lease::{Patience, Taking},
        limiter::Limit,
        policy::Terms,
        principal::Account,
        purse::Scope,
        refusal::Denial,
        shared::memory::Memory,
        table::{Charge, KeyTable, Names, Order},
        time::Monotonic,
    };
    use tollkeeper_contract::{
        Digest, Factor, Hosts, LimitsRecord, Quota, TeamRecord, TenantState,
        page::{Cursor, Entry, Table},
    };

    const NOW: Monotonic = Monotonic(1000);

    /// A node whose default limit is 10 in 1000 seconds.
    struct Node {
        shared: Memory,
        names: Names,
        promise: Promise,
    }

    impl Node {
        fn new(promise: Promise) -> Self {
            let node = Self { shared: Memory::default(), names: Names::new("test"), promise };
            node.put_team("acme", None);
            node
        }

        fn table(&self, now: Monotonic) -> KeyTable<'_, Memory> {
            let default = Limit { quota: Quota::new(10, 1000).unwrap(), promise: self.promise };
            let factor = read_factor(&self.shared, &self.names).unwrap();
            KeyTable { shared: &self.shared, names: &self.names, limits: Limits { default, factor }, now }
        }

        fn put(&self, table: Table, name: &str, record: &[u8]) {
            let cursor = Cursor { table, digest: Digest::of(name.as_bytes()) };
            self.table(NOW).apply(&[Entry { cursor, record: Some(record) }]).unwrap();
        }

        fn put_team(&self, id: &str, quota: Option<Quota>) {
            let mut record = Vec::new();
            TeamRecord { id, state: TenantState::Active, quota, enterprise: None, hosts: Hosts::Shared }
                .encode(&mut record);
            self.put(Table::Teams, id, &record);
        }

        fn set_factor(&self, thousandths: u32) {
            let mut record = Vec::new();
            LimitsRecord { factor: Factor::from_thousandths(thousandths).unwrap() }.encode(&mut record);
            self.put(Table::Limits, LimitsRecord::NAME, &record);
        }

        fn charge(&self, team: &str, now: Monotonic) -> Charge {
            const TERMS: Terms<'_> = Terms { acting: None, foreign: Denial::TeamMismatch, host_of: None };
            const ONE: Order = Order { cost: 1, scope: Scope::Process, patience: Patience::New };
            self.table(now).charge(&Account::Team(team.into()), &TERMS, ONE).unwrap()
        }

        /// The limit that holds, and what is left after one request more.
        fn take(&self, team: &str, now: Monotonic) -> (u32, Option<u64>) {
            let Charge { taking, limit, left, .. } = self.charge(team, now);
            (limit.quota.limit().get(), matches!(taking, Taking::Taken(_)).then_some(left.tokens))
        }
    }

    #[test]
    fn the_factor_holds_for_the_default_and_for_a_quota_of_ones_own() {
        let node = Node::new(Promise::Bucket);
        node.put_team("globex", Some(Quota::new(300, 1000).unwrap()));
        node.set_factor(500);
        assert_eq!((node.take("acme", NOW), node.take("globex", NOW)), ((5, Some(4)), (150, Some(149))));
        node.set_factor(10_000);
        node.put_team("initech", None);
        assert_eq!(node.take("initech", NOW), (100, Some(99)));
    }

    #[test]
    fn a_factor_that_falls_takes_what_is_above_the_new_limit_and_nothing_comes_back_when_it_is_set_back() {
        for promise in [Promise::Bucket, Promise::Strict] {
            let node = Node::new(promise);
            assert_eq!(node.take("acme", NOW), (10, Some(9)));
            node.set_factor(500);
            let lowered = node.take("acme", NOW);
            node.set_factor(1000);
            let back = node.take("acme", NOW);
            match promise {
                Promise::Bucket => assert_eq!((lowered, back), ((5, Some(4)), (10, Some(3)))),
                // What was spent counts against either limit, so here it is told exactly.
                Promise::Strict => assert_eq!((lowered, back), ((5, Some(3)), (10, Some(7)))),
            }
        }
    }

    #[test]
    fn whoever_has_nothing_left_has_nothing_left_under_any_factor() {
        for promise in [Promise::Bucket, Promise::Strict] {
            let node = Node::new(promise);
            while node.take("acme", NOW).1.is_some() {}
            for thousandths in [1, 500, 1000, 10_000, 1, 1000] {
                node.set_factor(thousandths);
                assert_eq!(
                    node.take("acme", NOW).1,
                    (promise == Promise::Strict && thousandths == 10_000).then_some(89)
                );
            }
        }
    }

    #[test]
    fn tokens_come_back_as_fast_as_the_limit_that_holds_has_it() {
        let node = Node::new(Promise::Bucket);
        while node.take("acme", NOW).1.is_some() {}
        node.set_factor(500);
        assert!(matches!(node.charge("acme", NOW), Charge { taking: Taking::Refused { wait: 200_000, .. }, .. }));
        node.set_factor(2000);
        assert!(matches!(node.charge("acme", NOW), Charge { taking: Taking::Refused { wait: 50_000, .. }, .. }));
    }

    #[test]
    fn a_factor_that_cannot_be_read_is_our_fault_and_not_taken_for_none() {
        let node = Node::new(Promise::Bucket);
        let digest = Digest::of(LimitsRecord::NAME.as_bytes());
        node.shared.put(&node.names.shard_of(Table::Limits, &digest), b"nonsense");
        assert!(read_factor(&node.shared, &node.names).is_err());
    }
}
