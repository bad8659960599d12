//! The admin API as the commands call it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tollkeeper_contract::{SERVICE_HEADER, SERVICE_NAME};

use crate::domain::AdminToken;

/// The variable that says where the key service is.
pub(crate) const URL: &str = "TOLLKEEPER_URL";

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call did not succeed: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{url:?} is no address of a key service; write {URL} or --url as http://HOST:PORT")]
    BadUrl { url: String },
    #[error("cannot reach the key service at {url} ({cause}); is it running, and is {URL} or --url right?")]
    Unreachable { url: String, cause: String },
    #[error("{url} answered, but not as a key service (status {status}); is {URL} or --url right?")]
    Foreign { url: String, status: StatusCode },
    #[error("refused: {detail} (status {status}, reason {reason}){advice}")]
    Refused { status: u16, reason: String, detail: String, advice: &'static str },
}

impl CallError {
    /// The code to exit with.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::BadUrl { .. } => 2,
            Self::Unreachable { .. } | Self::Foreign { .. } => 3,
            Self::Refused { .. } => 1,
        }
    }
}

/// What the commands read of a problem.
#[derive(Deserialize)]
struct Problem {
    status: u16,
    reason: String,
    detail: String,
}

/// A client of one key service.
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    token: AdminToken,
}

impl Client {
    pub(crate) fn new(url: &str, token: AdminToken) -> Result<Self, CallError> {
        let bad = || CallError::BadUrl { url: url.to_owned() };
        let parsed = reqwest::Url::parse(url).map_err(|_| bad())?;
        if parsed.scheme() != "http" || !parsed.has_host() || parsed.query().is_some() {
            return Err(bad());
        }
        // A proxy would see the token, and a redirect could send it elsewhere.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .map_err(|_| bad())?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token })
    }

    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, CallError> {
        self.read(self.request(Method::GET, path).query(query)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.read(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        self.read(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<(), CallError> {
        self.answer(self.request(Method::DELETE, path)).await.map(|_| ())
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(self.token.expose())
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Value, CallError> {
        let answer = self.answer(request).await?;
        let status = answer.status();
        answer.json().await.map_err(|_| CallError::Foreign { url: self.url.clone(), status })
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, CallError> {
        let answer = request
            .send()
            .await
            .map_err(|error| CallError::Unreachable { url: self.url.clone(), cause: innermost(&error) })?;
        let status = answer.status();
        let foreign = CallError::Foreign { url: self.url.clone(), status };
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

fn refused(Problem { status, reason, detail }: Problem) -> CallError {
    let advice = match reason.as_str() {
        "wrong_token" | "missing_token" => "; check TOLLKEEPER_ADMIN_TOKEN or TOLLKEEPER_ADMIN_TOKEN_FILE",
        _ => "",
    };
    CallError::Refused { status, reason, detail, advice }
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
        status: 200,
        reason: "unknown_answer".to_owned(),
        detail: format!("the key service answered in a form that this command does not know: {error}"),
        advice: "; use the command of the service's own version",
    })
}
