//! Forms (`application/x-www-form-urlencoded`), read strictly: no parameter twice, UTF-8 only.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};

use super::refusal::{OauthError, OauthRefusal};
use crate::api::{
    body::{self, shortened},
    pairs::{self, Broken},
};

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

impl Form {
    fn parse(bytes: &[u8]) -> Result<Self, OauthRefusal> {
        let mut pairs = pairs::read(bytes).map_err(|broken| {
            let detail = match broken {
                Broken::Name => "the name of a parameter is not UTF-8".to_owned(),
                Broken::Value(name) => format!("{} is not UTF-8", shortened(&name)),
                Broken::Twice(name) => format!("{} stands there twice", shortened(&name)),
                Broken::TooMany => "there are too many parameters".to_owned(),
            };
            OauthRefusal::new(OauthError::InvalidRequest, detail)
        })?;
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
    use super::Form;

    #[test]
    fn a_parameter_without_a_value_counts_as_left_out() {
        let form = Form::parse(b"a=1+2&c=&d&e=%zz%").unwrap_or_else(|_| panic!("refused"));
        assert_eq!((form.get("a"), form.get("e")), (Some("1 2"), Some("%zz%")));
        assert_eq!((form.get("c"), form.get("d"), form.get("f")), (None, None, None));
    }
}
