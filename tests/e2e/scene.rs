//! Requests as clients send them, and what is seen of each on both sides of the edge.

use std::sync::atomic::{AtomicU64, Ordering};

use lab::edge::Edge;
use lab::raw::RawAnswer;
use lab::upstream::{ANSWER_HEADERS, NONCE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// How a client presents its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Raw,
    Token,
    Bearer,
    XApiKey,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the client got.
    pub(crate) answer: RawAnswer,
    /// How often the request arrived at the upstream.
    pub(crate) hits: u64,
}

impl Style {
    pub(crate) const ALL: [Self; 4] = [Self::Raw, Self::Token, Self::Bearer, Self::XApiKey];

    /// As `x-auth-method` calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Token => "token",
            Self::Bearer => "bearer",
            Self::XApiKey => "x-api-key",
        }
    }

    /// The header that presents `credential`.
    pub(crate) fn header(self, credential: &str) -> (&'static str, String) {
        match self {
            Self::Raw => ("authorization", credential.to_owned()),
            Self::Token => ("authorization", format!("Token {credential}")),
            Self::Bearer => ("authorization", format!("Bearer {credential}")),
            Self::XApiKey => ("x-api-key", credential.to_owned()),
        }
    }
}

/// An edge as `envoy/edge.yaml` describes it.
pub(crate) async fn edge() -> Edge {
    Edge::synced_start(|setup| setup).await
}

/// An edge whose filter has other settings on top: `{"unmatched": "refuse"}`.
pub(crate) async fn edge_with(settings: Value) -> Edge {
    Edge::synced_start(|setup| setup.filter(move |filter| adopt(filter, settings))).await
}

/// Sets each member of `settings` in `configuration`.
pub(crate) fn adopt(configuration: &mut Value, settings: Value) {
    for (name, value) in settings.as_object().expect("settings are an object") {
        configuration[name] = value.clone();
    }
}

/// Envoy's HTTP connection manager in its configuration.
pub(crate) fn connection_manager(bootstrap: &mut Value) -> &mut Value {
    let place = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    bootstrap.pointer_mut(place).expect("the connection manager")
}

/// Takes the filter away that refuses what was not judged.
pub(crate) fn forgets_whom_nobody_judged(bootstrap: &mut Value) {
    let filters = connection_manager(bootstrap)["http_filters"].as_array_mut().expect("filters");
    filters.retain(|filter| filter["name"] != "not_judged");
}

/// An edge whose Envoy has another configuration.
pub(crate) async fn edge_edited(edit: impl FnOnce(&mut Value) + 'static) -> Edge {
    Edge::synced_start(|setup| {
        setup.bootstrap(|bootstrap| {
            bootstrap.edit(edit);
            Ok(())
        })
    })
    .await
}

/// Gives a team, which is made if there is none, a quota of its own.
pub(crate) async fn limit_team(edge: &Edge, team: &str, limit: u32, window_seconds: u32) {
    edge.key_service().create_team(team, team).await.unwrap();
    let quota = json!({ "quota": { "limit": limit, "window_seconds": window_seconds } });
    let changed = edge.key_service().patch_team(team, &quota).await.unwrap();
    edge.serves(changed["revision"].as_u64().unwrap()).await;
}

/// Sends a GET with a key as `x-api-key`.
pub(crate) async fn get(edge: &Edge, path: &str, key: &str) -> Outcome {
    send(edge, edge.get(path).header("x-api-key", key)).await
}

/// Sends a request with a key as `x-api-key`.
pub(crate) async fn request(edge: &Edge, method: Method, path: &str, key: &str) -> Outcome {
    send(edge, edge.request(method, path).header("x-api-key", key)).await
}

/// Sends a prepared request.
pub(crate) async fn send(edge: &Edge, request: RequestBuilder) -> Outcome {
    let nonce = nonce();
    let response = request.header(NONCE, &nonce).send().await.expect("an answer");
    let headers = response.headers().iter();
    let answer = RawAnswer {
        status: response.status().as_u16(),
        headers: headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect(),
        body: response.bytes().await.expect("a whole answer").to_vec(),
    };
    Outcome { answer, hits: edge.upstream().hits_of(&nonce) }
}

/// Sends exactly these headers, over a connection of its own.
pub(crate) async fn send_raw(edge: &Edge, method: &str, path: &str, headers: &[(&str, &[u8])]) -> Outcome {
    let nonce = nonce();
    let headers = [headers, &[(NONCE, nonce.as_bytes())]].concat();
    let answer = edge.raw(method, path, &headers).await;
    Outcome { answer, hits: edge.upstream().hits_of(&nonce) }
}

/// Sends exactly these bytes, over a connection of its own.
pub(crate) async fn exchange(edge: &Edge, request: &[u8]) -> RawAnswer {
    lab::raw::answer(edge.address(), request).await.expect("an answer")
}

/// The header that makes the upstream answer with these headers.
pub(crate) fn answered_with(headers: &[(&str, &str)]) -> (&'static str, String) {
    (ANSWER_HEADERS, json!(headers).to_string())
}

fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

impl Outcome {
    pub(crate) fn status(&self) -> u16 {
        self.answer.status
    }

    /// A header of the answer; values of repeated headers are joined by `, `.
    pub(crate) fn header(&self, name: &str) -> String {
        self.answer.header(name).unwrap_or_default()
    }

    /// All values of a header of the answer.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let of_name = self.answer.headers.iter().filter(|(other, _)| other == name);
        of_name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// Identity headers of the answer in any spelling.
    pub(crate) fn identity(&self) -> Vec<(String, String)> {
        let value = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        identity(self.answer.headers.iter().map(|(name, bytes)| (name.clone(), value(bytes))))
    }

    /// The answer's body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.answer.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All values of a header of the request as it arrived at the upstream.
    pub(crate) fn upstream_headers(&self, name: &str) -> Vec<String> {
        self.arrived().into_iter().filter(|(other, _)| other == name).map(|(_, value)| value).collect()
    }

    /// Identity headers, in any spelling, of the request as it arrived at the upstream.
    pub(crate) fn upstream_identity(&self) -> Vec<(String, String)> {
        identity(self.arrived().into_iter())
    }

    fn arrived(&self) -> Vec<(String, String)> {
        assert_eq!(self.hits, 1, "it did not arrive at the upstream: {self:?}");
        serde_json::from_value(self.json()["headers"].clone()).expect("the upstream's account")
    }

    #[track_caller]
    pub(crate) fn is_granted(&self) {
        assert_eq!((self.status(), self.hits), (200, 1), "{self:?}");
        assert_eq!(self.header("x-auth-status"), "granted", "{self:?}");
        assert_eq!(self.answer.header("x-auth-reason"), None, "{self:?}");
    }

    /// Everything that a refused HTTP client sees, and that the upstream sees nothing.
    #[track_caller]
    pub(crate) fn is_refused(&self, status: u16, reason: &str) {
        self.is_refused_in_headers(status, reason);
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["reason"]), (&json!(status), &json!(reason)), "{self:?}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{self:?}");
    }

    /// As [`Self::is_refused`], where an answer has no body.
    #[track_caller]
    pub(crate) fn is_refused_in_headers(&self, status: u16, reason: &str) {
        assert_eq!((self.status(), self.header("x-auth-reason").as_str()), (status, reason), "{self:?}");
        let word = if status < 500 { "denied" } else { "fault" };
        let said = [("x-auth-reason".to_owned(), reason.to_owned()), ("x-auth-status".to_owned(), word.to_owned())];
        assert_eq!(self.identity(), said, "{self:?}");
        assert_eq!(self.hits, 0, "the upstream was reached: {self:?}");
        // A bearer whose scopes do not suffice is told so as RFC 6750 section 3.1 has it.
        let challenged = status == 401 || reason == "missing_scope" && !self.headers("www-authenticate").is_empty();
        assert_eq!(!self.headers("www-authenticate").is_empty(), challenged, "{self:?}");
    }
}

/// Those whose names begin with `x-auth-` for a server that does not tell `-` from `_`, sorted.
fn identity(headers: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let is_identity = |(name, _): &(String, String)| name.to_lowercase().replace('_', "-").starts_with("x-auth-");
    let mut found: Vec<_> = headers.filter(is_identity).collect();
    found.sort();
    found
}
