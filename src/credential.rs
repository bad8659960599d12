//! Request to credential, or a denial; from here on there is only the digest of a key, or a token to be verified.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tollkeeper_contract::{Digest, key_text::could_be_key, token};

use crate::{
    config::{Style, Styles},
    familiar::Fingerprint,
    refusal::Denial,
    request::{Field, Request},
};

/// A credential as it was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    /// How it was presented.
    pub style: Style,
    /// What it is.
    pub credential: Credential<'a>,
}

/// What was presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Credential<'a> {
    /// A key: what is left of it.
    Key(Digest),
    /// A token, which is still to be verified.
    Token(Token<'a>),
}

/// A token as it was presented.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// All of it.
    pub text: &'a [u8],
    /// What it is known again by, if it has any.
    pub fingerprint: Option<Fingerprint>,
}

impl<'a> From<&'a [u8]> for Token<'a> {
    fn from(text: &'a [u8]) -> Self {
        Self { text, fingerprint: None }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(digest) => f.debug_tuple("Key").field(digest).finish(),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

/// The headers that may carry a credential.
const AUTHORIZATION_STYLES: [Style; 3] = [Style::Raw, Style::Token, Style::Bearer];

/// The credential of a request, among the styles that its route enables.
///
/// A header is looked at only if a style that uses it is enabled; otherwise it belongs to the upstream.
///
/// # Errors
/// When there is none, one that cannot be, or two that differ.
pub fn find<'a>(request: &Request<'a>, styles: Styles) -> Result<Presented<'a>, Denial> {
    find_with(request, styles, &|_| false)
}

/// The same; `is_header` may know the first part of a token as the header of one, which then need not be read.
///
/// # Errors
/// As [`find`].
pub fn find_with<'a>(
    request: &Request<'a>,
    styles: Styles,
    is_header: &dyn Fn(&[u8]) -> bool,
) -> Result<Presented<'a>, Denial> {
    let authorization = match request.authorization {
        _ if !reads_authorization(styles) => None,
        Field::Absent => None,
        Field::Once(value) => Some(from_authorization(value, styles, is_header)?),
        Field::Repeated => return Err(Denial::DuplicateHeader),
    };
    let api_key = match request.api_key {
        _ if !styles.contains(Style::XApiKey) => None,
        Field::Absent => None,
        Field::Once(value) => Some(key(Style::XApiKey, value)?),
        Field::Repeated => return Err(Denial::DuplicateHeader),
    };
    match (authorization, api_key) {
        (None, None) => Err(Denial::MissingCredential),
        (Some(one), Some(other)) if one.credential != other.credential => Err(Denial::AmbiguousCredential),
        (Some(one), _) | (None, Some(one)) => Ok(one),
    }
}

/// The headers that carried the credential, and that the upstream need not see.
pub fn carriers(styles: Styles) -> impl Iterator<Item = &'static str> {
    let authorization = reads_authorization(styles).then_some("authorization");
    let api_key = styles.contains(Style::XApiKey).then_some("x-api-key");
    authorization.into_iter().chain(api_key)
}

fn reads_authorization(styles: Styles) -> bool {
    AUTHORIZATION_STYLES.into_iter().any(|style| styles.contains(style))
}

/// `credentials` of RFC 9110 section 11.4, or a key with no scheme before it.
fn from_authorization<'a>(
    value: &'a [u8],
    styles: Styles,
    is_header: &dyn Fn(&[u8]) -> bool,
) -> Result<Presented<'a>, Denial> {
    let Some(space) = value.iter().position(|byte| matches!(byte, b' ' | b'\t')) else {
        return without_scheme(value, styles);
    };
    let (scheme, rest) = value.split_at_checked(space).ok_or(Denial::MalformedCredential)?;
    let style = if scheme.contains(&b',') { Err(Denial::DuplicateHeader) } else { style_of(scheme) }?;
    if !styles.contains(style) {
        return Err(Denial::UnsupportedScheme);
    }
    let credential = single(rest.trim_ascii_start())?;
    let parted_by_spaces = rest.len().saturating_sub(credential.len());
    if rest.iter().take(parted_by_spaces).any(|byte| *byte != b' ') {
        return Err(Denial::MalformedCredential);
    }
    if style == Style::Bearer && is_jwt(credential, is_header) {
        return Ok(Presented { style, credential: Credential::Token(credential.into()) });
    }
    key(style, credential)
}

fn without_scheme(value: &[u8], styles: Styles) -> Result<Presented<'_>, Denial> {
    // "Bearer" and nothing behind it is a slip, not somebody's key.
    if style_of(value).is_ok() {
        return Err(Denial::MalformedCredential);
    }
    if !styles.contains(Style::Raw) {
        return Err(Denial::UnsupportedScheme);
    }
    key(Style::Raw, single(value)?)
}

fn style_of(scheme: &[u8]) -> Result<Style, Denial> {
    if scheme.eq_ignore_ascii_case(b"token") {
        Ok(Style::Token)
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        Ok(Style::Bearer)
    } else {
        Err(Denial::UnsupportedScheme)
    }
}

/// Envoy joins repeated `authorization` headers with a comma, which no credential has.
fn single(credential: &[u8]) -> Result<&[u8], Denial> {
    if credential.contains(&b',') { Err(Denial::DuplicateHeader) } else { Ok(credential) }
}

fn key(style: Style, credential: &[u8]) -> Result<Presented<'static>, Denial> {
    if !could_be_key(credential) {
        return Err(Denial::MalformedCredential);
    }
    Ok(Presented { style, credential: Credential::Key(Digest::of(credential)) })
}

/// Whether this is a JWT (RFC 7519): three parts (signed) or five (encrypted), the first a JSON object with `alg`.
fn is_jwt(credential: &[u8], is_header: &dyn Fn(&[u8]) -> bool) -> bool {
    if !matches!(credential.iter().filter(|byte| **byte == b'.').count(), 2 | 4) {
        return false;
    }
    let header = credential.split(|byte| *byte == b'.').next().unwrap_or_default();
    if is_header(header) {
        return true;
    }
    if header.len() > token::MAX_LENGTH {
        return false;
    }
    let Ok(json) = URL_SAFE_NO_PAD.decode(header) else { return false };
    serde_json::from_slice::<serde_json::Value>(&json).is_ok_and(|header| header.get("alg").is_some())
}

#[cfg(test)]
mod tests {
    use super::{Credential, Engine, Presented, URL_SAFE_NO_PAD, find, token};
    use crate::{
        config::{Style, Styles},
        refusal::Denial,
        request::{Field, Request},
    };
    use proptest::prelude::*;
    use tollkeeper_contract::Digest;

    fn authorization(value: &[u8]) -> Result<Presented<'_>, Denial> {
        find(&Request { authorization: Field::Once(value), ..Request::default() }, Styles::all())
    }

    fn presented(style: Style, key: &[u8]) -> Result<Presented<'static>, Denial> {
        Ok(Presented { style, credential: Credential::Key(Digest::of(key)) })
    }

    #[test]
    fn one_key_is_the_same_in_every_style() {
        assert_eq!(authorization(b"secret"), presented(Style::Raw, b"secret"));
        for scheme in ["Token", "token", "TOKEN", "tOkEn"] {
            assert_eq!(authorization(format!("{scheme} secret").as_bytes()), presented(Style::Token, b"secret"));
        }
        for value in ["Bearer secret", "bearer   secret"] {
            assert_eq!(authorization(value.as_bytes()), presented(Style::Bearer, b"secret"));
        }
        let request = Request { api_key: Field::Once(b"secret"), ..Request::default() };
        assert_eq!(find(&request, Styles::all()), presented(Style::XApiKey, b"secret"));
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused_with_its_reason() {
        let cases: [(&[u8], Denial); 13] = [
            (b"", Denial::MalformedCredential),
            (b"Bearer", Denial::MalformedCredential),
            (b"Bearer ", Denial::MalformedCredential),
            (b"Bearer\tsecret", Denial::MalformedCredential),
            (b"Bearer \tsecret", Denial::MalformedCredential),
            (b"Bearer sec ret", Denial::MalformedCredential),
            (b"Token \xff", Denial::MalformedCredential),
            (b"tk_live_app_a_b_00000000", Denial::MalformedCredential),
            (b"Basic dXNlcjpwYXNz", Denial::UnsupportedScheme),
            (b"Digest username=\"a\", realm=\"b\"", Denial::UnsupportedScheme),
            (b"secret,other", Denial::DuplicateHeader),
            (b"Token secret,Token other", Denial::DuplicateHeader),
            (b"secret,Token other", Denial::DuplicateHeader),
        ];
        for (value, denial) in cases {
            assert_eq!(authorization(value), Err(denial), "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn a_jwt_is_never_taken_for_a_key() {
        // {"alg":"HS256"} and { "typ":"JWT", "alg":"none" }
        for header in ["eyJhbGciOiJIUzI1NiJ9", "eyAidHlwIjoiSldUIiwgImFsZyI6Im5vbmUiIH0"] {
            for rest in [".e30.c2ln", ".e30.", ".a.b.c.d"] {
                let (value, token) = (format!("Bearer {header}{rest}"), format!("{header}{rest}"));
                let expected =
                    Presented { style: Style::Bearer, credential: Credential::Token(token.as_bytes().into()) };
                assert_eq!(authorization(value.as_bytes()), Ok(expected), "{value}");
            }
        }
        let twice = b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln,Bearer eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
        assert_eq!(authorization(twice), Err(Denial::DuplicateHeader));
        assert_eq!(authorization(b"Bearer a.b.c"), presented(Style::Bearer, b"a.b.c"));
    }

    #[test]
    fn a_header_of_a_jwt_that_is_longer_than_any_token_is_not_read() {
        let header = |bytes: usize| {
            let json = format!("{{\"alg\":\"{:x<1$}\"}}", "", bytes - r#"{"alg":""}"#.len());
            URL_SAFE_NO_PAD.encode(json)
        };
        let longest = header(token::MAX_LENGTH / 4 * 3);
        assert_eq!(longest.len(), token::MAX_LENGTH);
        let value = format!("Bearer {longest}.e30.c2ln");
        assert!(
            matches!(authorization(value.as_bytes()).unwrap().credential, Credential::Token(_)),
            "and found too long"
        );
        let value = format!("Bearer {}.e30.c2ln", header(token::MAX_LENGTH / 4 * 3 + 1));
        assert_eq!(authorization(value.as_bytes()), Err(Denial::MalformedCredential));
    }

    #[test]
    fn two_different_credentials_are_refused_and_the_same_twice_is_not() {
        let both = |authorization, api_key| {
            let (authorization, api_key) = (Field::Once(authorization), Field::Once(api_key));
            find(&Request { authorization, api_key, ..Request::default() }, Styles::all())
        };
        assert_eq!(both(b"Token a".as_slice(), b"b".as_slice()), Err(Denial::AmbiguousCredential));
        assert_eq!(both(b"Token a", b"a"), presented(Style::Token, b"a"));
    }

    #[test]
    fn a_header_of_no_enabled_style_belongs_to_the_upstream() {
        let styles = Styles::only(Style::XApiKey);
        let request = Request {
            authorization: Field::Once(b"Basic dXNlcjpwYXNz"),
            api_key: Field::Once(b"a"),
            ..Request::default()
        };
        assert_eq!(find(&request, styles), presented(Style::XApiKey, b"a"));
        assert_eq!(super::carriers(styles).collect::<Vec<_>>(), ["x-api-key"]);
    }

    #[test]
    fn a_key_in_a_header_of_no_enabled_style_is_none() {
        let request = Request { api_key: Field::Once(b"a"), ..Request::default() };
        assert_eq!(find(&request, Styles::only(Style::Bearer)), Err(Denial::MissingCredential));
    }

    #[test]
    fn a_credential_is_not_printed() {
        let token = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
        let shown = |value: &str| format!("{:?}", authorization(value.as_bytes()).unwrap().credential);
        assert_eq!(shown(&format!("Bearer {token}")), "Token(…)");
        let key = shown("Bearer hunter2");
        assert!(key.starts_with("Key(") && !key.contains("hunter2"), "{key}");
    }

    #[test]
    fn a_style_that_is_not_enabled_is_unsupported() {
        let styles = Styles::only(Style::Token);
        for value in [b"secret".as_slice(), b"Bearer secret"] {
            let request = Request { authorization: Field::Once(value), ..Request::default() };
            assert_eq!(find(&request, styles), Err(Denial::UnsupportedScheme));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(value: Vec<u8>, scheme in "(Token |Bearer |)") {
            let _ = authorization(&[scheme.as_bytes(), &value].concat());
        }
    }
}
