//! The key service's side: the engine's own arithmetic, behind a service that can fail and forget.

use std::collections::BTreeMap;

use super::engine::{Book, Claim, Lending, Opening, Past, TERM_MS, Trust};
use tollkeeper_contract::lease::{Account, Answer, Ask, Lent, Question};

/// What one counter has said of one account, and was told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) ask: Ask,
    pub(super) lent: Lent,
}

/// Asks that were not late or doubled, and when the memory began if one is the first since then.
pub(super) type News = Vec<(Ask, Option<u64>)>;

/// When each node called last.
#[derive(Debug, Default)]
struct Census(BTreeMap<String, u64>);

impl Census {
    /// For how long a node counts after it has called, in milliseconds.
    const LIVE: u64 = 15_000;

    fn note(&mut self, node: &str, now: u64) {
        self.0.insert(node.to_owned(), now);
    }

    fn nodes(&self, now: u64) -> u32 {
        let live = self.0.values().filter(|at| now <= *at + Self::LIVE).count();
        u32::try_from(live).unwrap().max(1)
    }
}

/// The service, with books in memory.
#[derive(Debug)]
pub(super) struct Service {
    opening: Opening,
    books: BTreeMap<Account, Book>,
    trust: Trust,
    /// Whether it has been asked for an account: before, it does not look what was spent before it began.
    has_begun: bool,
    /// The last question of each counter and account that was settled.
    settled: BTreeMap<(String, Account), u64>,
    pub(super) told: BTreeMap<(String, Account), Told>,
    /// Whether it ever lost its memory.
    pub(super) has_forgotten: bool,
    /// What was lent by questions that were late or doubled.
    pub(super) lent_twice: u64,
    census: Census,
    pub(super) questions: u64,
    pub(super) asks: u64,
}

impl Service {
    pub(super) fn new() -> Self {
        Self {
            opening: Opening::Full,
            books: BTreeMap::new(),
            trust: Trust::default(),
            has_begun: false,
            settled: BTreeMap::new(),
            told: BTreeMap::new(),
            has_forgotten: false,
            lent_twice: 0,
            census: Census::default(),
            questions: 0,
            asks: 0,
        }
    }

    /// A node calls.
    pub(super) fn see(&mut self, node: &str, now: u64) {
        self.census.note(node, now);
    }

    /// It cannot keep books.
    pub(super) fn fail(&mut self) {
        self.trust.note_failure();
    }

    /// It beats for the last time before it is frozen, or for the first time afterwards.
    pub(super) fn beat(&mut self, now: u64) {
        let _ = self.trust.was_frozen(now);
    }

    /// It starts anew, and knows nothing of what was spent.
    pub(super) fn forget(&mut self, now: u64) {
        self.books.clear();
        self.settled.clear();
        self.has_forgotten = true;
        self.trust = Trust::default();
        self.census = Census::default();
        self.has_begun = false;
        self.opening = Opening::EmptySince(now);
    }

    /// Answers a question at once.
    pub(super) fn hear(&mut self, question: &Question, now: u64) -> Answer {
        let lending = self.arrive(question, now);
        let (lent, _) = self.settle(question, lending, now);
        self.answer(lent, lending, now, now)
    }

    /// A question arrives: whether anything can be lent now.
    pub(super) fn arrive(&mut self, question: &Question, now: u64) -> Lending {
        self.questions += 1;
        let past = Past::shown_by(question.asks.iter(), question.unanswered_ms);
        let _ = self.trust.was_away(&question.instance, past, now);
        self.trust.note_question(now);
        if !question.asks.is_empty() && !std::mem::replace(&mut self.has_begun, true) && self.has_forgotten {
            self.trust.note_failure();
        }
        if self.has_begun { self.trust.lending(now) } else { Lending::OnlySettles }
    }

    /// Settles a question, for which it was looked before whether anything can be lent.
    pub(super) fn settle(&mut self, question: &Question, lending: Lending, now: u64) -> (Vec<Lent>, News) {
        let (mut lent, mut news) = (Vec::new(), Vec::new());
        for ask in &question.asks {
            self.asks += 1;
            let claim = Claim::read(ask.clone()).unwrap_or_else(|wrong| panic!("{wrong:?} in {ask:?}"));
            let counter = claim.counter(&question.node);
            let key = (counter.clone(), ask.account.clone());
            let is_new = !self.books.contains_key(&ask.account);
            let book = self.books.entry(ask.account.clone()).or_insert_with(|| Book::open(&claim, self.opening, now));
            let granted = book.granted(&counter);
            let answer = book.settle(&claim, &counter, now, lending);
            if self.settled.get(&key).is_none_or(|seq| *seq < ask.seq) {
                self.settled.insert(key.clone(), ask.seq);
                self.told.insert(key, Told { ask: ask.clone(), lent: answer.clone() });
                let born = match self.opening {
                    Opening::EmptySince(since) if is_new => Some(since),
                    Opening::EmptySince(_) | Opening::Full => None,
                };
                news.push((ask.clone(), born));
            } else {
                self.lent_twice += answer.granted - granted;
            }
            lent.push(answer);
        }
        (lent, news)
    }

    /// The answer to a question that arrived when it was `asked`.
    pub(super) fn answer(&mut self, mut lent: Vec<Lent>, lending: Lending, asked: u64, now: u64) -> Answer {
        if !lent.is_empty() {
            self.trust.note_success(false, now);
        }
        let lending = if self.trust.lending(now) == Lending::OnlySettles { Lending::OnlySettles } else { lending };
        self.trust.note_answer(asked, now);
        let only_settles = lending == Lending::OnlySettles;
        if only_settles {
            let wait_ms = self.trust.settles_for(now);
            lent.iter_mut().for_each(|lent| lent.wait_ms = wait_ms);
        }
        Answer { nodes: self.census.nodes(now), term_ms: TERM_MS, only_settles, lent }
    }

    /// The last that a counter has said of an account, and was told.
    pub(super) fn last_told(&self, counter: &str, account: &Account) -> Option<&Told> {
        self.told.get(&(counter.to_owned(), account.clone()))
    }

    /// As many as a counter may still spend, as far as the books know.
    pub(super) fn lent_to(&self, counter: &str, account: &Account, now: u64) -> u64 {
        let (Some(Told { ask, .. }), Some(book)) = (self.last_told(counter, account), self.books.get(account)) else {
            return 0;
        };
        // A doubled question changes nothing, and is told how it stands.
        let claim = Claim::read(ask.clone()).unwrap();
        let lent = book.clone().settle(&claim, counter, now, Lending::Lends);
        (lent.granted - lent.void).saturating_sub(ask.spent + ask.returned)
    }
}
