//! Whether what came of a case is what may.

use lab::{raw, raw_http2, witness::Arrival};

use super::bytes::{self, Names};
use super::corpus::{Case, Outcome};
use super::right::{Place, identity, right};

/// What the client was told.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// `None` if the stream or the connection ended without an answer.
    pub(super) status: Option<u16>,
    /// Why the filter refused; empty if it did not.
    pub(super) reason: String,
    /// `x-auth-status`; not over HTTP/2.
    pub(super) word: Option<String>,
    /// `grpc-status`; not over HTTP/2.
    pub(super) grpc: Option<String>,
    /// All of it.
    pub(super) bytes: Vec<u8>,
}

impl Told {
    /// The first answer among these bytes that is not only to go on.
    pub(super) fn http1(bytes: Vec<u8>) -> Self {
        let interim = raw::CONTINUE;
        let answer = raw::parse(bytes.strip_prefix(interim).unwrap_or(&bytes));
        let header = |name: &str| answer.header(name);
        Self {
            status: Some(answer.status).filter(|status| *status != 0),
            reason: header("x-auth-reason").unwrap_or_default(),
            word: Some(header("x-auth-status").unwrap_or_default()),
            grpc: Some(header("grpc-status").unwrap_or_default()),
            bytes,
        }
    }

    /// The reason stands in the body, too.
    pub(super) fn http2(answer: raw_http2::Answer) -> Self {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let reason = problem["reason"].as_str().unwrap_or_default().to_owned();
        Self { status: answer.status, reason, word: None, grpc: None, bytes: answer.fields }
    }
}

/// Everything about one time that a case was sent.
pub(super) struct Trial<'a> {
    pub(super) case: &'a Case,
    pub(super) names: &'a Names,
    pub(super) outcomes: &'a [Outcome],
    pub(super) told: Told,
    pub(super) arrivals: Vec<(Place, Arrival)>,
}

impl Trial<'_> {
    /// Says what is wrong with what came of it.
    pub(super) fn judge(&self) -> Result<(), String> {
        if contains(&self.told.bytes, b"spoofed") {
            return Err("the client was told what is false".to_owned());
        }
        let wrong: Vec<_> = self.outcomes.iter().map_while(|outcome| self.is(outcome).err()).collect();
        if wrong.len() < self.outcomes.len() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    fn is(&self, outcome: &Outcome) -> Result<(), String> {
        let Told { status, reason, .. } = &self.told;
        match outcome {
            Outcome::Refused(expected, why) => {
                self.nothing_arrived()?;
                same("the status", *status, Some(*expected))?;
                // Over HTTP/2 the reason is read from the body, which this method has none of.
                let unknown = self.told.word.is_none() && self.case.method == "HEAD";
                if unknown { Ok(()) } else { same("the reason", reason.as_str(), why.as_str()) }
            }
            Outcome::RefusedGrpc(code, why) => {
                self.nothing_arrived()?;
                same("the status", *status, Some(200))?;
                let Some(told) = &self.told.grpc else { return Ok(()) };
                same("the refusal", (told.as_str(), reason.as_str()), (code.to_string().as_str(), why.as_str()))
            }
            Outcome::ByEnvoy => {
                self.nothing_arrived()?;
                let refused = status.is_none_or(|status| (400..600).contains(&status)) && reason.is_empty();
                if refused { Ok(()) } else { Err(format!("Envoy did not refuse: {status:?} {reason}")) }
            }
            Outcome::Granted(team) => self.is_granted(team, self.arrived(Place::Upstream)?),
            Outcome::Public => {
                let arrival = self.arrived(Place::Upstream)?;
                same("the status", *status, Some(200))?;
                same("the identity", identity(arrival), Vec::<(String, String)>::new())?;
                self.is_seen(arrival)
            }
            Outcome::Login => {
                same("the status", *status, Some(200))?;
                self.is_seen(self.arrived(Place::Login)?)
            }
            Outcome::Answered(expected) => {
                same("the status", *status, Some(*expected))?;
                self.arrived(Place::Upstream).map(|_| ())
            }
            Outcome::Cut => {
                same("the status", *status, status.filter(|status| *status >= 400))?;
                same("the reason", reason.as_str(), "")?;
                if self.arrivals.is_empty() { Ok(()) } else { self.arrived(Place::Upstream).map(|_| ()) }
            }
            Outcome::AnswerRefused => {
                same("the status", status.map(|status| [502, 503].contains(&status)), Some(true))?;
                self.arrived(Place::Upstream).map(|_| ())
            }
        }
    }

    fn is_granted(&self, team: &str, arrival: &Arrival) -> Result<(), String> {
        let accepted = |status| (200..300).contains(&status) || status == 101;
        same("acceptance", self.told.status.map(accepted), Some(true))?;
        if let Some(word) = &self.told.word {
            same("x-auth-status", word.as_str(), "granted")?;
        }
        let who = identity(arrival);
        let teams: Vec<_> = who.iter().filter(|(name, _)| name == "x-auth-team").map(|(_, value)| value).collect();
        same("the team", teams, if team == "-" { vec![] } else { vec![team] })?;
        for once in ["x-auth-key-id", "x-auth-scopes"] {
            same(once, who.iter().filter(|(name, _)| name == once).count(), 1)?;
        }
        let (_, headers) = split(&arrival.head);
        let false_or_secret = self.names.iter().filter(|(name, _)| !["id", "nonce", "inner"].contains(&name.as_str()));
        let mut unwanted = false_or_secret.map(|(_, value)| value.as_str()).chain(["spoofed"]);
        match unwanted
            .find(|value| contains(headers, value.as_bytes()) || contains(&arrival.trailers, value.as_bytes()))
        {
            Some(value) => Err(format!("{value} has reached the upstream")),
            None => self.is_seen(arrival),
        }
    }

    /// The target is what was sent, or what the case says.
    fn is_seen(&self, arrival: &Arrival) -> Result<(), String> {
        let written_out = self.case.line.is_some() || self.case.raw.is_some() || self.case.fields.is_some();
        let expected = match &self.case.sees {
            None if written_out => return Ok(()),
            None => bytes::target(self.case),
            Some(target) => target.clone(),
        };
        let expected = bytes::bytes(&expected, self.names);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        same("the target", text(arrival.target()), text(&expected))
    }

    fn nothing_arrived(&self) -> Result<(), String> {
        match self.arrivals.as_slice() {
            [] => Ok(()),
            [(_, arrival), ..] => Err(format!("it arrived: {}", String::from_utf8_lossy(&arrival.head))),
        }
    }

    fn arrived(&self, at: Place) -> Result<&Arrival, String> {
        match self.arrivals.as_slice() {
            [(place, arrival)] if *place == at => right(arrival, at).map(|()| arrival),
            other => Err(format!("{} arrivals, told {:?} {}", other.len(), self.told.status, self.told.reason)),
        }
    }
}

fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(what: &str, is: T, should: U) -> Result<(), String> {
    if is == should { Ok(()) } else { Err(format!("{what} is {is:?}, not {should:?}")) }
}

/// The request line, and the rest.
fn split(head: &[u8]) -> (&[u8], &[u8]) {
    head.split_at(head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len()))
}

pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
