//! Forms (`application/x-www-form-urlencoded`), read strictly: no parameter twice, UTF-8 only.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};

use super::refusal::{OauthError, OauthRefusal};
use crate::api::body;

/// The parameters of a form. Those without a value count as left out, those that nobody knows are ignored
/// (RFC 6749 section 3.2).
pub(in crate::api) struct Form(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = OauthRefusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, OauthRefusal> {
        let typed = require_form(request.headers());
        let bytes =
            body::read(request, body::ADMIN_LIMIT).await.map_err(|problem| OauthRefusal::of_problem(&problem))?;
        typed?;
        Self::parse(&bytes)
    }
}

/// More parameters than any of these requests has.
const MOST_PARAMETERS: usize = 32;

impl Form {
    fn parse(bytes: &[u8]) -> Result<Self, OauthRefusal> {
        let broken = || OauthRefusal::new(OauthError::InvalidRequest, "the body is no form in UTF-8");
        let mut pairs = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at_checked(end).ok_or_else(broken)?;
            let name = decode(name, Plus::IsSpace).ok_or_else(broken)?;
            let value = decode(value.strip_prefix(b"=").unwrap_or_default(), Plus::IsSpace).ok_or_else(broken)?;
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(OauthRefusal::new(OauthError::InvalidRequest, "a parameter stands there twice"));
            }
            pairs.push((name, value));
            // Looking for repeats compares each with all: without a bound, a long body would take long.
            if pairs.len() > MOST_PARAMETERS {
                return Err(OauthRefusal::new(OauthError::InvalidRequest, "there are too many parameters"));
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Self(pairs))
    }

    /// The value of a parameter, if it has one.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that must have one.
    pub(super) fn required(&self, name: &str) -> Result<&str, OauthRefusal> {
        let missing = || OauthRefusal::new(OauthError::InvalidRequest, format!("{name} is missing"));
        self.get(name).ok_or_else(missing)
    }
}

/// What a plus sign stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// A space, as in forms.
    IsSpace,
    /// Itself.
    IsPlus,
}

/// Undoes percent-encoding. A percent sign that nothing was encoded with stands for itself.
pub(super) fn decode(bytes: &[u8], plus: Plus) -> Option<String> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, encoded(behind)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'+', _) if plus == Plus::IsSpace => decoded.push(b' '),
            _ => decoded.push(*first),
        }
    }
    String::from_utf8(decoded).ok()
}

fn encoded(digits: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn require_form(headers: &HeaderMap) -> Result<(), OauthRefusal> {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")) {
        return Ok(());
    }
    let detail = "send a form with content-type application/x-www-form-urlencoded";
    Err(OauthRefusal::new(OauthError::InvalidRequest, detail))
}

#[cfg(test)]
mod tests {
    use super::{Form, Plus, decode};

    #[test]
    fn a_form_is_decoded() {
        let form = Form::parse(b"a=1+2&b=%C3%BC%2B&c=&d&=x&&e=%zz%").unwrap_or_else(|_| panic!("refused"));
        assert_eq!((form.get("a"), form.get("b"), form.get("e")), (Some("1 2"), Some("ü+"), Some("%zz%")));
        assert_eq!((form.get("c"), form.get("d"), form.get("f")), (None, None, None));
        assert_eq!(decode(b"a+b%2Bc", Plus::IsPlus).as_deref(), Some("a+b+c"));
    }

    #[test]
    fn a_parameter_twice_or_other_bytes_than_utf_8_are_refused() {
        for bad in [&b"a=1&a=2"[..], b"a=1&a", b"a=%ff", b"a=\xff", b"%ff=1"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
    }
}
