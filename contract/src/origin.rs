//! Where a key may be used from, and where a team may be served: origins and host names, each in one spelling.

use std::fmt;

/// Why a text is no origin or no host name: says the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrigin(&'static str);

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidOrigin {}

/// What a bound key must be used from: `host[:port][/path]`, the host in lower case, without a default port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The longest origin, in bytes.
    pub const MAX_LENGTH: usize = 512;

    /// The origin of a domain: `myCoolApp.com`, perhaps with a port, perhaps with `http://` or `https://` before it.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_domain(text: &str) -> Result<Self, InvalidOrigin> {
        let place = Place::parse(text).ok_or(InvalidOrigin(
            "a domain is a host name such as mycoolapp.com, perhaps with a port; write international names in their \
             xn-- form",
        ))?;
        if !place.path.is_empty() {
            return Err(InvalidOrigin("a domain has no path; register the webhook URL instead"));
        }
        Ok(Self(place.authority))
    }

    /// The origin of a webhook URL: the URL without its scheme and without the final `/webhook`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_webhook_url(text: &str) -> Result<Self, InvalidOrigin> {
        let place = Place::parse(text).ok_or(InvalidOrigin(
            "a webhook URL is a host name and a path such as https://mycoolapp.com/api/webhook, without a query",
        ))?;
        let base = place.path.strip_suffix("/webhook").ok_or(InvalidOrigin(
            "a webhook URL ends in /webhook, which its origin is without; register the domain instead",
        ))?;
        Self::parse(&format!("{}{base}", place.authority))
    }

    /// Reads what [`Origin::as_str`] gives.
    ///
    /// # Errors
    /// When the text is not in that spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let is_so_spelled =
            |place: Place<'_>| place.scheme.is_none() && format!("{}{}", place.authority, place.path) == text;
        if Place::parse(text).is_some_and(is_so_spelled) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidOrigin("an origin is a host in lower case, perhaps with a port and a path"))
    }

    /// The origin as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an `Origin` header with this value comes from `registered`, the text of an origin.
    ///
    /// A client sends the origin as it was registered, the host in any case; with `http://` or `https://` before it or
    /// without. A browser sends `scheme://host[:port]` (RFC 6454 section 6.2) and cannot send a path, so this form
    /// matches by the host and port alone. `null` matches nothing.
    #[must_use]
    pub fn matches(registered: &str, presented: &[u8]) -> bool {
        let Some(place) = std::str::from_utf8(presented).ok().and_then(Place::parse) else { return false };
        let (authority, path) = match registered.find('/').and_then(|slash| registered.split_at_checked(slash)) {
            Some((authority, path)) => (authority, path),
            None => (registered, ""),
        };
        let is_from_browser = place.scheme.is_some() && place.path.is_empty();
        place.authority == authority && (is_from_browser || place.path == path)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a host in lower case, or its address: where a team can be served alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// Reads a host name without a port, in any case.
    ///
    /// # Errors
    /// Says the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        host(text).map(Self).ok_or(InvalidOrigin(
            "a host is a name such as api.acme.example or an address, without a port; write international names in \
             their xn-- form",
        ))
    }

    /// The host that a request is for: its `:authority` without the port, and without the dot that may end a name.
    #[must_use]
    pub fn of_authority(authority: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(authority).ok()?;
        let name = match text.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => text,
        };
        host(name.strip_suffix('.').unwrap_or(name)).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// `[scheme://]host[:port][/path]` in one spelling.
#[derive(Debug)]
struct Place<'a> {
    scheme: Option<Scheme>,
    /// The host in lower case, and the port unless it is the scheme's default.
    authority: String,
    /// Empty, or from its slash on; without a slash at its end.
    path: &'a str,
}

impl<'a> Place<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > Origin::MAX_LENGTH {
            return None;
        }
        let (scheme, rest) = split_scheme(text);
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at_checked(slash)?,
            None => (rest, ""),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        // A comma is how Envoy joins a header that was sent twice.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b',' | b'\\' | b'@');
        if !path.bytes().all(is_plain) {
            return None;
        }
        Some(Self { scheme, authority: spell_authority(scheme, authority)?, path })
    }
}

fn split_scheme(text: &str) -> (Option<Scheme>, &str) {
    let strip = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    if let Some(rest) = strip("https://") {
        (Some(Scheme::Https), rest)
    } else if let Some(rest) = strip("http://") {
        (Some(Scheme::Http), rest)
    } else {
        (None, text)
    }
}

fn spell_authority(scheme: Option<Scheme>, authority: &str) -> Option<String> {
    let (name, port) = match authority.rsplit_once(':') {
        // The colons of an address in brackets are its own.
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (authority, None),
    };
    let name = host(name)?;
    let Some(port) = port else { return Some(name) };
    let number: u16 = port.parse().ok().filter(|number| *number != 0)?;
    // One spelling: no sign, no leading zeros.
    if number.to_string() != port {
        return None;
    }
    match (scheme, number) {
        (Some(Scheme::Http) | None, 80) | (Some(Scheme::Https) | None, 443) => Some(name),
        // Nobody means the other scheme's port, and without its scheme it could not be told apart from a default.
        (Some(_), 80 | 443) => None,
        _ => Some(format!("{name}:{number}")),
    }
}

/// A host name (RFC 952, and the underscores that people use) or an address in brackets, in lower case.
fn host(text: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(address) = address {
        // An address can be written in several ways (RFC 5952), of which this is one.
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let fits = text.len() <= 253 && text.split('.').all(is_label);
    // What a browser sends when it does not want to say (RFC 6454 section 7.3) is nobody's host.
    (fits && !text.eq_ignore_ascii_case("null")).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{HostName, Origin};
    use proptest::prelude::*;

    #[test]
    fn an_origin_is_registered_as_a_domain() {
        for (given, origin) in [
            ("myCoolApp.com", "mycoolapp.com"),
            ("https://myCoolApp.com", "mycoolapp.com"),
            ("https://myCoolApp.com/", "mycoolapp.com"),
            ("https://myCoolApp.com:443", "mycoolapp.com"),
            ("http://myCoolApp.com:80", "mycoolapp.com"),
            ("mycoolapp.com:8443", "mycoolapp.com:8443"),
            ("localhost", "localhost"),
            ("[::1]:8080", "[::1]:8080"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:db8:0:0:0:0:0:1]", "[2001:db8::1]"),
        ] {
            assert_eq!(Origin::from_domain(given).unwrap().as_str(), origin, "{given}");
            assert!(Origin::parse(origin).is_ok(), "{origin}");
        }
    }

    #[test]
    fn an_origin_is_derived_from_a_webhook_url() {
        for (given, origin) in [
            ("myCoolApp.com/api/webhook", "mycoolapp.com/api"),
            ("https://myCoolApp.com/API/webhook", "mycoolapp.com/API"),
            ("https://myCoolApp.com:443/api/webhook/", "mycoolapp.com/api"),
            ("http://mycoolapp.com:8080/webhook", "mycoolapp.com:8080"),
            ("mycoolapp.com/webhook/webhook", "mycoolapp.com/webhook"),
        ] {
            assert_eq!(Origin::from_webhook_url(given).unwrap().as_str(), origin, "{given}");
            assert!(Origin::parse(origin).is_ok(), "{origin}");
        }
        for bad in [
            "mycoolapp.com",
            "mycoolapp.com/hook",
            "mycoolapp.com/api/Webhook",
            "a.com/webhook?x=1",
            "a.com//webhook",
            "",
        ] {
            assert!(Origin::from_webhook_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_host_is_no_origin() {
        for bad in [
            "",
            "null",
            "NULL",
            "a b.com",
            "a,b.com",
            "u@a.com",
            "a..com",
            ".com",
            "a.com.",
            "a.com:",
            "a.com:0",
            "a.com:080",
            "a.com:+80",
            "http://a.com:443",
            "https://a.com:80",
            "a.com:65536",
            "bücher.example",
            "[::1",
            "[zz]",
            "ftp://a.com",
            "//a.com",
            "a.com/x",
            "a.com?x",
            "a.com#x",
        ] {
            assert!(Origin::from_domain(bad).is_err(), "{bad}");
        }
        for bad in ["MyCoolApp.com", "https://a.com", "a.com:443", "a.com/"] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }

    /// The rows of the table in docs/REFERENCE.md; the end-to-end tests send them too.
    #[test]
    fn an_origin_header_matches_as_documented() {
        for (registered, presented, matches) in [
            ("mycoolapp.com/api", "myCoolApp.com/api", true),
            ("mycoolapp.com/api", "MYCOOLAPP.COM/api", true),
            ("mycoolapp.com/api", "mycoolapp.com/api/", true),
            ("mycoolapp.com/api", "https://mycoolapp.com/api", true),
            ("mycoolapp.com/api", "https://mycoolapp.com", true),
            ("mycoolapp.com/api", "https://mycoolapp.com:443", true),
            ("mycoolapp.com/api", "http://mycoolapp.com:80", true),
            ("mycoolapp.com/api", "mycoolapp.com/API", false),
            ("mycoolapp.com/api", "mycoolapp.com", false),
            ("mycoolapp.com/api", "mycoolapp.com/api/webhook", false),
            ("mycoolapp.com/api", "https://mycoolapp.com:8443", false),
            ("mycoolapp.com/api", "https://mycoolapp.com:80", false),
            ("mycoolapp.com", "myCoolApp.com", true),
            ("mycoolapp.com", "https://myCoolApp.com", true),
            ("mycoolapp.com", "mycoolapp.com:443", true),
            ("mycoolapp.com", "mycoolapp.com/api", false),
            ("mycoolapp.com", "www.mycoolapp.com", false),
            ("mycoolapp.com", "mycoolapp.com.evil.example", false),
            ("mycoolapp.com", "evilmycoolapp.com", false),
            ("mycoolapp.com", "mycoolapp.com.", false),
            ("mycoolapp.com", "null", false),
            ("mycoolapp.com", "", false),
            ("mycoolapp.com", "https://", false),
            ("mycoolapp.com", "mycoolapp.com, mycoolapp.com", false),
            ("mycoolapp.com", "https://user@mycoolapp.com", false),
            ("mycoolapp.com", "ftp://mycoolapp.com", false),
            ("mycoolapp.com:8443", "https://mycoolapp.com:8443", true),
            ("mycoolapp.com:8443", "https://mycoolapp.com", false),
        ] {
            assert_eq!(Origin::matches(registered, presented.as_bytes()), matches, "{registered} <- {presented}");
        }
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (authority, name) in [
            ("API.Acme.example", "api.acme.example"),
            ("api.acme.example:8443", "api.acme.example"),
            ("api.acme.example.", "api.acme.example"),
            ("api.acme.example.:443", "api.acme.example"),
            ("127.0.0.1:8080", "127.0.0.1"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(HostName::of_authority(authority.as_bytes()).unwrap().as_str(), name, "{authority}");
        }
        for bad in ["", "a b", "a,b", "a/b", "::1", "a:b"] {
            assert!(HostName::of_authority(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(HostName::parse("api.acme.example:443").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_compared_without_a_panic(registered: String, presented: Vec<u8>) {
            let _ = Origin::matches(&registered, &presented);
            let _ = HostName::of_authority(&presented);
        }

        #[test]
        fn a_registered_origin_matches_itself(host in "[a-zA-Z0-9-]{1,20}(\\.[a-z]{1,5})?", path in "(/{1,2}[a-zA-Z0-9]{0,5}){0,3}") {
            if let Ok(origin) = Origin::from_webhook_url(&format!("{host}{path}/webhook")) {
                prop_assert!(Origin::matches(origin.as_str(), origin.as_str().as_bytes()));
                prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin.clone()));
            }
        }
    }
}
