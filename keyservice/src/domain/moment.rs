//! A point in time as everybody reads it (RFC 3339) and as the table keeps it (Unix seconds).

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};

/// A second between 1970 and the end of 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

/// A text or number that is no [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as in RFC 3339, for example 2030-01-31T12:00:00Z, and lies between 1970 and 9999")]
pub struct InvalidMoment;

impl Moment {
    /// The last moment: the last second that can be written in every time zone.
    pub const MAX: u64 = 253_402_207_200;

    /// The moment that many seconds after 1970.
    ///
    /// # Errors
    /// When it lies behind [`Moment::MAX`].
    pub fn from_unix(seconds: u64) -> Result<Self, InvalidMoment> {
        if seconds <= Self::MAX { Ok(Self(seconds)) } else { Err(InvalidMoment) }
    }

    /// Reads RFC 3339; fractions of a second are cut off.
    ///
    /// # Errors
    /// When the text is not RFC 3339, or the time out of range.
    pub fn parse(text: &str) -> Result<Self, InvalidMoment> {
        // The parser also reads other forms, such as `[Europe/Paris]` behind the time, which clients could not rely on.
        let time: Timestamp =
            Some(text).filter(|text| is_rfc3339(text)).ok_or(InvalidMoment)?.parse().map_err(|_| InvalidMoment)?;
        u64::try_from(time.as_second()).map_err(|_| InvalidMoment).and_then(Self::from_unix)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix(self) -> u64 {
        self.0
    }

    /// The moment `seconds` later, at most the last one.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds).min(Self::MAX))
    }

    /// The moment `seconds` earlier, at least the first one.
    #[must_use]
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

/// Whether the text has the form of RFC 3339, section 5.6: `YYYY-MM-DDTHH:MM:SS`, perhaps a fraction, `Z` or `±HH:MM`.
fn is_rfc3339(text: &str) -> bool {
    let Some((time, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let zone = match rest.strip_prefix('.').map(|rest| (rest, rest.trim_start_matches(|c: char| c.is_ascii_digit()))) {
        Some((fraction, zone)) if fraction == zone => return false,
        Some((_, zone)) => zone,
        None => rest,
    };
    let zone_fits = ["Z", "+00:00", "-00:00"].iter().any(|form| has_form(zone, form));
    has_form(time, "0000-00-00T00:00:00") && zone_fits
}

/// Whether a text has digits where `form` has them, and the same characters elsewhere; letters in any case.
fn has_form(text: &str, form: &str) -> bool {
    let fits =
        |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte.eq_ignore_ascii_case(&form) };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let time = Timestamp::from_second(seconds).map_err(|_| fmt::Error)?;
        write!(f, "{}", time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

#[cfg(test)]
mod tests {
    use super::Moment;

    #[test]
    fn a_time_is_read_in_any_zone_and_written_in_utc() {
        let moment = Moment::parse("2030-01-31T12:00:00.9+02:00").unwrap();
        assert_eq!(moment.to_string(), "2030-01-31T10:00:00Z");
        assert_eq!(Moment::parse("1970-01-01T00:00:00Z").unwrap().unix(), 0);
        assert_eq!(Moment::parse("2030-01-31t10:00:00z"), Ok(moment));
    }

    #[test]
    fn times_out_of_range_or_form_are_refused() {
        let bad = ["", "soon", "2030-01-31", "2030-01-31T12:00:00", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z"];
        for text in bad.into_iter().chain(["2030-02-30T00:00:00Z", "1700000000", "2030-01-31T12:00:00Z[UTC]"]) {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn forms_of_other_standards_are_refused() {
        for text in [
            "20300131T120000Z",
            "2030-01-31T12Z",
            "2030-01-31T12:00Z",
            "2030-01-31T12:00:00+02",
            "2030-01-31T12:00:00+0200",
            "2030-01-31T12:00:00.Z",
            "2030-01-31T12:00:00+02:00:30",
            "+002030-01-31T12:00:00Z",
            "2030-01-31T12:00:00é",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_moment_can_be_written_and_read() {
        let last = Moment::from_unix(Moment::MAX).unwrap();
        assert_eq!(Moment::parse(&last.to_string()), Ok(last));
        assert!(Moment::from_unix(Moment::MAX + 1).is_err());
        assert_eq!(last.plus(1), last);
    }
}
