//! Whether a clock is to be believed when it says that something is old: what is forgotten does not come back when a clock is
//! set right.

use super::Moment;

/// How far a clock may be from what was believed last, in seconds: as far as it may be wrong without harm (see `KEPT_SECONDS`).
pub const LEAP: u64 = 3_600;

/// A clock that leaped, ahead or back, is believed once it has gone on for as long as it leaped, or for this long.
const LONGEST_DOUBT: u64 = 7 * 24 * 60 * 60;

/// What clocks said when things were last looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Calendar {
    /// The latest time that was believed; 1970 where there was none yet.
    pub believed: Moment,
    /// A time that was not believed, and how far it has gone on since.
    pub doubted: Option<(Moment, Moment)>,
}

impl Calendar {
    /// What is known once a clock says `now`, and whether it is believed.
    #[must_use]
    pub fn told(self, now: Moment) -> (Self, bool) {
        let is_first = self.believed == Moment::default();
        if is_first || self.has_gone_on(now) {
            return (Self { believed: now, doubted: None }, true);
        }
        if now.unix().abs_diff(self.believed.unix()) <= LEAP {
            return (Self { believed: self.believed.max(now), doubted: None }, true);
        }
        let since = self.doubted.filter(|doubted| follows(*doubted, now)).map_or(now, |(since, _)| since);
        (Self { doubted: Some((since, now)), ..self }, false)
    }

    fn has_gone_on(self, now: Moment) -> bool {
        self.doubted.is_some_and(|(since, until)| {
            let leaped = since.unix().abs_diff(self.believed.unix());
            follows((since, until), now) && now >= since.plus(leaped.min(LONGEST_DOUBT))
        })
    }
}

/// Whether `now` is what a clock says a while later that was doubted before.
fn follows((_, until): (Moment, Moment), now: Moment) -> bool {
    (until..=until.plus(LEAP)).contains(&now)
}

#[cfg(test)]
mod tests {
    use super::{Calendar, LEAP};
    use crate::domain::Moment;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;
    const NOW: u64 = 1_800_000_000;
    const IN_2300: u64 = 10_413_792_000;

    fn at(seconds: u64) -> Moment {
        Moment::from_unix(seconds).unwrap()
    }

    fn believing(seconds: u64) -> Calendar {
        Calendar { believed: at(seconds), doubted: None }
    }

    /// When a clock is believed first that starts here, looked at every ten minutes.
    fn believed_after(mut calendar: Calendar, start: u64) -> u64 {
        (0..)
            .map(|round| round * 600)
            .find(|after| {
                let (next, is_believed) = calendar.told(at(start + after));
                calendar = next;
                is_believed
            })
            .unwrap()
    }

    #[test]
    fn a_clock_that_goes_on_is_believed() {
        assert_eq!(believed_after(Calendar::default(), IN_2300), 0);
        assert_eq!(believed_after(believing(NOW), NOW + 600), 0);
        assert_eq!(believed_after(believing(NOW), NOW + LEAP), 0);
        assert_eq!(believed_after(believing(NOW), NOW - LEAP), 0);
    }

    #[test]
    fn a_clock_that_leaped_is_believed_after_as_long_again_or_a_week() {
        assert_eq!(believed_after(believing(NOW), NOW + 2 * HOUR), 2 * HOUR);
        assert_eq!(believed_after(believing(NOW), NOW + 3 * DAY), 3 * DAY);
        assert_eq!(believed_after(believing(NOW), IN_2300), 7 * DAY);
    }

    #[test]
    fn a_clock_that_leaps_again_or_was_set_right_begins_anew() {
        let (doubting, _) = believing(NOW).told(at(IN_2300));
        assert_eq!(believed_after(doubting, IN_2300 + 300 * DAY), 7 * DAY);
        let (right, is_believed) = doubting.told(at(NOW + 600));
        assert_eq!((right, is_believed), (believing(NOW + 600), true));
    }

    #[test]
    fn a_clock_that_was_set_back_is_believed_after_as_long_again_or_a_week_too() {
        assert_eq!(believed_after(believing(NOW), NOW - 3 * DAY), 3 * DAY - HOUR, "it is as late again");
        assert_eq!(believed_after(believing(NOW), 60), 7 * DAY);
        assert_eq!(believed_after(believing(IN_2300), NOW), 7 * DAY, "it began with a wrong one");
    }

    #[test]
    fn a_clock_that_is_a_little_behind_changes_nothing() {
        assert_eq!(believing(NOW).told(at(NOW - LEAP)), (believing(NOW), true));
    }
}
