//! Header lines to a credential: what is found was presented once, whole, and in a way that is enabled.

use tollkeeper::{
    config::{Style, Styles},
    credential::{self, Credential},
    request::Request,
};
use tollkeeper_contract::Digest;

/// The first byte chooses the styles; the rest are lines of `name:value`.
pub fn look(data: &[u8]) {
    let Some((&choice, lines)) = data.split_first() else { return };
    let styles = match choice % 5 {
        0 => Styles::only(Style::Raw),
        1 => Styles::only(Style::Token),
        2 => Styles::only(Style::Bearer),
        3 => Styles::only(Style::XApiKey),
        _ => Styles::all(),
    };
    let headers = headers(lines);
    let request = Request::read(headers.iter().copied());
    identity_headers_are_all_noticed(&headers, &request);
    let Ok(presented) = credential::find(&request, styles) else { return };
    assert!(styles.contains(presented.style));
    let looked_at = |name: &[u8]| match name {
        b"authorization" => [Style::Raw, Style::Token, Style::Bearer].into_iter().any(|style| styles.contains(style)),
        b"x-api-key" => styles.contains(Style::XApiKey),
        _ => false,
    };
    let values: Vec<_> = headers.iter().filter(|(name, _)| looked_at(name)).collect();
    for name in [b"authorization".as_slice(), b"x-api-key"] {
        assert!(values.iter().filter(|(found, _)| *found == name).count() <= 1, "{name:?} stands twice");
    }
    let candidates: Vec<_> =
        values.iter().flat_map(|(_, value)| [Some(*value), behind_scheme(value)]).flatten().collect();
    let is_whole =
        |value: &[u8]| !value.is_empty() && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
    let meant: Vec<_> = candidates.into_iter().filter(|value| is_whole(value)).collect();
    match presented.credential {
        Credential::Key(digest) => assert!(meant.iter().any(|value| Digest::of(value) == digest)),
        Credential::Token(token) => assert!(meant.contains(&token.text)),
    }
}

/// Request headers, one a line.
#[must_use]
pub(crate) fn headers(lines: &[u8]) -> Vec<(&[u8], &[u8])> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let colon = line.iter().skip(1).position(|byte| *byte == b':')? + 1;
            Some((&line[..colon], &line[colon + 1..]))
        })
        .collect()
}

fn behind_scheme(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    Some(value[space..].trim_ascii())
}

/// Whatever a server could take for one of ours is noticed, so that it is removed.
fn identity_headers_are_all_noticed(headers: &[(&[u8], &[u8])], request: &Request<'_>) {
    for (name, _) in headers {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let spelled = name.to_ascii_lowercase().replace(|sign: char| !sign.is_ascii_alphanumeric(), "-");
        let is_ours = spelled.starts_with("x-auth-");
        assert_eq!(request.spoofed.contains(&name), is_ours, "{name}");
    }
}

/// Each way to present a key, well and badly.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::texts(&[
        "\u{4}authorization:some-key\n:method:GET\n:path:/api/acme/x",
        "\u{4}authorization:Token some-key\nx-api-key:some-key",
        "\u{4}authorization:Bearer a.b.c\nx-auth-team:globex\nX_Auth_Team:globex",
        "\u{3}x-api-key:some-key\nx-api-key:other",
        "\u{2}authorization:Bearer some-key\nauthorization:Bearer other",
        "\u{1}authorization:token  some-key,Token other\norigin:https://a.example",
        "\u{0}authorization:some-key\nx-delegate-account-id:acme",
    ])
}
