//! `POST /oauth/token` (RFC 6749 section 4.4).

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use tollkeeper_contract::Scopes;

use super::{
    client::client,
    form::Form,
    refusal::{OauthError, OauthRefusal},
};
use crate::{
    api::{App, login, source::Source},
    domain::ClientSession,
    login::Visit,
    store::Wish,
};

/// `POST /oauth/token`
pub(in crate::api) async fn token(
    State(app): State<Arc<App>>,
    Source(source): Source,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OauthRefusal> {
    if form.required("grant_type")? != "client_credentials" {
        let detail = "grant_type must be client_credentials";
        return Err(OauthRefusal::new(OauthError::UnsupportedGrantType, detail));
    }
    let scopes = form.get("scope").map(scopes).transpose()?;
    let client_session = form.get("session_id").map(ClientSession::parse).transpose();
    let client_session =
        client_session.map_err(|rule| OauthRefusal::new(OauthError::InvalidRequest, rule.to_string()))?;
    let wish = Wish { client_session, scopes, origin: login::origin(&headers) };
    let visit = Visit { shown: client(&headers, &form)?, wish, source };
    let login = login::enter(&app, visit).await.map_err(OauthRefusal::of_login)?;
    Ok(login::token(&login, Some(login.session.claims.scope.clone())))
}

fn scopes(text: &str) -> Result<Scopes, OauthRefusal> {
    Scopes::parse(text).map_err(|rule| OauthRefusal::new(OauthError::InvalidScope, rule.to_string()))
}
