//! The single values of a configuration: texts, numbers and lists of them.

use std::ops::Deref;

use tollkeeper_contract::{Scope, Scopes};

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place},
    setting::{Setting, wrong_kind},
};

/// Defines a text that holds nothing but what its rule allows.
///
/// A mistake never repeats the text itself: a secret may have been put in the wrong field.
macro_rules! texts {
    ($( $(#[doc = $doc:expr])* $name:ident: $pattern:literal = $accepts:expr, $use:literal; )+) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The text, if it keeps the rule.
            pub(super) fn parse(text: &str) -> Option<Self> {
                let accepts: fn(&str) -> bool = $accepts;
                accepts(text).then(|| Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Setting for $name {
            fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
                let text = text(json, $use, place, mistakes)?;
                Self::parse(text).ok_or_else(|| mistakes.note(place, concat!("is not allowed; use ", $use)))
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> serde_json::Value {
                serde_json::json!({ "type": "string", "pattern": $pattern })
            }
        }
    )+ };
}

texts! {
    /// The name of an installation: stands before the name of everything that it shares.
    Instance: r"^[a-z0-9-]{1,32}$" =
        |text| is_made_of(text, 32, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')),
        "1 to 32 lower-case letters, digits and \"-\"";

    /// The protection space that a challenge names (RFC 9110 section 11.5); fit for a quoted string.
    Realm: r#"^[ !#-\[\]-~]{1,64}$"# =
        |text| is_made_of(text, 64, |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')),
        "1 to 64 printable ASCII characters without \" and \\";

    /// Who issues tokens or takes them (RFC 7519 section 2, StringOrURI).
    Party: r"^[!-~]{1,255}$" =
        |text| is_made_of(text, 255, |byte| byte.is_ascii_graphic()),
        "1 to 255 printable ASCII characters without spaces, such as a name or an https address";

    /// The name of an Envoy cluster.
    Cluster: r"^[!-~]{1,255}$" =
        |text| is_made_of(text, 255, |byte| byte.is_ascii_graphic()),
        "the name of an Envoy cluster, 1 to 255 printable ASCII characters without spaces";

    /// What a request names as its host: a name or an address, with or without a port.
    Authority: r"^[A-Za-z0-9._:\[\]-]{1,255}$" =
        |text| is_made_of(text, 255, is_authority_byte),
        "a host name or address, with or without a port";

    /// The name of an environment variable.
    EnvName: r"^[A-Za-z_][A-Za-z0-9_]{0,63}$" =
        |text| is_made_of(text, 64, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !text.starts_with(|first: char| first.is_ascii_digit()),
        "the name of an environment variable (not its value): 1 to 64 letters, digits and \"_\"";
}

fn is_made_of(text: &str, longest: usize, allowed: fn(u8) -> bool) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_authority_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'[' | b']' | b'-')
}

/// The string that must stand at `place`.
pub(super) fn text<'j>(
    json: &'j Json,
    expected: &str,
    place: &Place<'_>,
    mistakes: &mut Mistakes,
) -> Result<&'j str, Noted> {
    let Json::Text(text) = json else {
        return Err(wrong_kind(json, expected, place, mistakes));
    };
    Ok(text)
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    pub(super) fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Setting for Whole<MIN, MAX> {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let expected = format_args!("a whole number from {MIN} to {MAX}");
        let Json::Number(given) = json else {
            return Err(wrong_kind(json, expected, place, mistakes));
        };
        // Kubernetes controllers pass settings through a protobuf Struct, which knows floating-point numbers only:
        // 300.0 is 300.
        let number = given.as_f64().unwrap_or(f64::INFINITY);
        if number.fract() != 0.0 {
            return Err(mistakes.note(place, format_args!("{given} is not whole; use {expected}")));
        }
        if !(f64::from(MIN)..=f64::from(MAX)).contains(&number) {
            return Err(mistakes.note(place, format_args!("{given} is out of range; use {expected}")));
        }
        Ok(Self(number as u32))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// Reads a list that says nothing twice.
pub(super) fn list<T: Setting + PartialEq>(
    json: &Json,
    place: &Place<'_>,
    mistakes: &mut Mistakes,
) -> Result<Vec<T>, Noted> {
    let Json::List(items) = json else {
        return Err(wrong_kind(json, "a list", place, mistakes));
    };
    let mut read: Vec<T> = Vec::new();
    let mut refused = None;
    for (index, item) in items.iter().enumerate() {
        let place = place.item(index);
        match T::read(item, &place, mistakes) {
            Ok(item) if read.contains(&item) => {
                refused = Some(mistakes.note(&place, "is listed already; remove it"));
            }
            Ok(item) => read.push(item),
            Err(noted) => refused = Some(noted),
        }
    }
    refused.map_or(Ok(read), Err)
}

impl Setting for Scope {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let text = text(json, "a scope", place, mistakes)?;
        Self::parse(text).map_err(|rule| mistakes.note(place, format_args!("is no scope; {rule}")))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": r"^[!#-\[\]-~]{1,64}$" })
    }
}

/// Scopes that a key must have, all of them; may be empty.
#[derive(Debug, Clone)]
pub(super) struct ScopeList(pub(super) Box<[Scope]>);

impl Setting for ScopeList {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        if let Json::List(items) = json
            && items.len() > Scopes::MAX
        {
            let what = format_args!("lists {} scopes; a key has at most {}", items.len(), Scopes::MAX);
            return Err(mistakes.note(place, what));
        }
        list(json, place, mistakes).map(|scopes| Self(scopes.into()))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        serde_json::json!({
            "type": "array", "items": Scope::schema(), "uniqueItems": true, "maxItems": Scopes::MAX,
        })
    }
}
