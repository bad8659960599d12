//! How often a login may fail: per source, and per account for strangers; arithmetic over values and `now`.
//!
//! A failure adds a debt that time pays off. Whoever has run into as much debt as is allowed waits. Outsiders cannot lock
//! the owner of an account out:
//!
//! * From where somebody has logged into an account before, only what fails from there for this very account counts: not
//!   what others fail at, with whom the source is shared.
//! * An account's debt counts only against strangers, and newcomers, from whose site nothing has failed lately, have an
//!   allowance of their own. To use that one up, too, takes a hundred sites.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tollkeeper_contract::Digest;

/// So many failures at once, and another one every so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    burst: u32,
    every: Duration,
}

impl Allowance {
    /// 20 failures at once, and another one every 15 seconds: people mistype, and share addresses.
    pub const OF_SOURCE: Self = Self { burst: 20, every: Duration::from_secs(15) };

    /// 10 failures at once, and another one every 90 seconds.
    pub const OF_ACCOUNT: Self = Self { burst: 10, every: Duration::from_secs(90) };

    /// 100 failures at once, and another one every 10 seconds, each from another site.
    pub const OF_NEWCOMERS: Self = Self { burst: 100, every: Duration::from_secs(10) };

    /// The debt of somebody who used up all but the last failure.
    fn bearable(self) -> Duration {
        self.every.saturating_mul(self.burst.saturating_sub(1))
    }

    fn greatest(self) -> Duration {
        self.every.saturating_mul(self.burst)
    }
}

/// Where attempts come from, as far as they are told apart: one IPv4 address, or the 64 bits of an IPv6 address that
/// a network is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceNetwork(IpAddr);

impl SourceNetwork {
    /// What one owner has at the least effort: one IPv4 address, or the first 48 bits of an IPv6 address.
    fn site(self) -> Self {
        match self.0 {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 80 << 80).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

impl fmt::Display for SourceNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<IpAddr> for SourceNetwork {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// Whether somebody has logged into the account from the source before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// Somebody has.
    Known,
    /// Nobody has, or there is no such account.
    Stranger,
}

/// The account that an attempt is for, whether it exists or not, and who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The digest of its name: names are of any length, and need not be those of accounts.
    pub name: Digest,
    /// Whether the source is known there.
    pub from: Acquaintance,
}

/// The attempts that failed lately, in bounded memory.
#[derive(Debug)]
pub struct Attempts {
    sources: Debts<SourceNetwork>,
    /// Only whether there is any debt counts.
    sites: Debts<SourceNetwork>,
    /// Of sources from which the account is known.
    acquaintances: Debts<(SourceNetwork, [u8; Digest::LENGTH])>,
    accounts: Debts<[u8; Digest::LENGTH]>,
    newcomers: Debts<[u8; Digest::LENGTH]>,
}

impl Attempts {
    /// The most sources, and the most accounts, that are remembered.
    pub const MOST: usize = 50_000;

    /// Nothing has failed yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            sources: Debts::new(Allowance::OF_SOURCE),
            sites: Debts::new(Allowance::OF_SOURCE),
            acquaintances: Debts::new(Allowance::OF_SOURCE),
            accounts: Debts::new(Allowance::OF_ACCOUNT),
            newcomers: Debts::new(Allowance::OF_NEWCOMERS),
        }
    }

    /// Lets an attempt pass, or says how long to wait.
    ///
    /// # Errors
    /// The time to wait, when too much has failed from the source, or for the account.
    pub fn admit(&self, source: SourceNetwork, account: Option<Account>, now: Duration) -> Result<(), Duration> {
        let by_source = || self.sources.wait(&source, now);
        let wait = match account {
            None => by_source(),
            Some(Account { name, from: Acquaintance::Known }) => {
                self.acquaintances.wait(&(source, *name.as_bytes()), now)
            }
            Some(Account { name, from: Acquaintance::Stranger }) => {
                let debts = if self.is_newcomer(source, now) { &self.newcomers } else { &self.accounts };
                by_source().max(debts.wait(name.as_bytes(), now))
            }
        };
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// An attempt failed.
    pub fn failed(&mut self, source: SourceNetwork, account: Option<Account>, now: Duration) {
        match account {
            None => {}
            Some(Account { name, from: Acquaintance::Known }) => {
                self.acquaintances.add((source, *name.as_bytes()), now);
            }
            Some(Account { name, from: Acquaintance::Stranger }) => {
                let debts = if self.is_newcomer(source, now) { &mut self.newcomers } else { &mut self.accounts };
                debts.add(*name.as_bytes(), now);
            }
        }
        self.sources.add(source, now);
        self.sites.add(source.site(), now);
    }

    fn is_newcomer(&self, source: SourceNetwork, now: Duration) -> bool {
        self.sites.debt(&source.site(), now).is_zero()
    }
}

/// Debts, each as the time when it is paid off.
#[derive(Debug)]
struct Debts<K> {
    allowance: Allowance,
    paid_off: HashMap<K, Duration>,
}

impl<K: Eq + Hash> Debts<K> {
    fn new(allowance: Allowance) -> Self {
        Self { allowance, paid_off: HashMap::new() }
    }

    fn debt(&self, key: &K, now: Duration) -> Duration {
        self.paid_off.get(key).map_or(Duration::ZERO, |paid_off| paid_off.saturating_sub(now))
    }

    fn wait(&self, key: &K, now: Duration) -> Duration {
        self.debt(key, now).saturating_sub(self.allowance.bearable())
    }

    fn add(&mut self, key: K, now: Duration) {
        let debt = self.debt(&key, now).saturating_add(self.allowance.every).min(self.allowance.greatest());
        if self.paid_off.len() >= Attempts::MOST && !self.paid_off.contains_key(&key) {
            self.make_room(now);
        }
        self.paid_off.insert(key, now.saturating_add(debt));
    }

    /// Forgets what is paid off; if nothing is, the lesser half of the debts: a flood of sources that failed once
    /// pushes itself out, and not those that somebody waits for.
    fn make_room(&mut self, now: Duration) {
        self.paid_off.retain(|_, paid_off| *paid_off > now);
        if self.paid_off.len() < Attempts::MOST {
            return;
        }
        let mut ends: Vec<_> = self.paid_off.values().copied().collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let median = *median;
        self.paid_off.retain(|_, paid_off| *paid_off > median);
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Acquaintance, Allowance, Attempts, SourceNetwork};
    use std::{net::IpAddr, time::Duration};
    use tollkeeper_contract::Digest;

    const START: Duration = Duration::from_secs(1000);

    fn source(number: u32) -> SourceNetwork {
        SourceNetwork::from(IpAddr::from(number.to_be_bytes()))
    }

    fn account(name: &str, from: Acquaintance) -> Option<Account> {
        Some(Account { name: Digest::of(name.as_bytes()), from })
    }

    /// Fails until it is not let in any more, and says how often that went.
    fn exhaust(attempts: &mut Attempts, source: SourceNetwork, account: Option<Account>, now: Duration) -> u32 {
        let mut failures = 0;
        while attempts.admit(source, account, now).is_ok() {
            attempts.failed(source, account, now);
            failures += 1;
        }
        failures
    }

    #[test]
    fn a_source_waits_after_its_last_failure_and_no_longer_than_it_is_told() {
        let mut attempts = Attempts::none();
        assert_eq!(exhaust(&mut attempts, source(1), None, START), Allowance::OF_SOURCE.burst);
        let wait = attempts.admit(source(1), None, START).unwrap_err();
        assert_eq!(wait, Allowance::OF_SOURCE.every);
        assert!(attempts.admit(source(1), None, START + wait).is_ok());
        assert_eq!(exhaust(&mut attempts, source(1), None, START + wait), 1);
        assert!(attempts.admit(source(2), None, START).is_ok());
    }

    #[test]
    fn all_is_forgiven_in_the_end() {
        let mut attempts = Attempts::none();
        exhaust(&mut attempts, source(1), None, START);
        let later = START + Allowance::OF_SOURCE.greatest();
        assert_eq!(exhaust(&mut attempts, source(1), None, later), Allowance::OF_SOURCE.burst);
    }

    #[test]
    fn an_outsider_from_many_sources_cannot_lock_an_account_out() {
        let mut attempts = Attempts::none();
        let stranger = account("ada", Acquaintance::Stranger);
        let guesses: u32 = (0..50).map(|n| exhaust(&mut attempts, source(n), stranger, START)).sum();
        assert_eq!(guesses, 50 + Allowance::OF_ACCOUNT.burst, "one for each newcomer, and what strangers may");
        assert!(attempts.admit(source(1), stranger, START).is_err());
        assert!(attempts.admit(source(200), stranger, START).is_ok(), "the owner, from somewhere new");
        let more: u32 = (50..1000).map(|n| exhaust(&mut attempts, source(n), stranger, START)).sum();
        assert_eq!(more, 50);
        assert!(attempts.admit(source(2000), stranger, START).is_err(), "a thousand sources are limited too");
        assert!(attempts.admit(source(2000), account("ada", Acquaintance::Known), START).is_ok());
        assert!(attempts.admit(source(200), account("bob", Acquaintance::Stranger), START).is_ok());
    }

    #[test]
    fn whoever_was_there_before_does_not_pay_for_others_at_the_same_address() {
        let mut attempts = Attempts::none();
        exhaust(&mut attempts, source(1), account("nobody", Acquaintance::Stranger), START);
        exhaust(&mut attempts, source(1), account("bob", Acquaintance::Known), START);
        assert!(attempts.admit(source(1), account("ada", Acquaintance::Stranger), START).is_err());
        let failures = exhaust(&mut attempts, source(1), account("ada", Acquaintance::Known), START);
        assert_eq!(failures, Allowance::OF_SOURCE.burst);
    }

    #[test]
    fn an_outsider_with_a_whole_site_is_one_newcomer() {
        let mut attempts = Attempts::none();
        let stranger = account("ada", Acquaintance::Stranger);
        let network = |number: u16| SourceNetwork::from(IpAddr::from([0x2001, 0xdb8, 7, number, 0, 0, 0, 1]));
        let guesses: u32 = (0..1000).map(|number| exhaust(&mut attempts, network(number), stranger, START)).sum();
        assert_eq!(guesses, 1 + Allowance::OF_ACCOUNT.burst);
        assert!(attempts.admit(source(1), stranger, START).is_ok(), "the owner, from somewhere new");
    }

    #[test]
    fn what_the_owner_mistypes_counts_for_the_source_alone() {
        let mut attempts = Attempts::none();
        let failures = exhaust(&mut attempts, source(1), account("ada", Acquaintance::Known), START);
        assert_eq!(failures, Allowance::OF_SOURCE.burst);
        assert!(attempts.admit(source(2), account("ada", Acquaintance::Stranger), START).is_ok());
    }

    #[test]
    fn a_flood_takes_bounded_memory_and_frees_nobody_who_waits() {
        let mut attempts = Attempts::none();
        exhaust(&mut attempts, source(1), None, START);
        for number in 2..60_000 {
            attempts.failed(source(number), account(&number.to_string(), Acquaintance::Stranger), START);
        }
        assert!(attempts.sources.paid_off.len() <= Attempts::MOST);
        assert!(attempts.sites.paid_off.len() <= Attempts::MOST);
        assert!(attempts.accounts.paid_off.len() <= Attempts::MOST);
        assert!(attempts.newcomers.paid_off.len() <= Attempts::MOST);
        assert!(attempts.admit(source(1), None, START).is_err());
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let network = |text: &str| SourceNetwork::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.7"), network("192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
    }
}
