//! Path templates as they are written, and what can be wrong with one.

use super::{
    json::Json,
    mistakes::{Mistakes, Noted, Place, Quoted},
    setting::Setting,
    template::{End, Segment, Template},
    values::text,
};
use crate::path::Path;

/// The longest template, in bytes.
const LONGEST: usize = 1024;

impl Setting for Template {
    fn read(json: &Json, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Self, Noted> {
        let text = text(json, "a path such as \"/api/{team}/...\"", place, mistakes)?;
        if text.len() > LONGEST {
            let what = format_args!("is {} bytes long; use at most {LONGEST}", text.len());
            return Err(mistakes.note(place, what));
        }
        let Some(path) = text.strip_prefix('/') else {
            return Err(mistakes.note(place, format_args!("{} does not begin with \"/\"; add it", Quoted(text))));
        };
        let (path, end) = split_end(path);
        let segments = match path {
            Some(path) => read_segments(path, end, place, mistakes)?,
            None => Box::default(),
        };
        Ok(Self { segments, end })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn schema() -> serde_json::Value {
        let literal = r"[A-Za-z0-9._~!$&'()*+,=:@-]+";
        let parameter = r"\{[A-Za-z][A-Za-z0-9_-]*\}";
        let segment = format!("({literal}|{parameter})");
        serde_json::json!({
            "type": "string", "maxLength": LONGEST, "pattern": format!("^/({segment}/)*{segment}?$"),
        })
    }
}

/// Parts the final `...` from what comes before it.
fn split_end(path: &str) -> (Option<&str>, End) {
    match path.strip_suffix("...") {
        Some("") => (None, End::Open),
        Some(before) => match before.strip_suffix('/') {
            Some(before) => (Some(before), End::Open),
            None => (Some(path), End::Closed),
        },
        None => (Some(path), End::Closed),
    }
}

fn read_segments(path: &str, end: End, place: &Place<'_>, mistakes: &mut Mistakes) -> Result<Box<[Segment]>, Noted> {
    let mut segments = Vec::new();
    let mut names = Vec::new();
    let mut refused = None;
    let mut texts = path.split('/').peekable();
    while let Some(text) = texts.next() {
        let closes = end == End::Closed && texts.peek().is_none();
        if names.contains(&text) {
            let what = format_args!("{} stands there twice; name each parameter once", Quoted(text));
            refused = Some(mistakes.note(place, what));
        }
        match read_segment(text) {
            Ok(Segment::Literal(literal)) if literal.is_empty() && !closes => {
                refused = Some(mistakes.note(place, "has an empty segment; remove one \"/\""));
            }
            Ok(segment) => segments.push(segment),
            Err(why) => refused = Some(mistakes.note(place, format_args!("{} {why}", Quoted(text)))),
        }
        if text.starts_with('{') {
            names.push(text);
        }
    }
    refused.map_or(Ok(segments.into()), Err)
}

/// Reads one segment, or says why not.
fn read_segment(text: &str) -> Result<Segment, &'static str> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        return read_parameter(name);
    }
    match text {
        "..." => {
            return Err("matches further segments and can only stand at the end; move it there");
        }
        "*" | "**" => {
            return Err("is no wildcard here; use {name} for one segment, or a final \"...\"");
        }
        _ => {}
    }
    if text.starts_with(':') {
        return Err("is no parameter here; write {team} or {name}");
    }
    if text.contains(['{', '}']) {
        return Err("mixes a parameter with other text; a parameter must be a whole segment");
    }
    if !text.bytes().all(is_literal_byte) {
        return Err("has a character that a path here cannot have; use A-Z a-z 0-9 - . _ ~ ! $ & ' ( ) * + , = : @");
    }
    if Path::parse(format!("/{text}").as_bytes()).is_err() {
        return Err(
            "can be read in more than one way, so no request with it is let through; write the path without it",
        );
    }
    Ok(Segment::Literal(text.as_bytes().into()))
}

fn read_parameter(name: &str) -> Result<Segment, &'static str> {
    if name == "team" {
        return Ok(Segment::Team);
    }
    // Whoever writes `{team_id}` expects the key's team to be compared with it.
    if name.to_ascii_lowercase().contains("team") {
        return Err("would not be compared with the key's team; write {team}, or a name without \"team\" in it");
    }
    let mut bytes = name.bytes();
    let begins_well = bytes.next().is_some_and(|first| first.is_ascii_alphabetic());
    if begins_well && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Ok(Segment::Any);
    }
    Err("is no parameter; name it by a letter and then letters, digits, \"_\" and \"-\"")
}

/// RFC 3986 `pchar` without percent-encoding and `;`: such paths have one spelling only.
fn is_literal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte)
}
