//! Rules between the fields of a body: exactly one of several must be there.

use serde_json::{Map, Value, json};

/// The bodies of which exactly one field is given, and these fields.
const EXACTLY_ONE: [(&str, &[&str]); 5] = [
    ("OriginBody", &["domain", "webhook_url"]),
    ("NewServiceAccountBody", &["team", "enterprise"]),
    ("NewKeyBody", &["team", "service_account", "user"]),
    ("ImportKeyBody", &["team", "service_account", "user"]),
    ("RevokeSessionsBody", &["key", "user"]),
];

/// Adds the rules to the schemas of the document.
pub(super) fn add_to(document: &mut Value) {
    for (name, fields) in EXACTLY_ONE {
        let schema = document.pointer_mut(&format!("/components/schemas/{name}")).and_then(Value::as_object_mut);
        if let Some(schema) = schema {
            schema.insert("oneOf".to_owned(), exactly_one(fields));
        }
    }
}

/// One of the fields is there and not null, and the others are null or left out.
fn exactly_one(fields: &[&str]) -> Value {
    let choice = |chosen: &&str| {
        let rule = |field: &&str| {
            let kind = if field == chosen { "string" } else { "null" };
            ((*field).to_owned(), json!({ "type": kind }))
        };
        json!({ "required": [chosen], "properties": fields.iter().map(rule).collect::<Map<_, _>>() })
    };
    fields.iter().map(choice).collect()
}
