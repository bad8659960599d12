//! What is wrong with a configuration: every mistake, where it is, and what to do about it.

use std::fmt::{self, Display, Write};

/// Every mistake of one configuration, never none.
///
/// Displays one mistake a line, as `routes[2].path: what is wrong; what to do`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    listed: Vec<String>,
    unlisted: usize,
}

/// Proof that a mistake has been noted: nothing is refused in silence.
pub(super) struct Noted(());

impl Mistakes {
    /// How many mistakes are listed; further ones are only counted.
    const MOST: usize = 100;

    /// The mistakes before anything has been read.
    pub(super) fn none() -> Self {
        Self { listed: Vec::new(), unlisted: 0 }
    }

    /// Notes that `what` is wrong at `place`.
    pub(super) fn note(&mut self, place: &Place<'_>, what: impl Display) -> Noted {
        if self.listed.len() < Self::MOST {
            self.listed.push(format!("{place}: {what}"));
        } else {
            self.unlisted = self.unlisted.saturating_add(1);
        }
        Noted(())
    }

    /// What has been read, if nothing at all is wrong.
    pub(super) fn settle<T>(self, read: Result<T, Noted>) -> Result<T, Self> {
        match read {
            Ok(value) if self.listed.is_empty() => Ok(value),
            Ok(_) | Err(Noted(())) => Err(self),
        }
    }

    /// The mistakes, each one line; at most 100, and then how many more there are.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.unlisted > 0).then(|| format!("... and {} more", self.unlisted));
        self.listed.iter().cloned().chain(more)
    }
}

impl Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.lines().enumerate() {
            if index > 0 {
                f.write_char('\n')?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Where in the configuration something stands.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// The configuration as a whole.
    Whole,
    /// A place in its text, both counted from 1.
    Line { line: usize, column: usize },
    /// A field of an object.
    Field(&'a Place<'a>, &'a str),
    /// An item of a list, counted from 0.
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    pub(super) fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    pub(super) fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }
}

impl Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("configuration"),
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Field(outer, name) if !is_plain(name) => write!(f, "{outer}[{}]", Quoted(name)),
            Self::Field(Self::Whole, name) => f.write_str(name),
            Self::Field(outer, name) => write!(f, "{outer}.{name}"),
            Self::Item(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}

/// A name that needs no quotes in a path.
fn is_plain(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=Quoted::MOST).contains(&name.len()) && name.bytes().all(word)
}

/// A piece of the user's text, in quotes, escaped and cut so that it cannot spoil a log.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Quoted<'_> {
    const MOST: usize = 60;
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.chars();
        f.write_char('"')?;
        for char in rest.by_ref().take(Self::MOST) {
            write!(f, "{}", char.escape_debug())?;
        }
        f.write_str(if rest.next().is_some() { "...\"" } else { "\"" })
    }
}
