//! Whether a request had a right to arrive, judged by what arrived alone, and by the most gullible reading of its path.

use lab::witness::Arrival;

/// Where a request arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the API.
    Upstream,
    /// Where logins go.
    Login,
}

/// What is open to everybody where logins go.
const LOGIN: [(&str, &str); 5] = [
    ("POST", "/auth/login"),
    ("POST", "/oauth/token"),
    ("POST", "/oauth/introspect"),
    ("POST", "/oauth/revoke"),
    ("GET", "/.well-known/jwks.json"),
];

/// Says why the request should not have arrived.
pub(super) fn right(arrival: &Arrival, place: Place) -> Result<(), String> {
    let who = identity(arrival);
    let of = |name: &str| who.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    let path = gullible(arrival.target());
    if place == Place::Login {
        let method = String::from_utf8_lossy(arrival.method()).into_owned();
        let target = String::from_utf8_lossy(arrival.target()).into_owned();
        let exact = target.split('?').next().unwrap_or_default();
        return if LOGIN.contains(&(&method, exact)) { Ok(()) } else { Err(format!("{method} {target} is no login")) };
    }
    let team = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "healthz"] | ["", "public", ..] => return Ok(()),
        ["", "api", team, ..] => Some((*team).to_owned()),
        // The rest needs a credential of anybody.
        _ => None,
    };
    match (team, of("x-auth-team"), of("x-auth-enterprise")) {
        (Some(of_path), Some(team), _) if of_path == team => Ok(()),
        (None, Some(_), _) | (None, None, Some(_)) => Ok(()),
        (of_path, team, _) => Err(format!("{path}, which is {of_path:?}'s, arrived as {team:?}'s")),
    }
}

/// What arrived as identity, in the names that a server knows that does not tell `_` from `-`.
pub(super) fn identity(arrival: &Arrival) -> Vec<(String, String)> {
    let fields = arrival.fields().into_iter().map(|(name, value)| (name.replace('_', "-"), value));
    let fields = fields.filter(|(name, _)| name.starts_with("x-auth-"));
    fields.map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect()
}

/// A path as a server reads it that decodes whatever it can, as often as it can, and takes every bar for a slash.
fn gullible(target: &[u8]) -> String {
    let mut path = String::from_utf8_lossy(target).to_lowercase();
    if let Some((_, behind)) = path.split_once("://") {
        path = behind.find('/').map_or("/", |slash| &behind[slash..]).to_owned();
    }
    while let Some(decoded) = decoded_once(&path) {
        path = decoded;
    }
    let path = path.replace('\\', "/");
    let path = path.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        let segment = segment.split(';').next().unwrap_or_default().trim();
        match segment.trim_end_matches(char::is_whitespace) {
            "" | "." => {}
            dots if dots.chars().all(|char| char == '.') => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/"))
}

/// Every escape decoded once; `None` if there is none.
fn decoded_once(path: &str) -> Option<String> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let (before, escape) = rest.split_at(at);
        decoded.push_str(before);
        let (char, length) = character(escape).unwrap_or(('%', 1));
        decoded.extend(char.to_lowercase());
        rest = &escape[length..];
    }
    decoded.push_str(rest);
    (decoded.len() < path.len()).then_some(decoded)
}

/// What stands at the beginning, escaped, and how long it is there. Lenient decoders take some pairs of bytes for one.
fn character(escape: &str) -> Option<(char, usize)> {
    let overlong = [("%c0%ae", '.'), ("%c0%af", '/'), ("%c1%9c", '\\')];
    if let Some((text, char)) = overlong.into_iter().find(|(text, _)| escape.starts_with(text)) {
        return Some((char, text.len()));
    }
    let digits = escape.get(1..3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    Some((char::from(u8::from_str_radix(digits, 16).ok()?), 3))
}

#[test]
fn the_most_gullible_reading_of_a_path_finds_every_way_out() {
    for path in [
        "/api/globex/x",
        "/public/../api/globex/x",
        "/public/%2e%2e/api/globex/x",
        "/public/..%252fapi/globex/x",
        "/public/%c0%ae%c0%ae/api/globex/x",
        "/public\\..\\api/globex/x?n=1",
        "/public/..;a=b/api/globex/x",
        "//api//./GLOBEX/x#..",
        "http://a/api/globex/x",
        "/api/globex/x%00/../../acme",
    ] {
        assert_eq!(gullible(path.as_bytes()), "/api/globex/x", "{path}");
    }
}

#[test]
fn who_arrives_as_another_has_no_right() {
    let arrived = |line: &str, headers: &str| {
        let head = format!("{line} HTTP/1.1\r\n{headers}\r\n").into_bytes();
        right(&Arrival { head, trailers: Vec::new() }, Place::Upstream).is_ok()
    };
    assert!(arrived("GET /healthz", "") && arrived("GET /public/a", ""));
    assert!(arrived("GET /api/acme/x", "x-auth-team: acme\r\n"));
    assert!(!arrived("GET /api/acme/x", "") && !arrived("GET /other", ""));
    assert!(!arrived("GET /api/globex/x", "x-auth-team: acme\r\n"));
    assert!(!arrived("GET /public/../api/acme/x", ""));
}
