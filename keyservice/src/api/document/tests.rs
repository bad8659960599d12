//! The description against the router and the parsers.

use std::collections::BTreeSet;

use serde_json::Value;
use tollkeeper_contract::{Scope, Subject, TeamId};

use super::DOCUMENT;
use crate::domain::{Moment, Name};

/// The routes as `router` has them: method and path.
fn served() -> BTreeSet<(String, String)> {
    let source = include_str!("../mod.rs");
    let prefixes =
        [("fn router", ""), ("fn admin_routes", "/v1"), ("fn public_routes", ""), ("fn node_routes", "/node/v1")];
    let mut routes = BTreeSet::new();
    for function in source.split("\n}\n") {
        let Some((_, prefix)) = prefixes.iter().find(|(name, _)| function.contains(&format!("{name}("))) else {
            assert!(!function.contains(".route("), "a function that this test does not know has routes: {function}");
            continue;
        };
        for route in function.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                if route.split([' ', '.', '\n']).any(|word| word.starts_with(&format!("{method}("))) {
                    routes.insert((method.to_owned(), format!("{prefix}{path}")));
                }
            }
        }
    }
    routes
}

fn described() -> BTreeSet<(String, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods: Vec<_> =
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())).collect();
        methods
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    assert!(served().len() > 20, "{:?}", served());
    assert_eq!(served(), described());
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_name() {
    let text = DOCUMENT.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(DOCUMENT.pointer(reference).is_some(), "{reference}");
    }
    let ids: Vec<_> = text.split("\"operationId\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), described().len(), "{ids:?}");
}

/// Whether the schema of that name takes the text.
fn takes(schema: &str, text: &str) -> bool {
    let schema = DOCUMENT.pointer(&format!("/components/schemas/{schema}")).unwrap();
    jsonschema::is_valid(schema, &text.into())
}

#[test]
fn the_rules_of_texts_are_those_of_the_parsers() {
    let long = "x".repeat(129);
    let texts = [
        "",
        " ",
        "a",
        "acme",
        "A-1_2.b~",
        ".",
        "..",
        "..a",
        "a b",
        " a",
        "a ",
        "a/b",
        "ü",
        "Größe & Söhne",
        "a\nb",
        "a\n",
        "\u{85}",
        "\u{200b}",
        "a\u{202e}b",
        "\"",
        "\\",
        "read:all",
        "\u{7f}",
        "2030-01-31T12:00:00Z",
        "2030-01-31T12:00:00.5+02:00",
        "2030-01-31 12:00:00Z",
        "2030-01-31T12:00Z",
        "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "2030-13-01T00:00:00Z",
        "2030-01-31t12:00:00z",
        &long[..64],
        &long[..65],
        &long[..128],
        &long,
    ];
    for text in texts {
        assert_eq!(takes("TenantId", text), TeamId::parse(text).is_ok(), "team id {text:?}");
        assert_eq!(takes("Label", text), Name::parse(text).is_ok(), "name {text:?}");
        assert_eq!(takes("ScopeWord", text), Scope::parse(text).is_ok(), "scope {text:?}");
        assert_eq!(takes("SubjectText", text), Subject::parse(text).is_ok(), "subject {text:?}");
        assert_eq!(takes("Time", text), Moment::parse(text).is_ok(), "time {text:?}");
    }
}
