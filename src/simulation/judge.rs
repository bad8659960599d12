//! What must hold of every run, whatever goes wrong in it.

use std::collections::BTreeMap;

use tollkeeper_contract::lease::Ask;

use crate::{
    config::{Promise, Remaining},
    lease::Basis,
    limiter::{Left, Limit},
};

use super::{
    exact::{Exact, Over, UNIT, gain_per_ms},
    service::Service,
};

/// Who counts, and a team's number.
pub(super) type Part = (String, usize);

/// What a node has truly spent of a team's quota.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) lent: u64,
    pub(super) overdrawn: u64,
}

/// Since when a node lives from its share, and what that allows it.
#[derive(Debug, Clone, Copy)]
struct Alone {
    since: u64,
    at: u64,
    limit: Limit,
    nodes: u32,
    /// The most that it ever gained in a millisecond: tokens times [`UNIT`].
    gain: u128,
    /// Tokens for which raised limits left room.
    room: u64,
    spent: u64,
}

/// Counts of what happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) admitted: u64,
    pub(super) tokens: u64,
    /// Tokens that an ideal limiter would have given, where limits do not change.
    pub(super) ideal: u64,
    pub(super) overdrawn: u64,
    pub(super) refused: u64,
    pub(super) unavailable: u64,
    /// Tokens that were lent to nodes when they died.
    pub(super) died_with: u64,
    /// How often it was told how much is left, how often that was too much, and by how much at most; the sums of what was
    /// told and of the truth.
    pub(super) told_left: u64,
    pub(super) sum_told: u64,
    pub(super) sum_left: u64,
    pub(super) told_too_much: u64,
    pub(super) most_too_much: u64,
    /// By how much later than it could have been let through a client was told to come again, at most, in milliseconds.
    pub(super) latest: u64,
}

pub(super) struct Judge {
    /// From the first question on: nobody has spent anything before.
    exact: Vec<Option<Exact>>,
    /// What one limiter for the whole fleet would do, that knows everything at once.
    ideal: Vec<Option<Exact>>,
    pub(super) spent: BTreeMap<Part, Spent>,
    alone: BTreeMap<Part, Alone>,
    /// Whether shares and leases together are no more than was promised: where all nodes are alone at the same time, or none.
    pub(super) adds_shares: bool,
    pub(super) counts: Counts,
    pub(super) complaints: Vec<String>,
}

impl Judge {
    pub(super) fn new(teams: usize) -> Self {
        Self {
            exact: vec![None; teams],
            ideal: vec![None; teams],
            spent: BTreeMap::new(),
            alone: BTreeMap::new(),
            adds_shares: false,
            counts: Counts::default(),
            complaints: Vec::new(),
        }
    }

    /// A request arrives under this limit, which does not change.
    pub(super) fn arrive(&mut self, team: usize, limit: Limit, cost: u32, now: u64) {
        let ideal = self.ideal[team].get_or_insert_with(|| Exact::full(limit, now));
        if ideal.left(now) >= cost.into() && ideal.admit(cost.into(), now).is_ok() {
            self.counts.ideal += u64::from(cost);
        }
    }

    /// A request was let through.
    pub(super) fn admit(&mut self, part: Part, basis: Basis, cost: u32, now: u64) {
        let tokens = u64::from(cost);
        self.counts.admitted += 1;
        self.counts.tokens += tokens;
        let spent = self.spent.entry(part.clone()).or_default();
        match basis {
            Basis::Quota => {
                spent.lent += tokens;
                self.add(&part, tokens, now);
            }
            Basis::Share => {
                spent.overdrawn += tokens;
                self.counts.overdrawn += tokens;
                self.overdraw(&part, tokens, now);
                // Before the first question, nobody has spent anything else.
                if self.adds_shares && self.exact[part.1].is_some() {
                    self.add(&part, tokens, now);
                }
            }
        }
    }

    /// To what all nodes have admitted.
    fn add(&mut self, part: &Part, tokens: u64, now: u64) {
        let exact = self.exact[part.1].as_mut();
        let admitted = exact.map_or(Err(Over { tokens }), |exact| exact.admit(tokens, now));
        if let Err(over) = admitted
            && tokens > 0
        {
            self.complaints.push(format!("{now} ms: {part:?} admitted {} more than was promised", over.tokens));
        }
    }

    fn overdraw(&mut self, part: &Part, tokens: u64, now: u64) {
        let Some(alone) = self.alone.get_mut(part) else {
            self.complaints.push(format!("{now} ms: {part:?} spent of a share that it does not have"));
            return;
        };
        alone.spent += tokens;
        // Also for the time before a change: a shorter window forgets what was spent before it.
        let gained = u128::from(alone.at - alone.since) * alone.gain;
        if u128::from(alone.spent.saturating_sub(alone.room)) * UNIT.unsigned_abs() > gained {
            self.complaints.push(format!("{now} ms: {part:?} spent more than its share"));
        }
    }

    /// Whether a node lives from its share, or not any more; limit, nodes and time as it knows them.
    pub(super) fn note_share(&mut self, part: &Part, shares: Option<(Limit, u32)>, now: u64) {
        let Some((limit, nodes)) = shares else {
            self.alone.remove(part);
            return;
        };
        let fresh = Alone { since: now, at: now, limit, nodes, gain: 0, room: 0, spent: 0 };
        let alone = self.alone.entry(part.clone()).or_insert(fresh);
        // A raised limit leaves room in the windows before.
        if limit.promise == Promise::Strict {
            let share = |limit: Limit, nodes: u32| u64::from((limit.quota.limit().get() / nodes).max(1));
            alone.room += share(limit, nodes).saturating_sub(share(alone.limit, alone.nodes));
        }
        alone.gain = alone.gain.max(gain_per_ms(limit).unsigned_abs().div_ceil(nodes.into()));
        (alone.at, alone.limit, alone.nodes) = (now, limit, nodes);
    }

    /// A node may spend so many, and so many are lent to it.
    pub(super) fn note_balance(&mut self, part: &Part, balance: u64, lent: u64, now: u64) {
        if balance > lent {
            self.complaints.push(format!("{now} ms: {part:?} may spend {balance}, and {lent} are lent to it"));
        }
    }

    /// Questions that were late or doubled were lent so many.
    pub(super) fn note_lent_twice(&mut self, tokens: u64, now: u64) {
        if tokens > 0 {
            self.complaints.push(format!("{now} ms: {tokens} were lent by a late or doubled question"));
        }
    }

    /// The engine has settled an ask: its limit is the one that holds.
    pub(super) fn note_settled(&mut self, team: usize, ask: &Ask, born: Option<u64>, now: u64) {
        let promise = match ask.promise {
            tollkeeper_contract::lease::Promise::Bucket => Promise::Bucket,
            tollkeeper_contract::lease::Promise::Strict => Promise::Strict,
        };
        let limit = Limit { quota: ask.quota().unwrap(), promise };
        let exact = self.exact[team].get_or_insert_with(|| Exact::full(limit, now));
        match born {
            None => exact.change(limit, now),
            Some(since) => exact.begin_anew(limit, since, now),
        }
    }

    /// A client was told that so many are left.
    pub(super) fn note_left(&mut self, team: usize, told: Left, of: Remaining, now: u64) {
        let Some(exact) = &mut self.exact[team] else { return };
        let (told, left) = (told.tokens, exact.left(now));
        self.counts.told_left += 1;
        self.counts.sum_told += told;
        self.counts.sum_left += left;
        let Some(too_much @ 1..) = told.checked_sub(left) else { return };
        self.counts.told_too_much += 1;
        self.counts.most_too_much = self.counts.most_too_much.max(too_much);
        if of == Remaining::Lease {
            self.complaints.push(format!("{now} ms: told {told} of a lease to be left where {left} are"));
        }
    }

    /// A client was told to come again at `until`.
    pub(super) fn note_told(&mut self, team: usize, cost: u32, until: u64, now: u64) {
        let Some(exact) = &mut self.exact[team] else { return };
        let late = until.saturating_sub(exact.time_of(cost.into(), now));
        self.counts.latest = self.counts.latest.max(late);
    }

    /// After all is quiet, the service knows what this node has truly spent, and has lent it nothing.
    pub(super) fn compare_books(
        &mut self,
        service: &Service,
        part: &Part,
        account: &tollkeeper_contract::lease::Account,
    ) {
        let Spent { lent, overdrawn } = self.spent.get(part).copied().unwrap_or_default();
        let Some(told) = service.last_told(&part.0, account) else {
            if lent + overdrawn > 0 {
                self.complaints.push(format!("{part:?} has spent {lent} and {overdrawn}, and has told nobody"));
            }
            return;
        };
        let (ask, answer) = (&told.ask, &told.lent);
        if (ask.spent, ask.overdrawn) != (lent, overdrawn) {
            let what =
                format!("{part:?} has spent {lent} and {overdrawn}, and has told {} and {}", ask.spent, ask.overdrawn);
            self.complaints.push(what);
        }
        if answer.granted != ask.spent + ask.returned + answer.void {
            self.complaints.push(format!("something is still lent to {part:?}: {ask:?} {answer:?}"));
        }
    }
}
