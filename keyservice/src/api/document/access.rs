//! The endpoints of logins, OAuth, sessions and the keys that sign tokens.

use utoipa::ToSchema;

use super::{
    endpoint::{Endpoint, JSON},
    rules,
};
use crate::api::wire::{
    ActiveTokenView, InactiveTokenView, JwksView, LoginBody, NewTokenKeyBody, RevokeSessionBody, RevokeSessionsBody,
    SessionList, SessionView, SessionsRevoked, TokenKeyList, TokenKeyView, TokenView,
};

pub(super) fn login() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/auth/login", "login", "Log in for a token")
            .described(
                "The same credentials and `session_id` are given the same token while it lasts; another `session_id` \
                 is given another one. Send one of: an API key, a username with its password, a client id with its \
                 secret.",
            )
            .takes::<LoginBody>()
            .answers::<TokenView>(200, "The token, with what remains of its time.")
            .refuses(401, "The credentials are not known, or no longer right.")
            .refuses(403, "The team or the enterprise is disabled, or the key is bound to another origin.")
            .refuses(429, "Too many logins failed, or there are too many sessions.")
            .stored(),
        Endpoint::get("/.well-known/jwks.json", "jwks", "The public keys that verify tokens (RFC 7517)")
            .answers::<JwksView>(200, "The keys; none for HS256.")
            .stored(),
        oauth(Endpoint::post("/oauth/token", "token", "Get a token with client credentials (RFC 6749)"))
            .takes_form::<TokenForm>()
            .answers::<TokenView>(200, "The token.")
            .fails::<OauthProblem>(403, "The client may not have one.")
            .fails::<OauthProblem>(429, "Too many logins failed, or there are too many sessions."),
        oauth(Endpoint::post("/oauth/introspect", "introspect", "Ask about a token (RFC 7662)"))
            .described("Opens with a token of the admin API, or with a token, which is told about itself.")
            .admin_or_anybody()
            .takes_form::<TokenQuestion>()
            .fails::<OauthProblem>(429, "Too many wrong tokens came from this address.")
            .answers::<Introspection>(200, "What the token may do, or that it is not taken."),
        oauth(Endpoint::post("/oauth/revoke", "revokeToken", "End the session of a token (RFC 7009)"))
            .described("The token itself proves that its holder may do so.")
            .admin_or_anybody()
            .takes_form::<TokenQuestion>()
            .answers_with::<Nothing>(200, "It is not taken any more, or never was.", JSON),
    ]
}

/// OAuth has refusals of its own form.
fn oauth(endpoint: Endpoint) -> Endpoint {
    let refusals = [
        (400, "The request breaks a rule."),
        (401, "The client is not known, or shows the wrong secret or token."),
        (408, "The body did not arrive in time."),
        (413, "The body is too long."),
        (500, "The service failed."),
        (503, "The service is busy, or makes no tokens."),
    ];
    refusals.into_iter().fold(endpoint, |endpoint, (status, about)| endpoint.fails::<OauthProblem>(status, about))
}

pub(super) fn sessions() -> Vec<Endpoint> {
    let one = "/v1/sessions/{id}";
    vec![
        Endpoint::get("/v1/sessions", "listSessions", "List sessions")
            .admin()
            .page::<rules::ShortId>()
            .query::<rules::ShortId>("key", "Only those made with this key.")
            .query::<rules::TenantId>("user", "Only those of this user.")
            .query::<rules::TenantId>("team", "Only those of this team.")
            .query::<rules::SessionStateWord>("state", "Only those in this state.")
            .answers::<SessionList>(200, "Some sessions, in the order of their ids."),
        Endpoint::get(one, "showSession", "Show a session")
            .admin()
            .id::<rules::ShortId>()
            .answers::<SessionView>(200, "The session; never its token."),
        Endpoint::post("/v1/sessions/{id}/revoke", "revokeSession", "Revoke a session")
            .admin()
            .id::<rules::ShortId>()
            .changes()
            .may_take::<RevokeSessionBody>()
            .answers::<SessionView>(200, "The session, revoked.")
            .refuses(409, "It was revoked before, or has ended."),
        Endpoint::post("/v1/sessions/revoke", "revokeSessions", "Revoke all sessions of a key or a user")
            .admin()
            .changes()
            .takes::<RevokeSessionsBody>()
            .answers::<SessionsRevoked>(200, "How many.")
            .refuses(404, "There is no such key or user, and no session names it."),
    ]
}

pub(super) fn token_keys() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/token-keys", "listTokenKeys", "List the keys that sign tokens")
            .admin()
            .answers::<TokenKeyList>(200, "All of them, the newest first."),
        Endpoint::post("/v1/token-keys", "rotateTokenKey", "Sign with a new key")
            .described(
                "The key before goes on signing for ten seconds, so that no token comes to a node before its key does. \
                 Tokens of the keys before are taken until they end, unless `end_others` says otherwise.",
            )
            .admin()
            .changes()
            .may_take::<NewTokenKeyBody>()
            .answers::<TokenKeyView>(201, "The new key; nothing of it that is secret."),
    ]
}

/// Client credentials; the client shows its id and secret here or as HTTP Basic.
#[derive(ToSchema)]
#[expect(dead_code, reason = "forms are read field by field")]
struct TokenForm {
    /// `client_credentials`
    #[schema(pattern = "^client_credentials$")]
    grant_type: String,
    /// The id of a key.
    #[schema(required = false)]
    client_id: String,
    /// The key of that id.
    #[schema(required = false)]
    client_secret: String,
    /// The scopes that are wanted, parted by spaces; all of the key's unless told.
    #[schema(required = false)]
    scope: String,
    /// What the client calls its session, up to 256 bytes.
    #[schema(required = false)]
    session_id: String,
}

/// The token that is asked about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "forms are read field by field")]
struct TokenQuestion {
    /// The token.
    #[schema(min_length = 1)]
    token: String,
}

/// What is said of a token.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "one or the other is written")]
enum Introspection {
    Active(Box<ActiveTokenView>),
    Inactive(InactiveTokenView),
}

/// An empty object.
#[derive(ToSchema)]
struct Nothing {}

/// A refusal or a failure in the words of OAuth (RFC 6749 section 5.2).
#[derive(ToSchema)]
#[expect(dead_code, reason = "refusals are written field by field")]
struct OauthProblem {
    /// The word of RFC 6749.
    #[schema(pattern = "^[a-z_]+$")]
    error: String,
    /// What is wrong, and what to do.
    error_description: String,
    /// The stable word of the service, where it says more.
    #[schema(required = false, pattern = "^[a-z0-9_]+$")]
    reason: String,
}
