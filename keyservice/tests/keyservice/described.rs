//! Every answer that any test gets is held against the description of the API.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use keyservice::api::DOCUMENT;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The answer has a status that is described, with a body as it is described.
#[track_caller]
pub(crate) fn check(method: &Method, path: &str, status: StatusCode, media: Option<&str>, body: &Value) {
    let Some(operation) = operation(method, path) else {
        let known = [401, 404, 405];
        assert!(known.contains(&status.as_u16()), "{method} {path} is not described, but was answered with {status}");
        return;
    };
    let answer = &operation["responses"][status.as_str()];
    assert!(answer.is_object(), "{method} {path}: {status} is not described; the body was {body}");
    let Some(content) = answer["content"].as_object() else {
        assert!(body.is_null(), "{method} {path}: {status} is described without a body, but had {body}");
        return;
    };
    let media = media.unwrap_or_default();
    let Some(content) = content.get(media) else { panic!("{method} {path}: {status} is not described as {media:?}") };
    if media.ends_with("json") {
        validate(&content["schema"], body, &format!("{method} {path}: {status}"));
    }
}

fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or(path);
    let paths = DOCUMENT["paths"].as_object()?;
    let fits = |template: &str| {
        let (given, described) = (path.split('/'), template.split('/'));
        given.clone().count() == described.clone().count()
            && given.zip(described).all(|(given, described)| given == described || described.starts_with('{'))
    };
    let methods =
        paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))?;
    methods.get(method.as_str().to_lowercase())
}

#[track_caller]
fn validate(schema: &Value, body: &Value, place: &str) {
    let validator = validator(schema);
    let mistakes: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(mistakes.is_empty(), "{place} is not as described: {mistakes:?} in {body}");
}

fn validator(schema: &Value) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let made = || {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Arc::new(jsonschema::draft202012::new(&whole).unwrap())
    };
    validators.entry(schema.to_string()).or_insert_with(made).clone()
}
