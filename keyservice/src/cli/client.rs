//! The admin API as the commands call it.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::{Method, StatusCode, header::HeaderValue};
use rustls::{ClientConfig, crypto::ring};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tollkeeper_contract::{SERVICE_HEADER, SERVICE_NAME};

use super::output;
use crate::{
    api::ACTOR_HEADER,
    domain::{self, AdminToken, Name},
    tls::{self, TlsError},
};

/// The variable that says where the key service is.
pub(crate) const URL: &str = "TOLLKEEPER_URL";

/// The variable that says who types.
pub(crate) const ACTOR: &str = "TOLLKEEPER_ACTOR";

/// The variable that names the file with the authority of the key service's certificate.
pub(crate) const CA: &str = "TOLLKEEPER_CA_FILE";

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call did not succeed: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{url:?} is no address of a key service; write {URL} or --url as http://HOST:PORT or https://HOST:PORT")]
    BadUrl { url: String },
    #[error("{0}")]
    Tls(#[from] Box<TlsError>),
    #[error("there can be no TLS here: {0}")]
    NoTls(reqwest::Error),
    #[error("cannot reach the key service at {url} ({cause}); is it running, and is {URL} or --url right?")]
    Unreachable { url: String, cause: String },
    #[error("{url} answered, but not as a key service (status {status}); is {URL} or --url right?")]
    Foreign { url: String, status: StatusCode },
    #[error("refused: {} (status {}, reason {}){advice}", .problem.detail, .problem.status, .problem.reason)]
    Refused { problem: Box<Problem>, advice: &'static str },
}

impl CallError {
    /// The code to exit with.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::BadUrl { .. } | Self::Tls(_) | Self::NoTls(_) => 2,
            Self::Unreachable { .. } | Self::Foreign { .. } => 3,
            Self::Refused { .. } => 1,
        }
    }

    /// The error as a problem (RFC 9457); the service's own is passed on.
    pub(crate) fn problem(&self) -> Value {
        let reason = match self {
            Self::BadUrl { .. } | Self::Tls(_) | Self::NoTls(_) => "wrong_setting",
            Self::Unreachable { .. } => "unreachable",
            Self::Foreign { .. } => "no_key_service",
            // A struct of texts and a number can always be written.
            Self::Refused { problem, .. } => return serde_json::to_value(problem.as_ref()).unwrap_or_default(),
        };
        output::problem(reason, &self.to_string())
    }
}

/// A problem, as the service answers it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    pub(crate) detail: String,
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

/// Who types, as the audit log is to name them.
#[derive(Debug, Clone)]
pub(crate) struct Actor(HeaderValue);

impl Actor {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let actor = Name::parse(text).and_then(domain::Actor::named).map_err(|rule| rule.to_string())?;
        HeaderValue::from_str(&actor.to_string()).map(Self).map_err(|error| error.to_string())
    }
}

/// TLS that trusts the authorities in this file and no others.
fn trusting(path: &Path) -> Result<ClientConfig, Box<TlsError>> {
    let provider = Arc::new(ring::default_provider());
    let refused =
        |error: rustls::Error| Box::new(TlsError::Authorities { path: path.to_owned(), cause: error.to_string() });
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(versions.map_err(refused)?.with_root_certificates(tls::roots(CA, path).map_err(Box::new)?).with_no_client_auth())
}

/// A client of one key service.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    /// The address as it may be shown.
    shown: String,
    token: AdminToken,
    actor: Option<Actor>,
}

impl Client {
    pub(crate) fn new(
        url: &str,
        ca_file: Option<&Path>,
        token: AdminToken,
        actor: Option<Actor>,
    ) -> Result<Self, CallError> {
        let shown = without_userinfo(url);
        let bad = || CallError::BadUrl { url: shown.clone() };
        let parsed = reqwest::Url::parse(url).map_err(|_| bad())?;
        let has_userinfo = !parsed.username().is_empty() || parsed.password().is_some();
        if !["http", "https"].contains(&parsed.scheme())
            || !parsed.has_host()
            || parsed.query().is_some()
            || has_userinfo
        {
            return Err(bad());
        }
        // A proxy would see the token, and a redirect could send it elsewhere.
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
        let http = match ca_file {
            Some(path) => http.tls_backend_preconfigured(trusting(path)?),
            None => {
                // Somebody may have chosen it before; it is the same one.
                let _ = ring::default_provider().install_default();
                http
            }
        };
        let http = http.build().map_err(CallError::NoTls)?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), shown, token, actor })
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CallError> {
        self.read(self.request(Method::GET, path).query(query)).await
    }

    /// Sends a change, which may wait for the nodes for some seconds; an answer without a body is null.
    pub(crate) async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        wait: Option<u8>,
    ) -> Result<Value, CallError> {
        let mut request = self.request(method, path);
        if let Some(seconds) = wait {
            request = request.query(&[("wait", seconds)]).timeout(PATIENCE + Duration::from_secs(seconds.into()));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.read(request).await
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(self.token.expose());
        match &self.actor {
            Some(Actor(name)) => request.header(ACTOR_HEADER, name),
            None => request,
        }
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Value, CallError> {
        let answer = self.answer(request).await?;
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        answer.json().await.map_err(|_| CallError::Foreign { url: self.shown.clone(), status })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, CallError> {
        let answer = request
            .send()
            .await
            .map_err(|error| CallError::Unreachable { url: self.shown.clone(), cause: innermost(&error) })?;
        let status = answer.status();
        let foreign = CallError::Foreign { url: self.shown.clone(), status };
        if answer.headers().get(SERVICE_HEADER).is_none_or(|name| name != SERVICE_NAME) {
            return Err(foreign);
        }
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Problem = answer.json().await.map_err(|_| foreign)?;
        Err(refused(problem))
    }
}

/// An address without what may be a name and a password: everything up to the last `@`, for a password may hold any
/// character.
fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let Some(at) = rest.rfind('@') else { return url.to_owned() };
    let host = rest.get(at + 1..).unwrap_or_default();
    if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
}

fn refused(problem: Problem) -> CallError {
    let advice = match problem.reason.as_str() {
        "wrong_token" | "missing_token" => "; check TOLLKEEPER_ADMIN_TOKEN or TOLLKEEPER_ADMIN_TOKEN_FILE",
        _ => "",
    };
    CallError::Refused { problem: Box::new(problem), advice }
}

/// The cause behind all the layers: `Connection refused` rather than `error sending request`.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A view of an answer.
pub(crate) fn view<T: DeserializeOwned>(answer: Value) -> Result<T, CallError> {
    serde_json::from_value(answer).map_err(|error| CallError::Refused {
        problem: Box::new(Problem {
            r#type: "about:blank".to_owned(),
            title: "Unknown answer".to_owned(),
            status: 200,
            detail: format!("the key service answered in a form that this command does not know: {error}"),
            reason: "unknown_answer".to_owned(),
            field: None,
        }),
        advice: "; use the command of the service's own version",
    })
}
