//! Requests as they arrive at the filter, often nearly right.

use std::{fmt, sync::LazyLock};

use arbitrary::Unstructured;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollkeeper_contract::{
    Algorithm, Owner,
    page::NodeToken,
    token::{Claims, Header, with_signature},
};

use super::world::{KEYS, KID, SESSIONS, Session, TEAMS};

pub(super) static SECRET: LazyLock<NodeToken> =
    LazyLock::new(|| NodeToken::parse("a-token-for-nodes").expect("a token"));

/// The token of each session.
pub(super) static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| SESSIONS.iter().map(token).collect());

/// A request.
#[derive(Clone)]
pub(super) struct Sent {
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// Whether nothing was made strange about it.
    pub(super) is_plain: bool,
}

impl Sent {
    pub(super) fn draw(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let mut sent = Self { headers: Vec::new(), is_plain: true };
        let method = *input.choose(&["GET", "GET", "POST", "HEAD", "POST", "GET", "HEAD", "get"])?;
        sent.push(input, ":method", method)?;
        let targets =
            ["/api/acme/x", "/me", "/login", "/open/x", "/api/acme", "/api/globex/x?y", "/api/initech/x", "/other"];
        let target = *input.choose(&targets)?;
        sent.push(input, ":path", target)?;
        sent.push_credential(input)?;
        if one_in(input, 8)? {
            sent.push_credential(input)?;
        }
        if one_in(input, 3)? {
            let origin = *input.choose(&["https://a.example", "a.example", "http://b.example", "null"])?;
            sent.push(input, "origin", origin)?;
        }
        if one_in(input, 3)? {
            let team = *input.choose(&["acme", "initech", "nobody", ""])?;
            sent.push(input, "x-delegate-account-id", team)?;
        }
        if one_in(input, 3)? {
            let host = *input.choose(&["own.example", "api.example", "OWN.example:8080"])?;
            sent.push(input, ":authority", host)?;
        }
        Ok(sent)
    }

    /// A request for a team in an enterprise's name; the team is named in the path, in a header, or in both.
    pub(super) fn draw_delegated(input: &mut Unstructured<'_>) -> arbitrary::Result<Self> {
        let mut sent = Self { headers: Vec::new(), is_plain: true };
        let method = *input.choose(&["GET", "POST"])?;
        sent.push(input, ":method", method)?;
        let team = input.choose(TEAMS)?.id;
        let (path, is_in_header) = match input.int_in_range(0..=2)? {
            0 => (format!("/api/{team}/x"), false),
            1 => (format!("/api/{team}/x"), true),
            _ => ("/me".to_owned(), true),
        };
        sent.push(input, ":path", &path)?;
        let is_of_enterprise = |owner| matches!(owner, Owner::Enterprise(_));
        if input.arbitrary()? {
            let keys: Vec<_> = KEYS.iter().filter(|key| is_of_enterprise(key.rights.owner)).collect();
            let key = input.choose(&keys)?;
            sent.push(input, "x-api-key", key.text)?;
        } else {
            let sessions = SESSIONS.iter().zip(&*TOKENS).filter(|(session, _)| is_of_enterprise(session.rights.owner));
            let tokens: Vec<_> = sessions.map(|(_, token)| token).collect();
            let token = input.choose(&tokens)?;
            sent.push(input, "authorization", &format!("bearer {token}"))?;
        }
        if is_in_header {
            sent.push(input, "x-delegate-account-id", team)?;
        }
        let host = *input.choose(&["", "soylent.example", "own.example", "api.example"])?;
        if !host.is_empty() {
            sent.push(input, ":authority", host)?;
        }
        Ok(sent)
    }

    /// Half of them are of the first few, which mostly work.
    fn push_credential(&mut self, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let most = if input.arbitrary()? { usize::MAX } else { 4 };
        let keys = ["authorization", "authorization: Bearer ", "authorization: token ", "x-api-key"];
        let (place, text) = if input.arbitrary()? {
            // One in eight where no token is looked for.
            let place = if one_in(input, 8)? { *input.choose(&keys)? } else { "authorization: bearer " };
            (place, TOKENS[input.int_in_range(0..=most.min(TOKENS.len()) - 1)?].as_str())
        } else {
            let text = KEYS.get(input.int_in_range(0..=most.min(KEYS.len()))?).map_or("unknown", |key| key.text);
            (*input.choose(&keys)?, text)
        };
        let (name, scheme) = place.split_once(": ").unwrap_or((place, ""));
        self.push(input, name, &format!("{scheme}{text}"))
    }

    /// One in eight values is changed, one in sixteen stands twice.
    fn push(&mut self, input: &mut Unstructured<'_>, name: &str, value: &str) -> arbitrary::Result<()> {
        let mut value = value.as_bytes().to_vec();
        if one_in(input, 8)? {
            self.is_plain = false;
            let at = input.int_in_range(0..=value.len())?;
            let strange =
                *input.choose(&["/", "..", "%2f", "%2e", " ", ",", "\t", "\0", "?", ";", "#", "\u{e9}", "A"])?;
            value.splice(at..at, strange.bytes());
        }
        for _ in 0..if one_in(input, 16)? { 2 } else { 1 } {
            self.headers.push((name.to_owned(), value.clone()));
        }
        Ok(())
    }

    pub(super) fn last(&self, name: &str) -> Option<String> {
        self.values(name).pop()
    }

    /// What is no UTF-8 never matches anything here.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let values = self.headers.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        f.debug_struct("Sent").field("headers", &Vec::from_iter(headers)).field("is_plain", &self.is_plain).finish()
    }
}

/// Where the input has ended, it is not.
fn one_in(input: &mut Unstructured<'_>, many: u8) -> arbitrary::Result<bool> {
    Ok(input.int_in_range(1..=many)? == many)
}

/// As the key service signs it.
fn token(session: &Session) -> String {
    let rights = session.rights;
    let (team, enterprise) = match rights.owner {
        Owner::Team(team) => (Some(team.to_owned()), None),
        Owner::Enterprise(enterprise) => (None, Some(enterprise.to_owned())),
    };
    let claims = Claims {
        issuer: "tollkeeper".into(),
        audience: session.audience.into(),
        subject: rights.user.into(),
        team,
        enterprise,
        kind: rights.kind,
        scope: rights.scopes.into(),
        key_id: None,
        origin: rights.origin.map(str::to_owned),
        client_session: None,
        session: session.id.into(),
        issued: session.not_before,
        not_before: session.not_before,
        expires: session.expires,
    };
    let input = Header { algorithm: Algorithm::Hs256, kid: KID.into() }.signing_input(&claims.to_json());
    let secret = SECRET.token_secret(&[session.salt; 32]);
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("any length is a key");
    mac.update(input.as_bytes());
    with_signature(&input, &mac.finalize().into_bytes())
}
