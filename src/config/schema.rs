//! The pieces of the JSON Schema (draft 2020-12) that editors use.

use serde_json::{Map, Value, json};

use super::{json::Json, setting::Setting};

/// A field of an object, described.
pub(super) struct Field {
    name: &'static str,
    schema: Value,
    presence: Presence,
}

#[derive(PartialEq)]
enum Presence {
    Required,
    Optional,
}

impl Field {
    /// The field `name`, described by its documentation and its type.
    pub(super) fn new<T: Setting>(name: &'static str, doc: &[&str], default: Option<Json>) -> Self {
        let mut schema = T::schema();
        describe(&mut schema, doc);
        let presence = match (&default, T::absent()) {
            (None, None) => Presence::Required,
            (Some(_), _) | (_, Some(_)) => Presence::Optional,
        };
        if let (Some(default), Value::Object(schema)) = (default, &mut schema) {
            schema.insert("default".to_owned(), default.into());
        }
        Self { name, schema, presence }
    }
}

/// An object with these fields and no others.
pub(super) fn object<const N: usize>(doc: &[&str], fields: [Field; N]) -> Value {
    let is_required = |field: &&Field| field.presence == Presence::Required;
    let required: Vec<&str> = fields.iter().filter(is_required).map(|field| field.name).collect();
    let mut schema = json!({ "type": "object", "required": required, "additionalProperties": false });
    describe(&mut schema, doc);
    let properties: Map<String, Value> =
        fields.into_iter().map(|field| (field.name.to_owned(), field.schema)).collect();
    if let Value::Object(schema) = &mut schema {
        schema.insert("properties".to_owned(), properties.into());
    }
    schema
}

/// Adds the lines of a doc comment as the description.
fn describe(schema: &mut Value, doc: &[&str]) {
    let Value::Object(schema) = schema else {
        return;
    };
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    if !lines.is_empty() {
        schema.insert("description".to_owned(), lines.join(" ").into());
    }
}

/// The schema as a document of its own.
pub(super) fn document(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), "tollkeeper".into());
    }
    schema
}
