//! The description as a page that needs nothing else: no script, no font, no image, no other address.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}\
h1,h2,h3{line-height:1.2}h2{margin-top:3rem;border-bottom:1px solid #ccc}h3{margin-top:2rem}\
code{font:0.9em ui-monospace,monospace}b.m{display:inline-block;min-width:4.5rem;color:#0b57a4}\
table{border-collapse:collapse;width:100%;margin:.5rem 0}td,th{text-align:left;vertical-align:top;\
border-top:1px solid #ddd;padding:.25rem .75rem .25rem 0}nav ul{columns:2;list-style:none;padding:0}a{color:#0b57a4}\
@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}a,b.m{color:#8ab8ef}td,th,h2{border-color:#444}}";

/// The page, and what a browser may load for it.
pub(super) struct Page {
    pub(super) html: String,
    /// The Content-Security-Policy: this one style, and nothing else.
    pub(super) policy: String,
}

impl Page {
    pub(super) fn of(document: &Value) -> Self {
        let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Self { html: html(document), policy }
    }
}

fn html(document: &Value) -> String {
    let title = escaped(text(&document["info"], "title"));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1><p>{}</p><p>For programs: <a href=\"openapi.json\">openapi.json</a></p>",
        prose(text(&document["info"], "description"))
    );
    let operations = operations(document);
    contents(&mut page, document, &operations);
    for tag in items(&document["tags"]) {
        let name = text(tag, "name");
        add(&mut page, format_args!("<h2>{}</h2><p>{}</p>", escaped(name), prose(text(tag, "description"))));
        for operation in operations.iter().filter(|operation| operation.tag() == name) {
            operation.write(&mut page);
        }
    }
    page.push_str("<h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        write_schema(&mut page, name, schema);
    }
    page.push_str("</body></html>\n");
    page
}

/// An operation with its place.
struct Shown<'a> {
    path: &'a str,
    method: &'a str,
    is: &'a Value,
}

fn operations(document: &Value) -> Vec<Shown<'_>> {
    fn of_path<'a>((path, methods): (&'a String, &'a Value)) -> impl Iterator<Item = Shown<'a>> {
        fields(methods).map(move |(method, is)| Shown { path, method, is })
    }
    fields(&document["paths"]).flat_map(of_path).collect()
}

impl Shown<'_> {
    fn tag(&self) -> &str {
        self.is["tags"][0].as_str().unwrap_or_default()
    }

    fn write(&self, page: &mut String) {
        let id = escaped(text(self.is, "operationId"));
        let (method, path) = (escaped(&self.method.to_uppercase()), escaped(self.path));
        add(page, format_args!("<h3 id=\"{id}\"><b class=\"m\">{method}</b> <code>{path}</code></h3>"));
        add(page, format_args!("<p>{}. {}</p>", prose(text(self.is, "summary")), prose(text(self.is, "description"))));
        let open = items(&self.is["security"]).flat_map(|scheme| fields(scheme).map(|(name, _)| name));
        let open: Vec<_> = open.map(|name| escaped(name)).collect();
        if !open.is_empty() {
            add(page, format_args!("<p>Token: <code>{}</code></p>", open.join("</code> or <code>")));
        }
        self.write_parameters(page);
        for (media, content) in fields(&self.is["requestBody"]["content"]) {
            let kind = kind(&content["schema"]);
            add(page, format_args!("<p>Body: {kind} (<code>{}</code>)</p>", escaped(media)));
        }
        self.write_answers(page);
    }

    fn write_parameters(&self, page: &mut String) {
        let mut parameters = items(&self.is["parameters"]).peekable();
        if parameters.peek().is_none() {
            return;
        }
        page.push_str("<table><tr><th>Parameter</th><th>In</th><th>Value</th><th></th></tr>");
        for parameter in parameters {
            let required = if parameter["required"] == true { ", required" } else { "" };
            let (name, place) = (escaped(text(parameter, "name")), escaped(text(parameter, "in")));
            let (kind, about) = (kind(&parameter["schema"]), prose(text(parameter, "description")));
            add(
                page,
                format_args!(
                    "<tr><td><code>{name}</code></td><td>{place}{required}</td><td>{kind}</td><td>{about}</td></tr>"
                ),
            );
        }
        page.push_str("</table>");
    }

    fn write_answers(&self, page: &mut String) {
        page.push_str("<table><tr><th>Status</th><th>Answer</th><th></th></tr>");
        for (status, answer) in fields(&self.is["responses"]) {
            let kinds: Vec<_> = fields(&answer["content"]).map(|(_, content)| kind(&content["schema"])).collect();
            let about = prose(text(answer, "description"));
            add(
                page,
                format_args!("<tr><td>{}</td><td>{}</td><td>{about}</td></tr>", escaped(status), kinds.join(" ")),
            );
        }
        page.push_str("</table>");
    }
}

fn contents(page: &mut String, document: &Value, operations: &[Shown<'_>]) {
    page.push_str("<nav>");
    for tag in items(&document["tags"]) {
        let name = text(tag, "name");
        add(page, format_args!("<h4>{}</h4><ul>", escaped(name)));
        for operation in operations.iter().filter(|operation| operation.tag() == name) {
            let (id, summary) = (escaped(text(operation.is, "operationId")), prose(text(operation.is, "summary")));
            add(page, format_args!("<li><a href=\"#{id}\">{summary}</a></li>"));
        }
        page.push_str("</ul>");
    }
    page.push_str("<p><a href=\"#schemas\">Schemas</a></p></nav>");
}

fn write_schema(page: &mut String, name: &str, schema: &Value) {
    let name = escaped(name);
    add(page, format_args!("<h3 id=\"{name}\"><code>{name}</code></h3><p>{}</p>", prose(text(schema, "description"))));
    let whole = [schema];
    let parts: Vec<&Value> = match schema.get("allOf") {
        Some(parts) => items(parts).collect(),
        None => whole.to_vec(),
    };
    for part in parts {
        match part.get("properties") {
            Some(properties) => write_properties(page, part, properties),
            None => add(page, format_args!("<p>{}</p>", kind(part))),
        }
    }
}

fn write_properties(page: &mut String, schema: &Value, properties: &Value) {
    page.push_str("<table><tr><th>Field</th><th>Value</th><th></th></tr>");
    for (field, value) in fields(properties) {
        let is_required = items(&schema["required"]).any(|name| name == field);
        let mark = if is_required { "" } else { "?" };
        let (kind, about) = (kind(value), prose(text(value, "description")));
        add(
            page,
            format_args!("<tr><td><code>{}{mark}</code></td><td>{kind}</td><td>{about}</td></tr>", escaped(field)),
        );
    }
    page.push_str("</table>");
}

/// A schema in a few words, with links to those that it refers to.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escaped(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    if let Some(choices) = schema.get("oneOf").or_else(|| schema.get("enum")) {
        let choices: Vec<_> =
            items(choices).map(|choice| if choice.is_string() { value(choice) } else { kind(choice) }).collect();
        return choices.join(" or ");
    }
    let types = match schema["type"].as_array() {
        Some(types) => types.iter().filter_map(Value::as_str).map(escaped).collect::<Vec<_>>().join(" or "),
        None => escaped(schema["type"].as_str().unwrap_or("any value")),
    };
    let items = schema.get("items").map(|items| format!(" of {}", kind(items))).unwrap_or_default();
    let rules = ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "format"];
    let rules = rules.into_iter().filter_map(|rule| Some(format!(", {rule} {}", value(schema.get(rule)?))));
    format!("{types}{items}{}", rules.collect::<String>())
}

fn value(value: &Value) -> String {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("<code>{}</code>", escaped(&shown))
}

/// Text in which backquotes mark code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{}</code>", escaped(part)) } else { escaped(part) })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes whatever is written.
    let _ = page.write_fmt(text);
}
