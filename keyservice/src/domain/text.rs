//! Texts that people and nodes send: bounded, and without characters that break a line of a log.

use std::fmt;

use tollkeeper_contract::Digest;

/// Why a text is refused: says the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(&'static str);

impl InvalidText {
    pub(super) fn new(rule: &'static str) -> Self {
        Self(rule)
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $accepts:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Reads the text.
            ///
            /// # Errors
            /// Says the rule that the text breaks.
            pub fn parse(text: &str) -> Result<Self, InvalidText> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) { Ok(Self(text.to_owned())) } else { Err(InvalidText($rule)) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(
    /// What people call a team or a key.
    Name,
    |text| is_line(text, 128),
    "a name is 1 to 128 characters without control or format characters, with no space at either end"
);

text!(
    /// What a token of the admin API is called, to tell it from others.
    TokenName,
    |text| (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)),
    "the name of a token is 1 to 32 of a-z 0-9 - _ ."
);

text!(
    /// Why somebody revoked a key, in their words.
    Reason,
    |text| is_line(text, 256),
    "a reason is 1 to 256 characters without control or format characters, with no space at either end"
);

text!(
    /// How a node calls itself; Envoy's `node.id`, for example.
    NodeName,
    |text| (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
    "a node name is 1 to 256 visible ASCII characters"
);

fn is_line(text: &str, most: usize) -> bool {
    let count = text.chars().count();
    (1..=most).contains(&count) && !text.chars().any(is_unseen) && text.trim() == text
}

/// Controls, separators of lines, and what Unicode calls format characters (category Cf): those that cannot be seen, or
/// that turn the direction of the text around them, make one name look like another.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// What a client sends to make a repeated request count once; only its digest is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(Digest);

impl IdempotencyKey {
    /// Reads 1 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// Says the rule that the text breaks.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidText> {
        if (1..=255).contains(&text.len()) && text.iter().all(u8::is_ascii_graphic) {
            return Ok(Self(Digest::of(text)));
        }
        Err(InvalidText("an idempotency key is 1 to 255 visible ASCII characters, best a random UUID"))
    }

    /// The digest under which the request is remembered.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{IdempotencyKey, Name, NodeName, Reason};

    #[test]
    fn names_and_reasons_stay_on_one_line() {
        assert!(Name::parse("Größe & Söhne").is_ok());
        for bad in ["", " x", "x ", "a\nb", "a\0", "\u{85}", &"x".repeat(129)] {
            assert!(Name::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Reason::parse(&"ü".repeat(256)).is_ok());
        assert!(Reason::parse(&"ü".repeat(257)).is_err());
    }

    #[test]
    fn characters_that_nobody_sees_are_refused_in_names_and_reasons() {
        for bad in ["ac\u{200b}me", "\u{202e}emca", "a\u{2028}b", "a\u{2029}b", "\u{feff}acme", "a\u{e0041}"] {
            assert!(Name::parse(bad).is_err() && Reason::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_node_name_is_what_envoy_and_istio_use() {
        assert!(NodeName::parse("router~10.0.0.1~edge-7c9.istio-system~istio-system.svc.cluster.local").is_ok());
        for bad in ["", "a b", "a\n", "ä", &"x".repeat(257)] {
            assert!(NodeName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_idempotency_key_is_bounded() {
        assert!(IdempotencyKey::parse(b"f47ac10b-58cc-4372-a567-0e02b2c3d479").is_ok());
        for bad in [b"".as_slice(), b"a b", b"\xff", &[b'x'; 256]] {
            assert!(IdempotencyKey::parse(bad).is_err(), "{bad:?}");
        }
    }
}
