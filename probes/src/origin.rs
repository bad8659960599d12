//! Registered and presented origins: what matches is the same place by a second reading.

use std::net::Ipv6Addr;

use tollkeeper_contract::{HostName, Origin};

/// The registered text, a line break, and what is presented.
pub fn look(data: &[u8]) {
    let Some(at) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (registered, presented) = (&data[..at], &data[at + 1..]);
    let Ok(registered) = std::str::from_utf8(registered) else { return };
    for origin in [Origin::from_domain(registered), Origin::from_webhook_url(registered), Origin::parse(registered)] {
        let Ok(origin) = origin else { continue };
        assert_eq!(Origin::parse(origin.as_str()).as_ref(), Ok(&origin), "it has one spelling");
        assert!(Origin::matches(origin.as_str(), origin.as_str().as_bytes()));
        assert!(!Origin::matches(origin.as_str(), b"null"));
        if Origin::matches(origin.as_str(), presented) {
            assert!(is_the_same_place(origin.as_str(), presented), "{origin} {presented:?}");
        }
    }
    if let Some(host) = HostName::of_authority(presented) {
        assert_eq!(HostName::parse(host.as_str()).as_ref(), Ok(&host));
        assert!(is_named(&host, presented), "{host:?} {presented:?}");
    }
}

/// Whether an authority begins with this host.
fn is_named(host: &HostName, authority: &[u8]) -> bool {
    let authority = String::from_utf8(authority.to_ascii_lowercase()).expect("text");
    match address(&authority) {
        Some((named, _)) => address(host.as_str()).is_some_and(|(address, _)| address == named),
        None => authority.starts_with(host.as_str()),
    }
}

/// The IPv6 address that an authority begins with, and what follows: it has many spellings.
fn address(authority: &str) -> Option<(Ipv6Addr, &str)> {
    let (address, rest) = authority.strip_prefix('[')?.split_once(']')?;
    Some((address.parse().ok()?, rest))
}

fn is_the_same_place(registered: &str, presented: &[u8]) -> bool {
    let presented = String::from_utf8(presented.to_vec()).expect("text");
    let lower = presented.to_ascii_lowercase();
    // Without its scheme, either port is a default.
    let (length, default_ports): (_, &[&str]) = match lower {
        _ if lower.starts_with("http://") => (7, &[":80"]),
        _ if lower.starts_with("https://") => (8, &[":443"]),
        _ => (0, &[":80", ":443"]),
    };
    let rest = &presented[length..];
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // A slash at its end is no part of a place.
    let path = path.strip_suffix('/').unwrap_or(path);
    let authority = authority.to_ascii_lowercase();
    let authority = default_ports.iter().find_map(|port| authority.strip_suffix(port)).unwrap_or(&authority);
    let (host, place) = registered.split_at(registered.find('/').unwrap_or(registered.len()));
    let is_host = authority == host || address(authority).is_some_and(|named| address(host) == Some(named));
    is_host && (path == place || (length > 0 && path.is_empty()))
}

/// Domains and webhooks, with what clients and browsers send.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::texts(&[
        "myCoolApp.com\nhttps://mycoolapp.com",
        "mycoolapp.com:8443\nhttp://mycoolapp.com:8443",
        "https://myCoolApp.com/api/webhook\nmycoolapp.com/api",
        "mycoolapp.com/api\nHTTPS://MYCOOLAPP.COM:443",
        "[2001:db8::1]:80\nhttp://[2001:db8::1]:80",
        "a.example\nhttps://a.example.evil.example",
        "a.example\nb.example:80.",
    ])
}
