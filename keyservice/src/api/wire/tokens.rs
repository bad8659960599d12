//! Tokens, their sessions and the keys that sign them, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::text;
use crate::{
    api::document::rules,
    domain::{Moment, Session, TokenKey},
    store::Presented,
};

/// What somebody logs in with: exactly one of `api_key`, `username` with `password`, `client_id` with `client_secret`.
/// It has no `Debug`, because it holds credentials.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// A key.
    pub(in crate::api) api_key: Option<String>,
    /// The id of a user.
    pub(in crate::api) username: Option<String>,
    /// The user's password.
    pub(in crate::api) password: Option<String>,
    /// The id of a key.
    pub(in crate::api) client_id: Option<String>,
    /// The key of that id.
    pub(in crate::api) client_secret: Option<String>,
    /// What the client calls its session, up to 256 bytes; another one gets another token.
    #[schema(max_length = 256)]
    pub(in crate::api) session_id: Option<String>,
}

/// A token (RFC 6749 section 5.1). It has no `Debug`, because it holds the token.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// The token, to be sent as a bearer token.
    pub access_token: String,
    /// How long it still works, in seconds.
    pub expires_in: u64,
    /// `Bearer`.
    pub token_type: String,
    /// What it may do, parted by spaces; told by `/oauth/token` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// A token that is not taken, or about which nothing is told (RFC 7662 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InactiveTokenView {
    /// False.
    pub active: bool,
}

/// A token that is taken (RFC 7662 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActiveTokenView {
    /// True.
    pub active: bool,
    /// What it may do now, parted by spaces.
    pub scope: String,
    /// The id of the key that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user whose key or password it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// `Bearer`.
    pub token_type: String,
    /// When it ends (Unix time, seconds).
    pub exp: u64,
    /// When it was issued.
    pub iat: u64,
    /// When it begins.
    pub nbf: u64,
    /// Whom the key was made for, or the user; empty if nobody said.
    pub sub: String,
    /// For whom it is meant.
    pub aud: String,
    /// Who issued it.
    pub iss: String,
    /// The id of its session.
    pub jti: String,
    /// The kind of the key that it was made with.
    pub kind: String,
    /// The team that it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The enterprise that it acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<String>,
    /// The origin that it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What the client calls the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
}

impl From<Presented> for ActiveTokenView {
    fn from(Presented { session, scopes, .. }: Presented) -> Self {
        let claims = session.claims;
        Self {
            active: true,
            scope: scopes.as_str().to_owned(),
            client_id: claims.key_id,
            username: text(session.user),
            token_type: "Bearer".to_owned(),
            exp: claims.expires,
            iat: claims.issued,
            nbf: claims.not_before,
            sub: claims.subject,
            aud: claims.audience,
            iss: claims.issuer,
            jti: claims.session,
            kind: claims.kind.to_string(),
            team: claims.team,
            enterprise: claims.enterprise,
            origin: claims.origin,
            sid: claims.client_session,
        }
    }
}

/// A session; never its token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionView {
    /// Its id: the `jti` of its token.
    #[schema(value_type = rules::ShortId)]
    pub id: String,
    /// `live`, `revoked` or `expired`.
    #[schema(value_type = rules::SessionStateWord)]
    pub state: String,
    /// The id of the key that it was made with, or null.
    #[schema(value_type = Option<rules::ShortId>, required)]
    pub key: Option<String>,
    /// The user whose key or password it was made with, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub user: Option<String>,
    /// The kind of the key that it was made with; `personal` after a login with a password.
    #[schema(value_type = rules::KindWord)]
    pub kind: String,
    /// The team that it acts for, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub team: Option<String>,
    /// The enterprise that it acts for, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub enterprise: Option<String>,
    /// Whom the key was made for, or the user; empty if nobody said.
    pub subject: String,
    /// What its token says that it may do; a user's can do no more than the user.
    #[schema(value_type = Vec<rules::ScopeWord>)]
    pub scopes: Vec<String>,
    /// The origin that it is bound to, or null.
    #[schema(required)]
    pub origin: Option<String>,
    /// What the client calls it, or null.
    #[schema(required)]
    pub session_id: Option<String>,
    /// The id of the key that signs its token.
    #[schema(value_type = rules::ShortId)]
    pub token_key: String,
    /// The address that it was made from, or null.
    #[schema(required)]
    pub source: Option<String>,
    /// When it began (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
    /// When its token ends (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub expires: String,
    /// When it was revoked (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub revoked_at: Option<String>,
    /// Why it was revoked, or null.
    #[schema(value_type = Option<rules::Why>, required)]
    pub revoke_reason: Option<String>,
}

impl SessionView {
    /// The session as it is at `now`.
    #[must_use]
    pub fn at(now: Moment, session: Session) -> Self {
        let state = session.state(now).as_str().to_owned();
        let claims = session.claims;
        Self {
            id: session.id.to_string(),
            state,
            key: text(session.key),
            user: text(session.user),
            kind: claims.kind.to_string(),
            team: claims.team,
            enterprise: claims.enterprise,
            subject: claims.subject,
            scopes: claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            origin: claims.origin,
            session_id: claims.client_session,
            token_key: session.kid.to_string(),
            source: session.source,
            created_at: session.created_at.to_string(),
            expires: session.expires.to_string(),
            revoked_at: text(session.revoked_at),
            revoke_reason: text(session.revoke_reason),
        }
    }
}

/// Some sessions.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SessionList {
    /// The sessions, in the order of their ids.
    pub sessions: Vec<SessionView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::ShortId>, required)]
    pub next: Option<String>,
}

/// Why a session is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSessionBody {
    /// In your words: 1 to 256 characters.
    #[schema(value_type = Option<rules::Why>)]
    pub(in crate::api) reason: Option<String>,
}

/// Whose sessions are revoked: those of exactly one of `key` and `user`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeSessionsBody {
    /// All that were made with the key of this id; it need not exist any more.
    #[schema(value_type = Option<rules::ShortId>)]
    pub(in crate::api) key: Option<String>,
    /// All of the user of this id, made with a password or with any key.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) user: Option<String>,
    /// In your words: 1 to 256 characters.
    #[schema(value_type = Option<rules::Why>)]
    pub(in crate::api) reason: Option<String>,
}

/// How many sessions were revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionsRevoked {
    /// How many; those that were revoked or had ended before do not count.
    pub revoked: u64,
}

/// A key that signs tokens; nothing of it that is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenKeyView {
    /// Its id: the `kid` of the tokens that it signs.
    #[schema(value_type = rules::ShortId)]
    pub kid: String,
    /// `HS256`, `EdDSA` or `ES256`.
    #[schema(value_type = rules::AlgorithmWord)]
    pub algorithm: String,
    /// `active`: signs new tokens, or will within ten seconds, when every node has it. `retired`: its tokens are still
    /// taken. `ended`: they no longer are.
    #[schema(value_type = rules::TokenKeyStateWord)]
    pub state: String,
    /// Whether it is made from the signing secret (for HS256: and the node token) that this service has.
    pub ours: bool,
    /// When it was made (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
    /// From when on it signs no new tokens (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub retired_at: Option<String>,
    /// When its last token ends (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub ends_at: Option<String>,
}

impl TokenKeyView {
    /// The key as it is at `now`.
    #[must_use]
    pub fn at(now: Moment, ours: bool, key: TokenKey) -> Self {
        let state = match key.retired_at {
            _ if !key.is_published(now) => "ended",
            Some(retired) if retired <= now => "retired",
            _ => "active",
        };
        Self {
            kid: key.kid.to_string(),
            algorithm: key.algorithm.as_str().to_owned(),
            state: state.to_owned(),
            ours,
            created_at: key.created_at.to_string(),
            retired_at: text(key.retired_at),
            ends_at: text(key.ends_at),
        }
    }
}

/// All keys that sign tokens, or have signed tokens that are still taken.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TokenKeyList {
    /// The keys, the newest first.
    pub token_keys: Vec<TokenKeyView>,
}

/// A key to be made.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTokenKeyBody {
    /// `HS256`, `EdDSA` or `ES256`; unless told, what the service is set to, or as the key before.
    #[schema(value_type = Option<rules::AlgorithmWord>)]
    pub(in crate::api) algorithm: Option<String>,
    /// Whether all other keys end at once, and every token that they signed: somebody else may have the secret that
    /// they were made from. False unless told.
    pub(in crate::api) end_others: Option<bool>,
}

/// Public keys that verify tokens (RFC 7517 section 5); none for HS256.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JwksView {
    /// The keys.
    #[schema(value_type = Vec<Object>)]
    pub keys: Vec<Value>,
}
