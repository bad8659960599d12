//! One definition of an object gives its struct, its strict reader and its JSON Schema.

use std::{collections::BTreeSet, fmt::Display};

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place, Quoted},
};

/// A type that can be read from a configuration and described by a schema.
pub(super) trait Setting: Sized {
    /// Reads the value that stands at `place`; what is wrong with it is noted, all of it.
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted>;

    /// What a field without a default is when it is not given; `None`: it must be given.
    fn absent() -> Option<Self> {
        None
    }

    /// The JSON Schema of the value.
    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value;
}

impl<T: Setting> Setting for Option<T> {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        T::read(json, place, mistakes).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        T::schema()
    }
}

/// Defines an object of the configuration: each field's documentation, type and default, once.
///
/// A field without a default must be given, unless its type is an `Option`.
/// A default is written as JSON and read by the field's own reader.
macro_rules! settings {
    (
        $(#[doc = $doc:expr])*
        $name:ident {
            $( $(#[doc = $says:expr])* $field:ident: $type:ty $(= $default:expr)?, )+
        }
    ) => {
        $(#[doc = $doc])*
        struct $name {
            $( $(#[doc = $says])* $field: $type, )+
        }

        impl $crate::config::setting::Setting for $name {
            fn read(
                json: &$crate::config::json::Json,
                place: &$crate::config::mistakes::Place<'_>,
                mistakes: &mut $crate::config::mistakes::Mistakes,
            ) -> Result<Self, $crate::config::mistakes::Noted> {
                use $crate::config::setting::{field, fields};
                let given = fields(json, &[$(stringify!($field)),+], place, mistakes)?;
                $(
                    let default = || [$($crate::config::json::Json::from($default))?].into_iter().next();
                    let $field = field(given, stringify!($field), default, place, mistakes);
                )+
                Ok(Self { $($field: $field?),+ })
            }

            #[cfg(not(target_arch = "wasm32"))]
            fn schema() -> serde_json::Value {
                use $crate::config::schema::{Field, object};
                object(&[$($doc),*], [$(
                    Field::new::<$type>(
                        stringify!($field),
                        &[$($says),*],
                        [$($crate::config::json::Json::from($default))?].into_iter().next(),
                    ),
                )+])
            }
        }
    };
}
pub(super) use settings;

/// The fields of an object; those that are repeated or not `known` are noted.
pub(super) fn fields<'j>(
    json: &'j Json,
    known: &[&str],
    place: &Place<'_>,
    mistakes: &mut Mistakes,
) -> Result<&'j [(String, Json)], Noted> {
    let Json::Object(given) = json else {
        return Err(wrong_kind(json, "an object", place, mistakes));
    };
    let mut seen = BTreeSet::new();
    for (name, _) in given {
        let place = place.field(name);
        if !seen.insert(name) {
            mistakes.note(&place, "is given more than once; keep one");
        } else if !known.contains(&name.as_str()) {
            match closest(name, known) {
                Some(meant) => mistakes.note(&place, format_args!("is no field; did you mean {}?", Quoted(meant))),
                None => mistakes.note(&place, format_args!("is no field; use one of {}", known.join(", "))),
            };
        }
    }
    Ok(given)
}

/// Reads one field out of those given.
pub(super) fn field<T: Setting>(
    given: &[(String, Json)],
    name: &str,
    default: impl FnOnce() -> Option<Json>,
    place: &Place<'_>,
    mistakes: &mut Mistakes,
) -> Result<T, Noted> {
    let place = place.field(name);
    if let Some((_, json)) = given.iter().find(|(given, _)| given == name) {
        return T::read(json, &place, mistakes);
    }
    if let Some(json) = default() {
        return T::read(&json, &place, mistakes);
    }
    T::absent().ok_or_else(|| mistakes.note(&place, "is missing; it has no default, so give it"))
}

/// Notes that another kind of value is needed.
pub(super) fn wrong_kind(json: &Json, expected: impl Display, place: &Place<'_>, mistakes: &mut Mistakes) -> Noted {
    mistakes.note(place, format_args!("is {}; use {expected}", json.kind()))
}

/// The known name that a user most likely meant.
fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    const LONGEST: usize = 40;
    if name.len() > LONGEST {
        return None;
    }
    let near = |candidate: &&'k str| {
        let edits = edits(name.as_bytes(), candidate.as_bytes());
        (edits <= 2 && edits < candidate.len().div_ceil(2)).then_some((edits, *candidate))
    };
    known.iter().filter_map(near).min().map(|(_, candidate)| candidate)
}

/// How many bytes to insert, delete or replace to come from one name to the other (Levenshtein).
fn edits(from: &[u8], to: &[u8]) -> usize {
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.iter().enumerate() {
        let mut left = index.saturating_add(1);
        let mut row = vec![left];
        for (b, (diagonal, up)) in to.iter().zip(above.iter().zip(above.iter().skip(1))) {
            let replaced = diagonal.saturating_add(usize::from(a != b));
            left = replaced.min(up.saturating_add(1)).min(left.saturating_add(1));
            row.push(left);
        }
        above = row;
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{closest, edits};

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let known = ["path", "methods", "key_service", "scopes"];
        assert_eq!(closest("method", &known), Some("methods"));
        assert_eq!(closest("key-service", &known), Some("key_service"));
        assert_eq!(closest("scpoes", &known), Some("scopes"));
        assert_eq!(closest("host", &known), None);
        assert_eq!(closest(&"path".repeat(20), &known), None);
        assert_eq!(closest("", &known), None);
    }

    #[test]
    fn edits_are_counted_in_both_directions() {
        for (a, b, count) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("abc", "acb", 2)] {
            assert_eq!(edits(a.as_bytes(), b.as_bytes()), count, "{a} {b}");
            assert_eq!(edits(b.as_bytes(), a.as_bytes()), count, "{b} {a}");
        }
    }
}
