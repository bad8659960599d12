//! Whether the books say all that nodes have spent; while they do not, nodes only settle.
//!
//! A store that fails is noticed by whoever asks it. A service that was frozen finds its own heart late. One that was cut off
//! from every node hears nothing. Nodes that have shares ask also when they want nothing, so often that each lost a question
//! then, and says so with the first that arrives: a reason to hear all of them before anything is lent. That one has a debt,
//! which it has only after that, is a reason to let all of them settle.

use std::collections::BTreeMap;

use tollkeeper_contract::lease::Ask;

use super::Lending;

/// For how long nodes first say what they have spent, once books can be kept again, in milliseconds.
const SETTLING: u64 = 3_000;

/// For how long it is lent nothing because of a suspicion, in milliseconds. After a freeze, questions that waited are there at once,
/// nodes that wait to ask again do so after half a second, and a request that waits for a lease waits for longer than this.
/// After a cut, nodes also find out first that their last question was lost.
const SUSPECTED: u64 = 750;
const SUSPECTED_LOSSES: u64 = 1_750;

/// An answer that takes so long may be too late, in milliseconds: nodes wait for a second, and counting them and the way take
/// their part of it.
const LATE: u64 = 700;

/// So long without a question may have been an absence, in milliseconds: with the default of `wait_ms`, no node spends of its
/// share earlier. It is not for certain: nodes of a large fleet that is idle ask more rarely, and so do those of another service.
const SILENCE: u64 = 1_000;

/// Whether the books say all.
#[derive(Debug, Default)]
pub struct Trust {
    books: Books,
    /// When the heart beat last.
    beat: Option<u64>,
    /// Of each fleet, by the name of its instance.
    presence: BTreeMap<String, Presence>,
    /// When questions arrived that are not answered yet, and how many then.
    open: BTreeMap<u64, u32>,
}

/// What was heard of the nodes of one fleet.
#[derive(Debug, Default)]
struct Presence {
    /// When the latest question arrived.
    heard: Option<u64>,
    /// When the latest silence ended, until it is known to have been an absence.
    back: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Books {
    /// They do.
    #[default]
    Sound,
    /// They could not be kept: nodes may have spent what is not written there.
    Broken,
    /// They may lack something. Until then, nodes may say so.
    Suspected(u64),
    /// They lack something. Nodes say what they have spent until then.
    Settling(u64),
}

/// What a question shows of the time before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// Nothing was missed.
    Answered,
    /// The node asked in vain: others may have done so for longer, and have spent of their shares.
    Unanswered,
    /// It has spent of its own, and not settled that.
    InDebt,
}

impl Past {
    /// What is shown by a question of a node that has asked without an answer for so many milliseconds.
    pub fn shown_by<'a>(mut asks: impl Iterator<Item = &'a Ask>, unanswered_ms: u64) -> Self {
        if asks.any(|ask| ask.overdrawn > ask.settled) {
            return Self::InDebt;
        }
        if unanswered_ms > 0 { Self::Unanswered } else { Self::Answered }
    }
}

impl Trust {
    /// The books could not be kept, or nobody knows what was spent before them.
    pub fn note_failure(&mut self) {
        self.books = Books::Broken;
    }

    /// A question was settled in the books; `begin`: they began with it.
    pub fn note_success(&mut self, begin: bool, now: u64) {
        if begin || self.books == Books::Broken {
            self.books = Books::Settling(now.saturating_add(SETTLING));
        }
    }

    /// The heart beats, as it does many times a second and before each question. `true`: it could not for so long that nodes may
    /// have spent of their shares.
    #[must_use]
    pub fn was_frozen(&mut self, now: u64) -> bool {
        let before = self.beat.replace(now);
        let was_frozen = before.is_some_and(|before| now.saturating_sub(before) >= SILENCE);
        if was_frozen {
            self.presence.values_mut().for_each(|presence| *presence = Presence { heard: Some(now), back: None });
            self.suspect(now, SUSPECTED);
        }
        was_frozen
    }

    /// A question arrived.
    pub fn note_question(&mut self, now: u64) {
        *self.open.entry(now).or_default() += 1;
    }

    /// The question that arrived when it was `asked` is answered, or cannot be. If that took so long that nobody waits for it, nodes
    /// may have spent of their shares.
    pub fn note_answer(&mut self, asked: u64, now: u64) {
        if let Some(count) = self.open.get_mut(&asked) {
            *count = count.saturating_sub(1);
        }
        self.open.retain(|_, count| *count > 0);
        if now.saturating_sub(asked) >= LATE {
            self.suspect(now, SUSPECTED_LOSSES);
        }
    }

    /// A question of a fleet arrives. `true`, once for an absence: this shows that there was one. Whoever asks first after it may
    /// have had no question meanwhile.
    #[must_use]
    pub fn was_away(&mut self, instance: &str, past: Past, now: u64) -> bool {
        // Somebody waits, and may have spent of its share since.
        if self.open.first_key_value().is_some_and(|(asked, _)| now.saturating_sub(*asked) >= LATE) {
            self.suspect(now, SUSPECTED_LOSSES);
        }
        let presence = self.presence.entry(instance.to_owned()).or_default();
        if presence.heard.is_some_and(|heard| now.saturating_sub(heard) >= SILENCE) {
            presence.back = Some(now);
        }
        presence.heard = Some(now);
        if past == Past::Answered {
            return false;
        }
        let lately = |back: &mut u64| now.saturating_sub(*back) < SETTLING;
        let is_back = presence.back.take_if(lately).is_some();
        let is_suspected = matches!(self.books, Books::Suspected(until) if now < until);
        match past {
            Past::InDebt if is_back || is_suspected => {
                if self.books != Books::Broken {
                    self.books = Books::Settling(now.saturating_add(SETTLING));
                }
                true
            }
            Past::Unanswered if is_back => {
                self.suspect(now, SUSPECTED_LOSSES);
                true
            }
            Past::Answered | Past::Unanswered | Past::InDebt => false,
        }
    }

    fn suspect(&mut self, now: u64, time: u64) {
        let until = now.saturating_add(time);
        self.books = match self.books {
            Books::Broken => Books::Broken,
            Books::Settling(before) if now < before => Books::Settling(until.max(before)),
            Books::Suspected(before) => Books::Suspected(until.max(before)),
            // Also if it was settled before.
            Books::Settling(_) | Books::Sound => Books::Suspected(until),
        };
    }

    /// Whether anything can be lent.
    #[must_use]
    pub fn lending(&self, now: u64) -> Lending {
        match self.books {
            Books::Broken => Lending::OnlySettles,
            Books::Suspected(until) | Books::Settling(until) if now < until => Lending::OnlySettles,
            Books::Suspected(_) | Books::Settling(_) | Books::Sound => Lending::Lends,
        }
    }

    /// For how many milliseconds nothing is lent, at least.
    #[must_use]
    pub fn settles_for(&self, now: u64) -> u64 {
        match self.books {
            Books::Suspected(until) | Books::Settling(until) => until.saturating_sub(now),
            // It failed again meanwhile.
            Books::Broken => SETTLING,
            Books::Sound => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lending, Past, Trust};

    const CALM: Past = Past::Answered;
    const VAIN: Past = Past::Unanswered;
    const DEBTS: Past = Past::InDebt;

    /// What is found at each question: milliseconds from the beginning, and what it shows.
    fn found<const N: usize>(questions: [(u64, Past); N]) -> [bool; N] {
        let mut trust = Trust::default();
        questions.map(|(now, past)| {
            let away = trust.was_away("i", past, now);
            assert!(!away || trust.lending(now) == Lending::OnlySettles);
            away
        })
    }

    /// Until when nothing is lent.
    fn lends_from(trust: &Trust, now: u64) -> u64 {
        let from = now + trust.settles_for(now);
        assert_eq!(trust.lending(from), Lending::Lends);
        assert!(from == now || trust.lending(from - 1) == Lending::OnlySettles);
        from
    }

    #[test]
    fn after_a_freeze_all_are_heard_before_anything_is_lent() {
        let mut trust = Trust::default();
        let beats = [0, 100, 1_099, 2_098, 3_098, 3_198].map(|now| trust.was_frozen(now));
        assert_eq!(beats, [false, false, false, false, true, false]);
        assert!(!trust.was_away("i", CALM, 3_100) && !trust.was_away("i", VAIN, 3_200));
        assert_eq!(lends_from(&trust, 3_200), 3_848);
        assert!(!trust.was_away("i", DEBTS, 3_848), "too late");
    }

    #[test]
    fn a_debt_after_a_freeze_lets_all_settle() {
        let mut trust = Trust::default();
        assert!(!trust.was_frozen(0) && trust.was_frozen(9_000));
        assert!(
            !trust.was_away("i", CALM, 9_100)
                && trust.was_away("i", DEBTS, 9_700)
                && !trust.was_away("i", DEBTS, 9_800)
        );
        assert_eq!(lends_from(&trust, 9_800), 12_700);
        assert!(trust.was_frozen(12_600), "frozen again");
        assert_eq!(lends_from(&trust, 12_600), 13_350);
    }

    #[test]
    fn a_debt_after_a_freeze_lets_all_settle_also_where_that_was_so_before() {
        let mut trust = Trust::default();
        trust.note_success(true, 0);
        assert!(!trust.was_frozen(0) && trust.was_frozen(9_000));
        assert_eq!(lends_from(&trust, 9_100), 9_750);
        assert!(trust.was_away("i", DEBTS, 9_700));
        assert_eq!(lends_from(&trust, 9_700), 12_700);
    }

    #[test]
    fn a_fleet_that_was_cut_off_is_noticed_although_another_was_not() {
        let mut trust = Trust::default();
        for now in [0, 500, 1_000, 1_500, 2_000] {
            assert!(!trust.was_away("other", CALM, now));
        }
        assert!(!trust.was_away("i", CALM, 0) && trust.was_away("i", VAIN, 2_100));
    }

    #[test]
    fn an_answer_that_nobody_waited_for_is_as_none() {
        let mut trust = Trust::default();
        for (asked, answered, lends) in [(4_301, 5_000, 5_000), (4_300, 5_000, 6_750)] {
            trust.note_question(asked);
            trust.note_answer(asked, answered);
            assert_eq!(lends_from(&trust, answered), lends);
        }
        assert!(trust.was_away("i", DEBTS, 6_000));
    }

    #[test]
    fn while_somebody_has_waited_for_too_long_nobody_is_lent_anything() {
        let mut trust = Trust::default();
        trust.note_question(4_000);
        trust.note_question(4_000);
        trust.note_answer(4_000, 4_010);
        assert!(!trust.was_away("i", CALM, 4_699));
        assert_eq!(trust.lending(4_699), Lending::Lends);
        assert!(!trust.was_away("i", CALM, 4_700));
        assert_eq!(lends_from(&trust, 4_700), 6_450);
        trust.note_answer(4_000, 6_000);
        assert!(!trust.was_away("i", CALM, 7_000));
        assert_eq!(lends_from(&trust, 7_000), 7_750);
    }

    #[test]
    fn who_asked_in_vain_lets_all_be_heard_and_a_debt_then_lets_them_settle() {
        let mut trust = Trust::default();
        assert!(!trust.was_away("i", CALM, 0) && trust.was_away("i", VAIN, 9_000) && !trust.was_away("i", VAIN, 9_100));
        assert_eq!(lends_from(&trust, 9_100), 10_750);
        assert!(trust.was_away("i", DEBTS, 10_700));
        assert_eq!(lends_from(&trust, 10_700), 13_700);
    }

    #[test]
    fn a_debt_after_a_silence_shows_an_absence_once() {
        let questions = [(0, CALM), (999, CALM), (1_999, DEBTS), (2_000, DEBTS), (2_900, DEBTS)];
        assert_eq!(found(questions), [false, false, true, false, false]);
    }

    #[test]
    fn the_first_to_ask_after_an_absence_may_have_no_debts() {
        assert_eq!(found([(0, CALM), (9_000, CALM), (9_900, CALM), (10_800, DEBTS)]), [false, false, false, true]);
    }

    #[test]
    fn an_idle_fleet_is_no_absence() {
        assert_eq!(found([(0, CALM), (60_000, CALM), (120_000, CALM)]), [false; 3]);
    }

    #[test]
    fn a_node_that_was_cut_off_alone_is_no_absence() {
        let others = [(900, CALM), (1_800, CALM), (2_700, CALM), (3_600, CALM)];
        assert_eq!(found(others), [false; 4]);
        let [a, b, c, d] = others;
        assert_eq!(found([(0, CALM), a, b, c, d, (3_700, DEBTS)]), [false; 6]);
        let late = [(0, CALM), (9_000, CALM), (9_900, CALM), (10_800, CALM), (11_700, CALM), (12_000, DEBTS)];
        assert_eq!(found(late), [false; 6], "the others have had the time to say what they spent");
    }

    #[test]
    fn what_was_away_lends_again_when_nodes_have_had_the_time() {
        let mut trust = Trust::default();
        assert!(!trust.was_away("i", CALM, 0));
        assert!(trust.was_away("i", DEBTS, 5_000));
        assert_eq!((trust.lending(7_999), trust.settles_for(5_000)), (Lending::OnlySettles, 3_000));
        assert_eq!((trust.lending(8_000), trust.settles_for(8_000)), (Lending::Lends, 0));
    }

    #[test]
    fn books_that_cannot_be_kept_stay_broken_whoever_asks() {
        let mut trust = Trust::default();
        assert!(!trust.was_away("i", CALM, 0));
        trust.note_failure();
        assert!(trust.was_away("i", DEBTS, 5_000));
        assert_eq!(trust.lending(60_000), Lending::OnlySettles);
        trust.note_success(false, 60_000);
        assert_eq!((trust.lending(62_999), trust.lending(63_000)), (Lending::OnlySettles, Lending::Lends));
    }
}
