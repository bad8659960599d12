//! `POST /auth/login`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tollkeeper_contract::Digest;

use super::{
    App,
    body::{Sent, field},
    problem::Problem,
    source::Source,
    wire::{LoginBody, TokenView},
};
use crate::{
    domain::{ClientSession, LoginRefusal, MOST_SESSIONS, SETTLING_SECONDS},
    edge, fleet,
    login::{LoginFailure, Shown, Visit},
    store::{Login, Settling, Wish},
};

/// A session id that is too long to be put into a token, or a key with very many scopes.
const TOO_LONG: &str =
    "the token would be longer than filters read; take a shorter session_id, or a key with fewer scopes";

/// `POST /auth/login`
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Source(source): Source,
    headers: HeaderMap,
    sent: Sent<LoginBody>,
) -> Result<Response, Problem> {
    let LoginBody { session_id, .. } = &sent.value;
    let client_session =
        session_id.as_deref().map(|text| field("session_id", ClientSession::parse(text))).transpose()?;
    let wish = Wish { client_session, scopes: None, origin: origin(&headers) };
    let visit = Visit { shown: shown(sent.value)?, wish, source };
    let login = enter(&app, visit).await.map_err(|told| told.problem())?;
    Ok(token(&login, None))
}

/// Lets a client in, and counts what became of it.
///
/// A token whose key is very new waits until every live node has that key: there was no older one to sign with.
pub(super) async fn enter(app: &App, visit: Visit) -> Result<Login, Told> {
    let entered = app.desk.log_in(&app.store, visit).await;
    app.metrics.count_login(&entered);
    let login = entered.map_err(Told::of)?;
    if let Some(Settling { revision, until }) = login.needs {
        let seconds = until.unix().saturating_sub(edge::now().unix()).min(SETTLING_SECONDS);
        fleet::wait_for(app, revision, seconds).await;
    }
    Ok(login)
}

/// The answer with a token; `scope` is told only where the client asked for one.
pub(super) fn token(login: &Login, scope: Option<String>) -> Response {
    let view = TokenView {
        access_token: login.token.expose().to_owned(),
        expires_in: login.session.expires.unix().saturating_sub(edge::now().unix()),
        token_type: "Bearer".to_owned(),
        scope,
    };
    ([(header::PRAGMA, "no-cache")], Json(view)).into_response()
}

/// The value of the `Origin` header; two of them say nothing.
pub(super) fn origin(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut values = headers.get_all(header::ORIGIN).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().to_vec())
}

/// Exactly one of the three ways to log in.
pub(super) fn shown(body: LoginBody) -> Result<Shown, Problem> {
    let rule = "send exactly one of api_key, username with password, client_id with client_secret";
    let ways = [
        ("api_key", body.api_key.is_some()),
        ("username", body.username.is_some() || body.password.is_some()),
        ("client_id", body.client_id.is_some() || body.client_secret.is_some()),
    ];
    let mut taken = ways.into_iter().filter(|(_, is_taken)| *is_taken).map(|(name, _)| name);
    let (way, other) = (taken.next().unwrap_or("api_key"), taken.next());
    if let Some(other) = other {
        return Err(Problem::field(other, rule));
    }
    let both = |name, value: Option<String>| value.ok_or_else(|| Problem::field(name, "is missing"));
    match way {
        "username" => Ok(Shown::Password {
            username: both("username", body.username)?,
            password: both("password", body.password)?,
        }),
        "client_id" => {
            let id = both("client_id", body.client_id)?;
            Ok(key(&both("client_secret", body.client_secret)?, Some(id)))
        }
        _ => {
            let text = body.api_key.ok_or_else(|| Problem::field("api_key", rule))?;
            Ok(key(&text, None))
        }
    }
}

/// A key that is shown.
pub(super) fn key(text: &str, id: Option<String>) -> Shown {
    Shown::Key { digest: Digest::of(text.as_bytes()), id }
}

/// What a client is told of a login that led to nothing.
pub(super) struct Told {
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    /// In seconds.
    pub(super) retry_after: Option<u64>,
}

impl Told {
    pub(super) fn of(failure: LoginFailure) -> Self {
        let told = |status, reason, detail: &str| Self { status, reason, detail: detail.to_owned(), retry_after: None };
        let wait = |told: Self, seconds| Self { retry_after: Some(seconds), ..told };
        match failure {
            LoginFailure::Refused(refusal) => Self::of_refusal(refusal),
            LoginFailure::TooManyAttempts(time) => {
                // Whole seconds, rounded up: who comes back at that time is let in.
                let seconds = time.as_secs() + 1;
                let detail = format!("too many logins failed; try again in {seconds} seconds");
                wait(told(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", &detail), seconds)
            }
            LoginFailure::Busy => {
                let detail = "too many log in at this moment; try again";
                wait(told(StatusCode::SERVICE_UNAVAILABLE, "login_busy", detail), 1)
            }
            LoginFailure::NotConfigured => {
                let detail = "this service makes no tokens: TOLLKEEPER_SIGNING_SECRET is not set";
                told(StatusCode::SERVICE_UNAVAILABLE, "login_not_configured", detail)
            }
            LoginFailure::SecretMismatch => {
                tracing::error!("{}", crate::serve::SECRET_MISMATCH);
                let detail = "no token key is made from the secrets of this service; its log says what to do";
                told(StatusCode::SERVICE_UNAVAILABLE, "signing_secret_mismatch", detail)
            }
            LoginFailure::NoRandomness(error) => {
                let problem = Problem::no_randomness(&error);
                told(problem.status(), problem.reason(), problem.detail())
            }
            LoginFailure::Failed(error) => {
                let problem = Problem::from(error);
                told(problem.status(), problem.reason(), problem.detail())
            }
        }
    }

    fn of_refusal(refusal: LoginRefusal) -> Self {
        let (status, reason, detail) = match refusal {
            LoginRefusal::WrongCredentials => {
                (StatusCode::UNAUTHORIZED, "invalid_credentials", "these credentials are not known, or not right")
            }
            LoginRefusal::KeyRevoked => (StatusCode::UNAUTHORIZED, "key_revoked", "the key was revoked"),
            LoginRefusal::KeyDisabled => (StatusCode::UNAUTHORIZED, "key_disabled", "the key is disabled"),
            LoginRefusal::KeyExpired => (StatusCode::UNAUTHORIZED, "key_expired", "the key has expired"),
            LoginRefusal::KeyNotYetValid => (StatusCode::UNAUTHORIZED, "key_not_yet_valid", "the key is not valid yet"),
            LoginRefusal::UserDisabled => (StatusCode::UNAUTHORIZED, "user_disabled", "the user is disabled"),
            LoginRefusal::TeamDisabled => (StatusCode::FORBIDDEN, "team_disabled", "the team is disabled"),
            LoginRefusal::EnterpriseDisabled => {
                (StatusCode::FORBIDDEN, "enterprise_disabled", "the enterprise is disabled")
            }
            LoginRefusal::OriginMismatch => {
                let detail = "the key is bound to another origin than the one in the Origin header";
                (StatusCode::FORBIDDEN, "origin_mismatch", detail)
            }
            LoginRefusal::ScopeBeyondGrant => {
                (StatusCode::BAD_REQUEST, "invalid_scope", "the credentials do not have all of these scopes")
            }
            LoginRefusal::TokenTooLong => (StatusCode::BAD_REQUEST, "token_too_long", TOO_LONG),
            LoginRefusal::TooManySessions => return Self::too_many_sessions(),
        };
        Self { status, reason, detail: detail.to_owned(), retry_after: None }
    }

    fn too_many_sessions() -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            reason: "too_many_sessions",
            detail: format!(
                "these credentials have {MOST_SESSIONS} live sessions; use one of them again, or revoke some"
            ),
            retry_after: Some(60),
        }
    }

    pub(super) fn problem(self) -> Problem {
        Problem::new(self.status, self.reason, self.detail).retry_after(self.retry_after)
    }
}
