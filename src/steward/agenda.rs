//! Which accounts the key service is asked about next: for whom tokens are wanted, and whose leases are to be settled.

use std::collections::{BTreeMap, BTreeSet};

use tollkeeper_contract::lease::MAX_ASKS;

use crate::{principal::Account, shared::SharedData, table::KeyTable, time::Monotonic};

/// How old may be what is known of an account of which something is held, in milliseconds; where there are more accounts
/// than this, so many as there are accounts: the key service is asked about a thousand in a second at most.
const FRESH: usize = 400;

/// How much time is between two questions that settle, in milliseconds, less than a tick: so that what is due at about the
/// same time goes together.
const TOGETHER: u64 = 50;

/// Whom to ask about, and when.
#[derive(Debug)]
pub(super) struct Agenda {
    /// For whom tokens are wanted.
    wanted: BTreeSet<Account>,
    /// Who of these was asked about last: where there are more than one question can be about, all take turns.
    turn: Option<Account>,
    /// Who holds a lease, and when it is to be settled.
    held: BTreeMap<Account, Monotonic>,
    /// Nothing is settled before.
    settles_from: Monotonic,
    company: Company,
}

/// Whether there are other nodes, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    None,
    Others,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            wanted: BTreeSet::new(),
            turn: None,
            held: BTreeMap::new(),
            settles_from: Monotonic(0),
            company: Company::Others,
        }
    }

    /// Tokens are wanted for these.
    pub(super) fn want(&mut self, accounts: impl IntoIterator<Item = Account>) {
        self.wanted.extend(accounts);
    }

    /// This one holds a lease, which is to be settled at that time.
    pub(super) fn hold(&mut self, account: Account, due: Monotonic) {
        self.held.insert(account, due);
    }

    /// This one holds nothing that is to be settled.
    pub(super) fn strike_out(&mut self, account: &Account) {
        self.held.remove(account);
    }

    /// All of them.
    pub(super) fn into_accounts(self) -> BTreeSet<Account> {
        let Self { mut wanted, held, .. } = self;
        wanted.extend(held.into_keys());
        wanted
    }

    /// There are so many nodes; gives how often is to be heard of what is held from now on, in milliseconds.
    pub(super) fn note_nodes(&mut self, nodes: u32) -> u64 {
        self.company = if nodes == 1 { Company::None } else { Company::Others };
        self.fresh()
    }

    /// Whom to ask about now: first for whom tokens are wanted, then what is to be settled. Some may come twice.
    pub(super) fn next(&mut self, table: &KeyTable<'_, impl SharedData>) -> Vec<Account> {
        let due = self.due(table);
        if !due.is_empty() {
            self.settles_from = table.now.after(TOGETHER);
        }
        let mut accounts = self.next_wanted();
        accounts.extend(due);
        accounts.truncate(MAX_ASKS);
        accounts
    }

    fn next_wanted(&mut self) -> Vec<Account> {
        let later = match &self.turn {
            Some(turn) => self.wanted.split_off(turn),
            None => BTreeSet::new(),
        };
        let earlier = std::mem::take(&mut self.wanted);
        let mut in_turn = later.into_iter().chain(earlier);
        let next: Vec<_> = in_turn.by_ref().take(MAX_ASKS).collect();
        self.wanted = in_turn.collect();
        self.turn = self.wanted.iter().next().and(next.last().cloned());
        next
    }

    /// What is to be settled.
    fn due(&mut self, table: &KeyTable<'_, impl SharedData>) -> Vec<Account> {
        if table.now < self.settles_from {
            return Vec::new();
        }
        self.put_off(table);
        let due = self.held.iter().filter(|(_, due)| **due <= table.now);
        due.map(|(account, _)| account.clone()).take(MAX_ASKS).collect()
    }

    /// Puts off what is not to be settled yet: it was in use since it was looked at.
    fn put_off(&mut self, table: &KeyTable<'_, impl SharedData>) {
        let fresh = self.fresh();
        for (account, due) in &mut self.held {
            // Whatever is wrong with it shows when it is asked about.
            if *due <= table.now
                && let Ok(Some(time @ 1..)) = table.settles_after(account, fresh)
            {
                *due = table.now.after(time);
            }
        }
    }

    /// How often is to be heard of what is held, in milliseconds: nobody but others changes what is known.
    fn fresh(&self) -> u64 {
        match self.company {
            Company::None => u64::MAX,
            Company::Others => FRESH.max(self.held.len()).try_into().unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_for(teams: usize, nodes: u32) -> u64 {
        let mut agenda = Agenda::new();
        for number in 0..teams {
            agenda.hold(Account::Team(format!("team-{number}")), Monotonic(0));
        }
        agenda.note_nodes(nodes)
    }

    #[test]
    fn beside_other_nodes_what_is_left_is_heard_every_400_ms_and_of_a_thousand_teams_in_a_second_at_most() {
        assert_eq!([0, 1, 400, 401, 2000].map(|teams| known_for(teams, 2)), [400, 400, 400, 401, 2000]);
    }

    #[test]
    fn where_more_accounts_are_wanted_again_and_again_than_a_question_can_be_about_all_take_turns() {
        let mut agenda = Agenda::new();
        let account = |number: usize| Account::Team(format!("team-{number:05}"));
        let (count, mut asked) = (2 * MAX_ASKS + 500, BTreeSet::new());
        agenda.want((0..count).map(account));
        for _ in 0..3 {
            let next = agenda.next_wanted();
            assert_eq!(next.len(), MAX_ASKS);
            agenda.want(next.iter().cloned());
            asked.extend(next);
        }
        assert_eq!(asked.len(), count);
    }

    #[test]
    fn a_lone_node_asks_only_to_renew_what_it_holds() {
        assert_eq!(known_for(1000, 1), u64::MAX);
    }
}
