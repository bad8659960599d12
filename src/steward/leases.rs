//! Asks the key service for leases, for all accounts at once: one question at a time, and what comes up meanwhile goes
//! into the next one.
//!
//! What an account has spent stands in its cell, and a question repeats the sums. So nothing is lost with a question, an
//! answer or a steward; a lease that nobody renews ends by itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    time::Duration,
};

use tollkeeper_contract::lease::{self, Question};

use crate::{
    config::Fallback,
    lease::{Draft, Reply},
    principal::Account,
    shared::{HostFailure, SharedData},
    table::{Company, KeyTable, Upkeep},
    time::Monotonic,
};

use super::{Answer, Call, Errand, Holder, Settings, agenda::Agenda, question::Patience};

/// The longest that an answer may take: it comes from memory, and requests wait for it.
const TIMEOUT: Duration = Duration::from_secs(1);

/// For how long a node waits for the answer to a question that was lost, and then until it asks again, in milliseconds.
const LOST: u64 = 1_500;

/// After so long without a question a node may have been given up for lost, in milliseconds: then others were told of fewer.
const GIVEN_UP: u64 = 15_000;

/// How often the key service is asked how many nodes there are, if nothing else is asked, in milliseconds.
const COUNT_EVERY: u64 = 10_000;

/// The same if nobody else is known of: others may come, and the parts of all are right only if all know of each other.
const ALONE_EVERY: u64 = 1_000;

/// The same beside others, of nodes that have shares: so often that no absence of a second, after which they spend of these, goes by
/// without a question that is lost. For each node as much more, so that up to 1,000 ask a hundred times a second at most.
const PRESENT_EVERY: u64 = 400;
const PRESENT_EVERY_PER_NODE: u64 = 10;

/// The same while the books of quotas cannot be kept: shares are right only if all nodes agree on it, and nodes may come.
const COUNT_IN_OUTAGE: u64 = 1_000;

/// How long it is not asked after failures, in milliseconds: soon after an outage it must hear what was spent meanwhile.
const LONGEST: u64 = 500;

/// How soon it is asked again while it only settles, in milliseconds.
const SETTLING: u64 = 250;

#[derive(Debug)]
pub(super) struct Leases {
    settings: Settings,
    agenda: Agenda,
    under_way: Option<UnderWay>,
    last_nonce: u64,
    heard: Option<Monotonic>,
    /// How many nodes there are, as far as is known.
    nodes: u32,
    /// How many were told by the last answer; 0 before.
    told: u32,
    /// When the first question was put that was not answered since the last answer.
    unanswered: Option<Monotonic>,
    /// Nothing is asked before.
    not_before: Monotonic,
    patience: Patience,
    mood: Mood,
    books: Books,
}

/// Whether the key service can say how accounts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Books {
    Kept,
    /// The last question about accounts failed.
    Failing,
}

/// A question without an answer yet.
#[derive(Debug)]
struct UnderWay {
    nonce: u64,
    sent: Monotonic,
    /// If no answer comes at all, it is lost at this moment.
    until: Monotonic,
    drafts: BTreeMap<Account, Draft>,
}

/// What the log was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Failing,
}

impl Leases {
    pub(super) fn new(settings: Settings, holder: Holder) -> Self {
        Self {
            settings,
            agenda: Agenda::new(),
            under_way: None,
            last_nonce: holder.0,
            heard: None,
            nodes: 1,
            told: 0,
            unanswered: None,
            not_before: Monotonic(0),
            patience: Patience::default(),
            mood: Mood::Well,
            books: Books::Kept,
        }
    }

    /// Tokens are wanted for these accounts, or have been.
    pub(super) fn ask_for(&mut self, accounts: impl IntoIterator<Item = Account>) {
        self.agenda.want(accounts);
    }

    /// Somebody else is steward: all that is to be asked, for them. An answer that is still under way will not count: whoever
    /// asks next is told the same sums.
    pub(super) fn give_up(&mut self) -> BTreeSet<Account> {
        self.take_back();
        self.unanswered = None;
        std::mem::replace(&mut self.agenda, Agenda::new()).into_accounts()
    }

    /// The next question, if there is one to be put.
    pub(super) fn next_call(&mut self, table: &KeyTable<'_, impl SharedData>) -> Option<Call> {
        let now = table.now;
        if now < self.not_before || self.under_way.as_ref().is_some_and(|question| now < question.until) {
            return None;
        }
        self.take_back();
        let counts = self.is_to_count(now);
        let (drafts, asks) = match self.books {
            // A question about accounts would fail as a whole.
            Books::Failing if counts => Default::default(),
            Books::Failing | Books::Kept => self.next_asks(table),
        };
        if asks.is_empty() && !counts {
            return None;
        }
        let nonce = self.last_nonce.wrapping_add(1);
        self.last_nonce = nonce;
        let timeout = self.settings.timeout.min(TIMEOUT);
        let lost = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).saturating_add(1000);
        self.under_way = Some(UnderWay { nonce, sent: now, until: now.after(lost), drafts });
        let unanswered_ms = self.unanswered_for(table);
        let Settings { node, instance, .. } = &self.settings;
        let question = Question { node: node.clone(), instance: instance.clone(), nonce, unanswered_ms, asks };
        Some(Call {
            errand: Errand::Lend { nonce },
            method: "POST",
            path: "/node/v1/leases".to_owned(),
            body: Some(serde_json::to_vec(&question).ok()?),
            timeout,
        })
    }

    /// For how long nobody has answered, in milliseconds, if nodes may have spent of their shares meanwhile. Who was steward before
    /// may have asked in vain, too: then it is long since anybody heard.
    fn unanswered_for(&mut self, table: &KeyTable<'_, impl SharedData>) -> u64 {
        if !self.has_share() {
            return 0;
        }
        let now = table.now;
        let company = Company::read(table.shared, table.names).ok().flatten();
        let overdue = company.filter(|company| now.since(company.heard) / 2 >= self.counts_every(company.nodes.get()));
        now.since(*self.unanswered.get_or_insert(overdue.map_or(now, |company| company.heard)))
    }

    /// Whether this node spends of a share when nobody answers.
    fn has_share(&self) -> bool {
        self.settings.fleet.is_some_and(|fleet| fleet.fallback == Fallback::Share)
    }

    /// Whether it is time to ask how many nodes there are.
    fn is_to_count(&self, now: Monotonic) -> bool {
        let every = self.counts_every(self.nodes);
        self.settings.fleet.is_some() && self.heard.is_none_or(|heard| now.since(heard) >= every)
    }

    /// How often that is asked where there are so many nodes, in milliseconds.
    fn counts_every(&self, nodes: u32) -> u64 {
        match self.books {
            Books::Failing => COUNT_IN_OUTAGE,
            Books::Kept if !self.has_share() => COUNT_EVERY,
            Books::Kept if nodes == 1 => ALONE_EVERY,
            Books::Kept => PRESENT_EVERY.max(PRESENT_EVERY_PER_NODE * u64::from(nodes)).min(COUNT_EVERY),
        }
    }

    /// What is asked next: first for whom tokens are wanted, then what is to be settled.
    fn next_asks(&mut self, table: &KeyTable<'_, impl SharedData>) -> (BTreeMap<Account, Draft>, Vec<lease::Ask>) {
        let (mut drafts, mut asks) = (BTreeMap::new(), Vec::new());
        for account in self.agenda.next(table) {
            if drafts.contains_key(&account) {
                continue;
            }
            // Whoever has no lease, or cannot be read, is asked for again by the next request.
            let Ok(Some((draft, ask))) = table.ask(&account) else {
                self.agenda.strike_out(&account);
                continue;
            };
            asks.push(ask);
            drafts.insert(account, draft);
        }
        (drafts, asks)
    }

    /// Takes in an answer, if it belongs to the question that was put last.
    pub(super) fn on_answer(
        &mut self,
        table: &KeyTable<'_, impl SharedData>,
        nonce: u64,
        answer: &Answer<'_>,
    ) -> Result<(), HostFailure> {
        if self.under_way.as_ref().is_none_or(|question| question.nonce != nonce) {
            return Ok(());
        }
        let opened = match answer {
            Answer::Service { status: 200, body } => lease::Answer::open(body, nonce, &self.settings.token).ok(),
            Answer::Service { .. } | Answer::Stranger { .. } | Answer::Nothing => None,
        };
        let is_about_accounts = self.under_way.as_ref().is_some_and(|question| !question.drafts.is_empty());
        let Some(opened) = opened else {
            if is_about_accounts {
                self.books = Books::Failing;
            }
            self.take_back();
            self.not_before = table.now.after(self.patience.after_failure().min(LONGEST));
            self.tell(Mood::Failing, answer);
            return Ok(());
        };
        if is_about_accounts {
            self.books = Books::Kept;
        }
        if self.books == Books::Kept {
            self.patience.restore();
            self.tell(Mood::Well, answer);
        }
        self.not_before = table.now;
        self.heard = Some(table.now);
        self.unanswered = None;
        let company = self.company(table, &opened);
        self.nodes = company.nodes.get();
        if let Some(question) = self.under_way.take() {
            self.take_in(table, question, &opened);
        }
        company.write(table.shared, table.names)
    }

    /// What is known of the fleet by this answer. After an outage, not all nodes may have come back when the first are counted: as
    /// long as shares may be spent, there are no fewer than before. Otherwise a fall is believed when it is told twice.
    fn company(&mut self, table: &KeyTable<'_, impl SharedData>, answer: &lease::Answer) -> Company {
        let heard = table.now;
        let told_before = std::mem::replace(&mut self.told, answer.nodes);
        let nodes = NonZeroU32::new(answer.nodes.max(told_before)).unwrap_or(NonZeroU32::MIN);
        let known_from = if nodes.get() == 1 && !answer.only_settles {
            heard
        } else {
            heard.after(self.counts_every(nodes.get()).max(ALONE_EVERY).saturating_add(LOST))
        };
        let Some(before) = Company::read(table.shared, table.names).ok().flatten() else {
            return Company { nodes, heard, known_from };
        };
        let silence = heard.since(before.heard);
        let is_still_known = if before.heard >= before.known_from {
            answer.only_settles || silence < GIVEN_UP
        } else {
            silence <= self.counts_every(before.nodes.get()).saturating_add(LOST)
        };
        let known_from = if is_still_known { before.known_from } else { known_from };
        let nodes = if answer.only_settles { nodes.max(before.nodes) } else { nodes };
        Company { nodes, heard, known_from }
    }

    fn take_in(&mut self, table: &KeyTable<'_, impl SharedData>, question: UnderWay, answer: &lease::Answer) {
        let lease::Answer { term_ms, only_settles, .. } = *answer;
        let UnderWay { sent, mut drafts, .. } = question;
        if only_settles && !drafts.is_empty() {
            self.not_before = table.now.after(SETTLING);
        }
        let fresh = self.agenda.note_nodes(answer.nodes);
        for lent in &answer.lent {
            let account = Account::from(lent.account.clone());
            let Some(draft) = drafts.remove(&account) else { continue };
            let reply = Reply { draft, sent, lent, term: term_ms.into(), only_settles };
            match table.take_in(&account, reply, fresh) {
                Ok(Some(_)) if only_settles => self.agenda.want([account]),
                Ok(Some(Upkeep::DueAfter(time))) => self.agenda.hold(account, table.now.after(time)),
                Ok(Some(Upkeep::AtRest) | None) => self.agenda.strike_out(&account),
                Err(_) => self.agenda.want([account]),
            }
        }
        // The key service does not know these. If that changes, the next request asks, or the one that waits.
        for account in drafts.into_keys() {
            self.agenda.strike_out(&account);
        }
    }

    /// What was asked without an answer is asked again, with the sums of then.
    fn take_back(&mut self) {
        if let Some(question) = self.under_way.take() {
            self.agenda.want(question.drafts.into_keys());
        }
    }

    /// Tells the log when it begins to fail, and when it ends.
    fn tell(&mut self, mood: Mood, answer: &Answer<'_>) {
        if std::mem::replace(&mut self.mood, mood) == mood {
            return;
        }
        let instance = &self.settings.instance;
        match (mood, answer) {
            (Mood::Well, _) => log::info!("tollkeeper {instance}: leases are given again"),
            (Mood::Failing, Answer::Service { status: 200, .. }) => {
                log::warn!("tollkeeper {instance}: no leases: the answer is not whole and sealed under the node token");
            }
            (Mood::Failing, Answer::Service { status, .. }) => {
                log::warn!("tollkeeper {instance}: no leases: the key service answered with status {status}");
            }
            (Mood::Failing, Answer::Stranger { .. } | Answer::Nothing) => {
                log::warn!("tollkeeper {instance}: no leases: the key service did not answer");
            }
        }
    }
}
