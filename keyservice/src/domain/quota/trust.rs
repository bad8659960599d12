//! Whether the books say all that nodes have spent; while they do not, nodes only settle.
//!
//! A store that fails is noticed by whoever asks it. A service that was away itself, frozen or cut off from every node,
//! hears nothing, as it does of a fleet that is idle. What tells them apart is a debt: a node has one only when it was
//! not answered for about a second.

use super::Lending;

/// For how long nodes first say what they have spent, once books can be kept again, in milliseconds.
const SETTLING: u64 = 3_000;

/// So long without a question may have been an absence, in milliseconds: with the default of `wait_ms`, no node spends of its
/// share earlier.
const SILENCE: u64 = 1_000;

/// Whether the books say all.
#[derive(Debug, Default)]
pub struct Trust {
    books: Books,
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
    /// They can again; nodes say what they have spent until then.
    Settling(u64),
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

    /// A question arrives. `true`, once for a silence: it was an absence, because a node that asks soon after it has debts,
    /// and from now on nodes only settle for a while. Whoever asks first may have none.
    #[must_use]
    pub fn was_away(&mut self, has_debts: bool, now: u64) -> bool {
        if self.heard.is_some_and(|heard| now.saturating_sub(heard) >= SILENCE) {
            self.back = Some(now);
        }
        self.heard = Some(now);
        let lately = |back: &mut u64| now.saturating_sub(*back) < SETTLING;
        if !has_debts || self.back.take_if(lately).is_none() {
            return false;
        }
        if self.books != Books::Broken {
            self.books = Books::Settling(now.saturating_add(SETTLING));
        }
        true
    }

    /// Whether anything can be lent.
    #[must_use]
    pub fn lending(&self, now: u64) -> Lending {
        match self.books {
            Books::Broken => Lending::OnlySettles,
            Books::Settling(until) if now < until => Lending::OnlySettles,
            Books::Settling(_) | Books::Sound => Lending::Lends,
        }
    }

    /// For how many milliseconds nothing is lent, at least.
    #[must_use]
    pub fn settles_for(&self, now: u64) -> u64 {
        match self.books {
            Books::Settling(until) => until.saturating_sub(now),
            // It failed again meanwhile.
            Books::Broken => SETTLING,
            Books::Sound => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lending, Trust};

    const CALM: bool = false;
    const DEBTS: bool = true;

    /// What is found at each question: milliseconds from the beginning, and whether the node has debts.
    fn found<const N: usize>(questions: [(u64, bool); N]) -> [bool; N] {
        let mut trust = Trust::default();
        questions.map(|(now, debts)| {
            let away = trust.was_away(debts, now);
            assert!(!away || trust.lending(now) == Lending::OnlySettles);
            away
        })
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
        assert!(!trust.was_away(CALM, 0));
        assert!(trust.was_away(DEBTS, 5_000));
        assert_eq!((trust.lending(7_999), trust.settles_for(5_000)), (Lending::OnlySettles, 3_000));
        assert_eq!((trust.lending(8_000), trust.settles_for(8_000)), (Lending::Lends, 0));
    }

    #[test]
    fn books_that_cannot_be_kept_stay_broken_whoever_asks() {
        let mut trust = Trust::default();
        assert!(!trust.was_away(CALM, 0));
        trust.note_failure();
        assert!(trust.was_away(DEBTS, 5_000));
        assert_eq!(trust.lending(60_000), Lending::OnlySettles);
        trust.note_success(false, 60_000);
        assert_eq!((trust.lending(62_999), trust.lending(63_000)), (Lending::OnlySettles, Lending::Lends));
    }
}
