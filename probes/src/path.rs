//! Request targets: a path that is taken means the same to other readers of URLs, and its team is its second segment.

use percent_encoding::percent_decode;
use std::sync::LazyLock;

use tollkeeper::{config::Config, path::Path};
use url::Url;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let text = br#"{
        "key_service": {"cluster": "keyservice"}, "unmatched": "refuse",
        "routes": [
            {"path": "/open/...", "access": "public"},
            {"path": "/api/{team}/reports/{id}"},
            {"path": "/api/{team}/..."},
            {"path": "/"}
        ]
    }"#;
    Config::parse(text).expect("a configuration")
});

/// The input is the target.
pub fn look(data: &[u8]) {
    let Ok(path) = Path::parse(data) else { return };
    let path = std::str::from_utf8(path.as_bytes()).expect("visible ASCII");
    assert_eq!(path.as_bytes(), data.split(|byte| *byte == b'?').next().unwrap_or_default());

    // As the WHATWG's algorithm reads it, with dots, their escapes and backslashes resolved; it escapes more than needed.
    let url = Url::parse(&format!("http://host.example{path}")).expect("a URL");
    assert!(percent_decode(url.path().as_bytes()).eq(percent_decode(path.as_bytes())), "{path} is {url}");
    assert_eq!((url.host_str(), url.fragment(), url.query()), (Some("host.example"), None, None));

    let once: Vec<u8> = percent_decode(path.as_bytes()).collect();
    let twice: Vec<u8> = percent_decode(&once).collect();
    assert_eq!(once, twice, "it does not matter how often it is decoded");
    let decoded = String::from_utf8(once).expect("UTF-8");
    assert_eq!(decoded.matches('/').count(), path.matches('/').count());
    assert!(!decoded.contains(['\\', ';', '?', '#']) && !decoded.chars().any(|char| char.is_ascii_control()));

    let parts: Vec<_> = path.split('/').collect();
    let route = CONFIG.routes.find(b"GET", path.as_bytes());
    let team = match parts[..] {
        ["", "api", team, ..] if !team.is_empty() => Some(team.as_bytes()),
        _ => None,
    };
    assert_eq!(route.and_then(|matched| matched.team), team);
    let is_served = team.is_some() || path == "/" || path == "/open" || path.starts_with("/open/");
    assert_eq!(route.is_some(), is_served, "{path}");
}

/// Plain paths, and such as servers read in different ways.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::texts(&[
        "/api/acme/reports/7?x=../y",
        "/api/acme",
        "/open/x/y",
        "/open",
        "/",
        "/api/caf%C3%A9/a%20b",
        "/api/acme/../globex",
        "/api/%2e%2e/x",
        "/open//api/acme",
        "/api/acme;x/y",
    ])
}
