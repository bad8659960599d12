//! JSON as it was written: a repeated field stays visible, so that the reader can refuse it.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::mistakes::{Mistakes, Noted, Place};

/// The largest configuration, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// How deep lists and objects may lie in each other.
const MAX_DEPTH: usize = 32;

/// One JSON value; an object keeps its fields in order, repeated ones too.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads the whole of `bytes` as one value.
    pub(super) fn parse(bytes: &[u8], mistakes: &mut Mistakes) -> Result<Self, Noted> {
        if bytes.len() > MAX_BYTES {
            let what = format_args!("is {} bytes long; use at most {MAX_BYTES}", bytes.len());
            return Err(mistakes.note(&Place::Whole, what));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(mistakes.note(&Place::Whole, "is empty; give a JSON object"));
        }
        Self::from_text(bytes).map_err(|error| {
            let place = Place::Line { line: error.line(), column: error.column() };
            mistakes.note(&place, format_args!("cannot be read as JSON: {}", without_position(&error)))
        })
    }

    /// The field `name`, if this is an object that has it.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    fn from_text(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut text = serde_json::Deserializer::from_slice(bytes);
        let json = Below { levels: MAX_DEPTH }.deserialize(&mut text)?;
        text.end()?;
        Ok(json)
    }

    /// An object of numbers.
    pub(super) fn numbers<const N: usize>(fields: [(&str, u32); N]) -> Self {
        let field = |(name, number): (&str, u32)| (name.to_owned(), Self::from(number));
        Self::Object(fields.into_iter().map(field).collect())
    }

    /// What kind of value this is, for a mistake: `is a string`.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// The error's words without its ` at line 1 column 2`, which stand in front already.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Reads a value that has so many levels left below itself.
#[derive(Clone, Copy)]
struct Below {
    levels: usize,
}

impl Below {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        match self.levels.checked_sub(1) {
            Some(levels) => Ok(Self { levels }),
            None => Err(E::custom(format_args!("lists and objects lie more than {MAX_DEPTH} deep"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Below {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Json::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let below = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let below = self.deeper()?;
        let mut fields = Vec::new();
        while let Some(name) = object.next_key()? {
            fields.push((name, object.next_value_seed(below)?));
        }
        Ok(Json::Object(fields))
    }
}

// Defaults are written as plain Rust values in the definitions of the settings.

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl<const N: usize> From<[&str; N]> for Json {
    fn from(texts: [&str; N]) -> Self {
        Self::List(texts.into_iter().map(Self::from).collect())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl From<Json> for serde_json::Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text),
            Json::List(items) => items.into_iter().map(Self::from).collect(),
            Json::Object(fields) => fields.into_iter().map(|(name, json)| (name, Self::from(json))).collect(),
        }
    }
}
