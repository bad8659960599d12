//! Closed vocabularies of the configuration, and sets of their words.

use std::marker::PhantomData;

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place, Quoted},
    setting::{Setting, wrong_kind},
    values::list,
};

/// A word out of a closed list of at most 16.
pub(super) trait Word: Setting + Copy + PartialEq + 'static {
    /// All words, in the order of their definition.
    const ALL: &'static [Self];
    /// What such a word is called in a mistake, such as `a style`.
    const CALLED: &'static str;

    /// The word as it is written.
    fn text(self) -> &'static str;

    /// The word's own bit.
    fn bit(self) -> u16;
}

/// Defines an enum by how its words are written.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $visible:vis $name:ident, $called:literal { $( $(#[$says:meta])* $word:ident = $text:literal, )+ }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visible enum $name {
            $( $(#[$says])* $word, )+
        }

        impl $name {
            /// Every one, in the order of their definition.
            $visible const ALL: &'static [Self] = &[$(Self::$word),+];

            /// As it is written.
            #[must_use]
            $visible const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$word => $text, )+
                }
            }
        }

        impl $crate::config::words::Word for $name {
            const ALL: &'static [Self] = Self::ALL;
            const CALLED: &'static str = $called;

            fn text(self) -> &'static str {
                self.as_str()
            }

            fn bit(self) -> u16 {
                1_u16.wrapping_shl(self as u32)
            }
        }

        impl $crate::config::setting::Setting for $name {
            fn read(
                json: &$crate::config::json::Json,
                place: &$crate::config::mistakes::Place<'_>,
                mistakes: &mut $crate::config::mistakes::Mistakes,
            ) -> Result<Self, $crate::config::mistakes::Noted> {
                $crate::config::words::read_word(json, place, mistakes)
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($text),+] })
            }
        }
    };
}
pub(super) use words;

/// Reads one word.
pub(super) fn read_word<W: Word>(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<W, Noted> {
    let known = known::<W>();
    let Json::Text(text) = json else {
        // Envoy's YAML reader takes `off` for a boolean.
        let hint = if matches!(json, Json::Bool(_)) { " (in quotes, if this is YAML)" } else { "" };
        return Err(wrong_kind(json, format_args!("one of {known}{hint}"), place, mistakes));
    };
    let word = W::ALL.iter().find(|word| word.text() == text);
    word.copied().ok_or_else(|| {
        let text = Quoted(text);
        mistakes.note(place, format_args!("{text} is not {}; use one of {known}", W::CALLED))
    })
}

fn known<W: Word>() -> String {
    W::ALL.iter().map(|word| word.text()).collect::<Vec<_>>().join(", ")
}

/// A set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set<W> {
    bits: u16,
    words: PhantomData<W>,
}

impl<W: Word> Set<W> {
    pub(super) fn empty() -> Self {
        Self { bits: 0, words: PhantomData }
    }

    pub(super) fn all() -> Self {
        W::ALL.iter().copied().collect()
    }

    pub(super) fn contains(self, word: W) -> bool {
        self.bits & word.bit() != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.bits == 0
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self { bits: self.bits & !other.bits, words: PhantomData }
    }

    /// The words of the set, in the order of their definition.
    pub(super) fn iter(self) -> impl Iterator<Item = W> {
        W::ALL.iter().copied().filter(move |word| self.contains(*word))
    }
}

impl<W: Word> FromIterator<W> for Set<W> {
    fn from_iter<I: IntoIterator<Item = W>>(words: I) -> Self {
        let bits = words.into_iter().fold(0, |bits, word| bits | word.bit());
        Self { bits, words: PhantomData }
    }
}

/// A set is written as a list of at least one word, none twice.
impl<W: Word> Setting for Set<W> {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let words: Vec<W> = list(json, place, mistakes)?;
        if words.is_empty() {
            let what = format_args!("is empty; list at least one of {}", known::<W>());
            return Err(mistakes.note(place, what));
        }
        Ok(words.into_iter().collect())
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "array", "items": W::schema(), "minItems": 1, "uniqueItems": true })
    }
}
