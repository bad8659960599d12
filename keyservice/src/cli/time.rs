//! Times on the command line: RFC 3339, or how long from now.

use serde_json::Value;

use crate::{domain::Moment, edge};

/// A time that is set, or taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum When {
    At(Moment),
    In { seconds: u64 },
    Never,
}

impl When {
    /// Reads RFC 3339, a number with `s`, `m`, `h`, `d` or `w`, or `never`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        if let Some(seconds) = duration(text) {
            let end = edge::now().unix().checked_add(seconds).filter(|end| *end <= Moment::MAX);
            return end
                .map(|_| Self::In { seconds })
                .ok_or_else(|| "this duration ends behind the year 9999".to_owned());
        }
        Moment::parse(text).map(Self::At).map_err(|_| {
            "write a time such as 2030-01-31T12:00:00Z, a duration from now such as 90d (s, m, h, d, w), or never"
                .to_owned()
        })
    }

    /// The value for the admin API.
    pub(crate) fn to_json(&self, now: Moment) -> Value {
        match self {
            Self::At(moment) => moment.to_string().into(),
            Self::In { seconds } => now.plus(*seconds).to_string().into(),
            Self::Never => Value::Null,
        }
    }
}

/// How long something lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u64);

impl Span {
    /// Reads a number with `s`, `m`, `h`, `d` or `w`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        duration(text).map(Self).ok_or_else(|| "write a duration such as 90s or 24h (s, m, h, d, w)".to_owned())
    }

    /// In seconds.
    pub(crate) fn seconds(self) -> u64 {
        self.0
    }
}

fn duration(text: &str) -> Option<u64> {
    let (at, unit) = text.char_indices().last()?;
    let unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        'w' => 7 * 24 * 60 * 60,
        _ => return None,
    };
    let count = text.get(..at).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()))?;
    count.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::When;
    use crate::domain::Moment;

    #[test]
    fn times_and_durations_are_read() {
        assert_eq!(When::parse("90d"), Ok(When::In { seconds: 7_776_000 }));
        assert_eq!(When::parse("2w"), Ok(When::In { seconds: 1_209_600 }));
        assert_eq!(When::parse("never"), Ok(When::Never));
        assert_eq!(When::parse("1970-01-01T00:00:09Z"), Ok(When::At(Moment::from_unix(9).unwrap())));
        assert_eq!(When::In { seconds: 1 }.to_json(Moment::from_unix(8).unwrap()), "1970-01-01T00:00:09Z");
    }

    #[test]
    fn a_duration_that_ends_behind_the_year_9999_is_refused() {
        for text in ["9999999d", "18446744073709551615s"] {
            assert!(When::parse(text).unwrap_err().contains("9999"), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "d", "-1d", "+1d", "1y", "1.5h", "soon", "99999999999999999999d", "18446744073709551615w", "1é"]
        {
            assert!(When::parse(text).is_err(), "{text}");
        }
    }
}
