//! Where the filter's configurations stand in a file that was written for Envoy or Kubernetes.

use serde_json::{Map, Value};

use crate::guard;

/// One configuration of the filter.
pub(crate) struct Found {
    /// Where it stands in the file; empty if it is the file.
    pub(crate) place: String,
    /// Its JSON, as Envoy will hand it over, or why there is none.
    pub(crate) configuration: Result<Vec<u8>, String>,
}

/// Finds every configuration of the filter; never none.
///
/// # Errors
/// Says why there is none.
pub(crate) fn configurations(bytes: Vec<u8>) -> Result<Vec<Found>, String> {
    let documents = match documents(&bytes) {
        Ok(documents) => documents,
        Err(_) if is_json(&bytes) => return Ok(vec![whole(bytes)]),
        Err(why) => return Err(why),
    };
    let mut found = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let place = if documents.len() > 1 { format!("document {}", index + 1) } else { String::new() };
        search(document, &place, &mut found);
    }
    if !found.is_empty() {
        return Ok(found);
    }
    match documents.as_slice() {
        [] => Ok(vec![whole(bytes)]),
        [document] if !is_for_others(document) && is_json(&bytes) => Ok(vec![whole(bytes)]),
        [document] if !is_for_others(document) => Ok(vec![whole(document.to_string().into_bytes())]),
        _ => Err("holds no configuration of tollkeeper (--help says what is looked for)".to_owned()),
    }
}

fn whole(configuration: Vec<u8>) -> Found {
    Found { place: String::new(), configuration: Ok(configuration) }
}

/// JSON is YAML, but not the other way round: what begins like an object is meant as JSON.
fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_none_or(|first| matches!(first, b'{' | b'['))
}

fn documents(bytes: &[u8]) -> Result<Vec<Value>, String> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(vec![value]);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    // As Envoy reads YAML: `off` is a boolean, `010` is 8, `1_000` a string.
    let options = serde_saphyr::options! {
        strict_booleans: false,
        legacy_octal_numbers: true,
        underscored_numbers_as_strings: true,
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| format!("is neither JSON nor YAML: {error}"))
}

/// An Envoy bootstrap or xDS file, or a Kubernetes object.
fn is_for_others(document: &Value) -> bool {
    const THEIRS: [&str; 7] =
        ["static_resources", "dynamic_resources", "resources", "admin", "kind", "apiVersion", "@type"];
    THEIRS.iter().any(|name| document.get(name).is_some())
}

pub(crate) fn search(value: &Value, place: &str, found: &mut Vec<Found>) {
    match value {
        Value::Object(fields) => {
            found.extend(plugin(fields, place));
            for (name, value) in fields {
                let inner = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                found.extend(guard::missing(name, value, &inner));
                search(value, &inner, found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, &format!("{place}[{index}]"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// How a Wasm plugin looks: a field that marks it, the field of its configuration, and how
/// that becomes the bytes that the filter is given.
type Shape = (&'static str, &'static str, fn(&Value) -> Result<Vec<u8>, String>);

const SHAPES: [Shape; 4] = [
    // Istio's WasmPlugin; may have a `vmConfig` too, so it comes first.
    ("pluginConfig", "pluginConfig", as_it_is),
    // Envoy's PluginConfig, in both spellings of protobuf's JSON.
    ("vm_config", "configuration", unpack),
    ("vmConfig", "configuration", unpack),
    // Envoy Gateway's EnvoyExtensionPolicy.
    ("code", "config", as_it_is),
];

/// The configuration of a Wasm plugin, if this object is one and belongs to tollkeeper.
fn plugin(fields: &Map<String, Value>, place: &str) -> Option<Found> {
    let has_both = |(marker, name, _): &&Shape| fields.contains_key(*marker) && fields.contains_key(*name);
    let (_, name, read) = SHAPES.iter().find(has_both)?;
    let configuration = read(fields.get(*name)?);
    let others = || fields.iter().filter(|(other, _)| other != name).map(|(_, value)| value);
    if !others().any(|value| mentions(value, "tollkeeper")) && !asks_key_service(&configuration) {
        return None;
    }
    let dot = if place.is_empty() { "" } else { "." };
    Some(Found { place: format!("{place}{dot}{name}"), configuration })
}

fn as_it_is(value: &Value) -> Result<Vec<u8>, String> {
    Ok(value.to_string().into_bytes())
}

/// What Envoy hands over of a `google.protobuf.Any`.
fn unpack(any: &Value) -> Result<Vec<u8>, String> {
    let kind = any.get("@type").and_then(Value::as_str).unwrap_or_default();
    match (kind.rsplit('/').next(), any.get("value")) {
        (Some("google.protobuf.StringValue"), Some(Value::String(text))) => Ok(text.clone().into_bytes()),
        (Some("google.protobuf.Struct"), _) => Err(
            "@type: Envoy hands a Struct to the filter in protobuf's binary form; use a google.protobuf.StringValue \
             with the settings as JSON"
                .to_owned(),
        ),
        (Some("google.protobuf.StringValue"), _) => {
            Err("value: must be a string; put the settings there as JSON".to_owned())
        }
        _ => Err("@type: is not read here; use type.googleapis.com/google.protobuf.StringValue".to_owned()),
    }
}

pub(crate) fn mentions(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text.to_ascii_lowercase().contains(word),
        Value::Array(items) => items.iter().any(|item| mentions(item, word)),
        Value::Object(fields) => fields.values().any(|field| mentions(field, word)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn asks_key_service(configuration: &Result<Vec<u8>, String>) -> bool {
    let Ok(bytes) = configuration else {
        return false;
    };
    serde_json::from_slice::<Value>(bytes).is_ok_and(|value| value.get("key_service").is_some())
}
