//! Sessions: what a login grants, for how long, and whether it was taken back.

use std::fmt;

use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, Kind, Scopes, SessionId, TeamId, TokenKeyId, UserId, token::Claims,
};

use super::{InvalidText, Moment, Reason};

/// How much longer than a token says a revocation is kept, in seconds: the greatest leeway that filters can be given is
/// 60, their clocks may be behind, and this service's may be an hour ahead.
pub const KEPT_SECONDS: u64 = 7_200;

/// The most sessions of one credential whose tokens have not ended, revoked ones included.
pub const MOST_SESSIONS: u32 = 10_000;

/// What a client calls its session, to have tokens of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSession(String);

impl ClientSession {
    /// The longest name, in bytes.
    pub const MAX_LENGTH: usize = 256;

    /// Reads a name; any text that is not too long will do, the empty one too.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        if text.len() <= Self::MAX_LENGTH {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText::new("a session_id has at most 256 bytes"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the sessions of one credential are told apart by: no name is another one than the empty name.
    #[must_use]
    pub fn digest_of(session: Option<&Self>) -> Digest {
        session.map_or_else(|| Digest::of(b""), |session| Digest::of(format!("={}", session.0).as_bytes()))
    }
}

/// What somebody logs in with: sessions belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A key.
    Key(KeyId),
    /// A user's password.
    User(UserId),
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(f, "key:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

/// What a login is granted: all that its token will say, but for names and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What it logged in with.
    pub credential: Credential,
    /// The key, if it was one.
    pub key: Option<KeyId>,
    /// The user whose key or password it was.
    pub user: Option<UserId>,
    /// The team that it acts for.
    pub team: Option<TeamId>,
    /// The enterprise that it acts for, if it acts for no team.
    pub enterprise: Option<EnterpriseId>,
    /// The kind of the key.
    pub kind: Kind,
    /// Whom it was made for; empty if nobody said.
    pub subject: String,
    /// What its token says that it may do; what the user may is for filters to add at every moment.
    pub scopes: Scopes,
    /// What that comes to now.
    pub presently: Scopes,
    /// What was asked for, if it is less than what could be granted.
    pub narrowed: Option<Scopes>,
    /// The origin that it is bound to.
    pub origin: Option<String>,
    /// When the key ends, and with it the token.
    pub ends: Option<Moment>,
    /// What the client calls the session.
    pub client_session: Option<ClientSession>,
}

impl Grant {
    /// Under what the session is found again: the client's name for it, and what it asked for.
    #[must_use]
    pub fn name_digest(&self) -> Digest {
        let name = ClientSession::digest_of(self.client_session.as_ref());
        match &self.narrowed {
            None => name,
            Some(scopes) => Digest::of(&[name.as_bytes().as_slice(), scopes.as_str().as_bytes()].concat()),
        }
    }

    /// Whether a token that says `claims` says all of this: then it can be given out again.
    #[must_use]
    pub fn is_told_by(&self, claims: &Claims) -> bool {
        claims.team.as_deref() == self.team.as_ref().map(TeamId::as_str)
            && claims.enterprise.as_deref() == self.enterprise.as_ref().map(EnterpriseId::as_str)
            && claims.key_id.as_deref() == self.key.as_ref().map(KeyId::as_str)
            && claims.client_session.as_deref() == self.client_session.as_ref().map(ClientSession::as_str)
            && claims.origin == self.origin
            && claims.kind == self.kind
            && claims.subject == self.subject
            && claims.scope == self.scopes.as_str()
            && self.ends.is_none_or(|ends| claims.expires <= ends.unix())
    }
}

/// Why somebody whose credential is right is not let in all the same, or whose credential is not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefusal {
    /// There is no such credential, or it is another one: which of the two is not told.
    WrongCredentials,
    /// The key was revoked.
    KeyRevoked,
    /// The key is disabled.
    KeyDisabled,
    /// The key has expired.
    KeyExpired,
    /// The key is not valid yet.
    KeyNotYetValid,
    /// The key's or user's team is disabled.
    TeamDisabled,
    /// The key's enterprise is disabled.
    EnterpriseDisabled,
    /// The user is disabled.
    UserDisabled,
    /// The key is bound to another origin than the one that was sent.
    OriginMismatch,
    /// More was asked for than the credential may do.
    ScopeBeyondGrant,
    /// The credential has [`MOST_SESSIONS`] live sessions.
    TooManySessions,
    /// The token would be longer than filters read.
    TokenTooLong,
}

/// A session as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id: the `jti` of its token.
    pub id: SessionId,
    /// The key that it was made with.
    pub key: Option<KeyId>,
    /// The user whose key or password it was made with.
    pub user: Option<UserId>,
    /// The name of the key that signs its token.
    pub kid: TokenKeyId,
    /// What its token says.
    pub claims: Claims,
    /// The claims as they are signed.
    pub signed: String,
    /// When it began.
    pub created_at: Moment,
    /// The first second in which its token works no longer.
    pub expires: Moment,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Why it was revoked.
    pub revoke_reason: Option<Reason>,
    /// The address that it was made from.
    pub source: Option<String>,
}

impl Session {
    /// Whether its token works, as far as the session tells.
    #[must_use]
    pub fn state(&self, now: Moment) -> SessionState {
        match self.revoked_at {
            Some(_) => SessionState::Revoked,
            None if self.expires <= now => SessionState::Expired,
            None => SessionState::Live,
        }
    }
}

/// Whether the token of a session works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// It works.
    Live,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl SessionState {
    /// The word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// The state of that word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Live, Self::Revoked, Self::Expired].into_iter().find(|state| state.as_str() == name)
    }
}

/// Which sessions a list shows.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Only those made with this key.
    pub key: Option<KeyId>,
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those of this team.
    pub team: Option<TeamId>,
    /// Only those in this state.
    pub state: Option<SessionState>,
}

#[cfg(test)]
mod tests {
    use super::ClientSession;

    #[test]
    fn a_session_id_is_any_text_of_up_to_256_bytes() {
        for good in ["", " ", "\u{0}\n", "ü", &"x".repeat(256)] {
            assert_eq!(ClientSession::parse(good).unwrap().as_str(), good);
        }
        assert!(ClientSession::parse(&"x".repeat(257)).is_err());
        assert!(ClientSession::parse(&"ü".repeat(129)).is_err());
    }

    #[test]
    fn an_empty_session_id_is_another_one_than_none() {
        let empty = ClientSession::parse("").unwrap();
        assert_ne!(ClientSession::digest_of(Some(&empty)), ClientSession::digest_of(None));
    }
}
