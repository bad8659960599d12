//! Path templates such as `/api/{team}/...`: which paths fit, asked on every request.

/// Which paths a route is for, byte for byte and case-sensitive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) segments: Box<[Segment]>,
    pub(super) end: End,
}

/// What one part of a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// These bytes. Empty only as the last one: the path ends with a slash.
    Literal(Box<[u8]>),
    /// Any one segment that is not empty.
    Any,
    /// The same, and it must be the team of the key.
    Team,
}

/// What may come after the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The path ends with the template.
    Closed,
    /// Zero or more segments may follow.
    Open,
}

/// A path that fits a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fit<'p> {
    /// The team that the path names, if the template has a place for one.
    pub(super) team: Option<&'p [u8]>,
}

impl Template {
    /// Fits a path without its query. Allocates nothing; looks at each byte at most once.
    pub(super) fn fit<'p>(&self, path: &'p [u8]) -> Option<Fit<'p>> {
        let mut given = path.strip_prefix(b"/")?.split(|byte| *byte == b'/');
        let mut team = None;
        for segment in &self.segments {
            let given = given.next()?;
            match segment {
                Segment::Literal(literal) if **literal == *given => {}
                Segment::Any if !given.is_empty() => {}
                Segment::Team if !given.is_empty() => team = Some(given),
                Segment::Literal(_) | Segment::Any | Segment::Team => return None,
            }
        }
        match self.end {
            End::Open => Some(Fit { team }),
            End::Closed => given.next().is_none().then_some(Fit { team }),
        }
    }

    /// Whether every path that fits `other` fits this template too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let as_long = match (self.end, other.end) {
            (End::Closed, End::Open) => false,
            (End::Closed, End::Closed) => self.segments.len() == other.segments.len(),
            (End::Open, End::Closed | End::Open) => self.segments.len() <= other.segments.len(),
        };
        as_long && self.segments.iter().zip(&other.segments).all(|(mine, theirs)| mine.covers(theirs))
    }

    /// Whether the path names a team.
    pub(super) fn has_team(&self) -> bool {
        self.segments.contains(&Segment::Team)
    }
}

impl Segment {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(mine), Self::Literal(theirs)) => mine == theirs,
            (Self::Literal(_), Self::Any | Self::Team) => false,
            (Self::Any | Self::Team, Self::Literal(theirs)) => !theirs.is_empty(),
            (Self::Any | Self::Team, Self::Any | Self::Team) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, Template};
    use crate::config::{
        json::Json,
        mistakes::{Mistakes, Place},
        setting::Setting,
    };

    fn template(text: &str) -> Template {
        let mut mistakes = Mistakes::none();
        let read = Template::read(&Json::from(text), &Place::Whole, &mut mistakes);
        mistakes.settle(read).unwrap_or_else(|mistakes| panic!("{text}: {mistakes}"))
    }

    #[test]
    fn a_path_fits_segment_by_segment() {
        for (text, fits, misses) in [
            ("/", vec!["/"], vec!["", "//", "/a"]),
            ("/healthz", vec!["/healthz"], vec!["/", "/healthz/", "/HEALTHZ", "/healthz/x", "healthz", "*"]),
            ("/docs/", vec!["/docs/"], vec!["/docs", "/docs//"]),
            ("/...", vec!["/", "/a", "/a/"], vec!["", "*", "a"]),
            ("/a/...", vec!["/a", "/a/", "/a/b/c", "/a//"], vec!["/", "/ab", "/ab/c"]),
            ("/{x}/b", vec!["/a/b", "/b/b"], vec!["//b", "/a/b/", "/a"]),
            ("/a...", vec!["/a..."], vec!["/a", "/a/b"]),
        ] {
            let template = template(text);
            for path in fits {
                assert!(template.fit(path.as_bytes()).is_some(), "{text} fits {path}");
            }
            for path in misses {
                assert!(template.fit(path.as_bytes()).is_none(), "{text} does not fit {path}");
            }
        }
    }

    #[test]
    fn the_team_is_taken_from_the_path_byte_for_byte() {
        let template = template("/api/{team}/...");
        let fit = |path| template.fit(path);
        for path in ["/api/acme", "/api/acme/", "/api/acme/x/y"] {
            assert_eq!(fit(path.as_bytes()), Some(Fit { team: Some(b"acme") }), "{path}");
        }
        assert_eq!(fit(b"/api/\xff%2F/x"), Some(Fit { team: Some(b"\xff%2F") }));
        assert_eq!(fit(b"/api/"), None);
        assert_eq!(fit(b"/api"), None);
        assert_eq!(fit(b"/api//x"), None);
    }

    #[test]
    fn a_template_covers_those_that_can_match_nothing_else() {
        for (wide, narrow) in [
            ("/...", "/"),
            ("/...", "/{team}/..."),
            ("/a/...", "/a"),
            ("/a/...", "/a/{x}/..."),
            ("/{x}", "/{team}"),
            ("/{x}/b", "/a/b"),
            ("/a/", "/a/"),
        ] {
            assert!(template(wide).covers(&template(narrow)), "{wide} covers {narrow}");
        }
        for (narrow, wide) in
            [("/a", "/a/..."), ("/a/{x}/...", "/a/..."), ("/{x}", "/"), ("/a/{x}", "/a/"), ("/a", "/{x}"), ("/a", "/b")]
        {
            assert!(!template(narrow).covers(&template(wide)), "{narrow} does not cover {wide}");
        }
    }
}
