//! How a class of hostile requests is written down.

use serde::Deserialize;

use super::stage::Kind;

/// Requests of one sort.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    /// What it is called in reports.
    pub(super) class: String,
    /// Where each case is tried.
    #[serde(default = "shipped")]
    pub(super) edges: Vec<Kind>,
    /// What is tried.
    pub(super) cases: Vec<Case>,
}

/// A request, and what may come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it is called in reports.
    pub(super) name: String,
    /// Why it is here.
    pub(super) why: String,
    /// In which protocols it is sent.
    #[serde(default)]
    pub(super) over: Over,
    /// GET unless said otherwise.
    #[serde(default = "get")]
    pub(super) method: String,
    /// The path; a nonce is added to its query.
    #[serde(default = "path")]
    pub(super) path: String,
    /// The whole request line instead of these.
    pub(super) line: Option<String>,
    /// Lines behind `host`, `connection` and the nonce.
    #[serde(default)]
    pub(super) head: Vec<String>,
    /// Whether `host`, `connection` and `:authority` are left out.
    #[serde(default)]
    pub(super) bare: bool,
    /// What follows the head.
    #[serde(default)]
    pub(super) body: String,
    /// Lines behind a chunked body.
    #[serde(default)]
    pub(super) trailers: Vec<String>,
    /// All bytes of the request, or of several, instead of all this.
    pub(super) raw: Option<String>,
    /// All fields over HTTP/2 instead of all this.
    pub(super) fields: Option<Vec<(String, String)>>,
    /// What the upstream answers, byte for byte.
    pub(super) answer: Option<String>,
    /// What may come of it.
    pub(super) then: Outcomes,
    /// What may come of it where Envoy leaves paths as they are; the same unless said otherwise.
    pub(super) plain: Option<Outcomes>,
    /// The target as it arrives; as it was sent unless said otherwise.
    pub(super) sees: Option<String>,
    /// Whether the request that is hidden within this one, whose nonce is `{inner}`, may arrive, by its own right.
    #[serde(default)]
    pub(super) inner_may_arrive: bool,
}

/// In which protocols a case is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Over {
    #[default]
    Http1,
    Http2,
    Both,
}

/// What may come of a case: words as in `401 unknown_key | envoy`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Outcomes(pub(super) Vec<Outcome>);

/// One of the things that may come of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The filter refuses: status and reason.
    Refused(u16, String),
    /// The filter refuses in the way of gRPC: code and reason.
    RefusedGrpc(u16, String),
    /// Envoy refuses before it asks the filter, by an answer or by ending the stream.
    ByEnvoy,
    /// It arrives once, as a request of this team; or of none (`-`), of an enterprise.
    Granted(String),
    /// It arrives once, as a request of nobody.
    Public,
    /// It arrives once, where logins go.
    Login,
    /// It arrives once, by its right, and the client gets the upstream's status.
    Answered(u16),
    /// It arrives at most once, by its right, and Envoy ends it when it finds out what is wrong with its body.
    Cut,
    /// It arrives once, by its right, and Envoy does not take the upstream's answer.
    AnswerRefused,
}

impl TryFrom<String> for Outcomes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.split(" | ").map(outcome).collect::<Result<_, _>>().map(Self)
    }
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let words: Vec<_> = text.split(' ').collect();
    let number = |word: &str| word.parse::<u16>().map_err(|_| format!("no number: {text}"));
    Ok(match words.as_slice() {
        ["envoy"] => Outcome::ByEnvoy,
        ["public"] => Outcome::Public,
        ["cut"] => Outcome::Cut,
        ["login"] => Outcome::Login,
        ["answer", "refused"] => Outcome::AnswerRefused,
        ["granted"] => Outcome::Granted("acme".to_owned()),
        ["answered", status] => Outcome::Answered(number(status)?),
        ["granted", team] => Outcome::Granted((*team).to_owned()),
        ["grpc", code, reason] => Outcome::RefusedGrpc(number(code)?, (*reason).to_owned()),
        [status, reason] => Outcome::Refused(number(status)?, (*reason).to_owned()),
        _ => return Err(format!("no outcome: {text}")),
    })
}

impl Class {
    pub(super) fn parse(text: &str) -> Self {
        let class: Self = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        let mut names: Vec<_> = class.cases.iter().map(|case| &case.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}: two cases of one name", class.class);
        assert!(class.cases.iter().all(|case| !case.why.is_empty()), "{}: a case without a reason", class.class);
        class
    }
}

impl Case {
    /// What may come of it on this edge.
    pub(super) fn outcomes(&self, kind: Kind) -> &[Outcome] {
        match (kind, &self.plain) {
            (Kind::Plain, Some(plain)) => &plain.0,
            _ => &self.then.0,
        }
    }

    /// Whether it is HTTP/2, for each time that it is sent.
    pub(super) fn times(&self) -> &'static [bool] {
        match (self.fields.is_some(), self.over) {
            (true, _) | (_, Over::Http2) => &[true],
            (_, Over::Http1) => &[false],
            (_, Over::Both) => &[false, true],
        }
    }
}

fn shipped() -> Vec<Kind> {
    vec![Kind::Shipped]
}

fn get() -> String {
    "GET".to_owned()
}

fn path() -> String {
    "/api/acme/x".to_owned()
}
