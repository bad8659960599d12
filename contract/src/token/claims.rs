//! What a token says.

use serde::{Deserialize, Serialize};

use super::{MAX_NUMBER, Malformed, object};
use crate::{EnterpriseId, KeyId, Kind, Origin, Scopes, SessionId, Subject, TeamId};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who issued it (RFC 7519 section 4.1.1).
    pub issuer: String,
    /// For whom it is meant (section 4.1.3): exactly one.
    pub audience: String,
    /// Whom it was issued to (section 4.1.2): the subject of the key, or the user; empty if nobody said.
    pub subject: String,
    /// The team that it acts for.
    pub team: Option<String>,
    /// The enterprise for which it acts, if it acts for no team.
    pub enterprise: Option<String>,
    /// The kind of the key that it was made with; [`Kind::Personal`] after a login with a password.
    pub kind: Kind,
    /// What it may do: sorted, parted by one space.
    pub scope: String,
    /// The id of the key that it was made with; `None` after a login with a password.
    pub key_id: Option<String>,
    /// The origin that the key was bound to.
    pub origin: Option<String>,
    /// The `session_id` that the client chose.
    pub client_session: Option<String>,
    /// The session's id (section 4.1.7).
    pub session: String,
    /// When it was issued (Unix time, seconds).
    pub issued: u64,
    /// The first second in which it works.
    pub not_before: u64,
    /// The first second in which it works no longer.
    pub expires: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimsJson {
    iss: String,
    aud: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    team: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    enterprise: Option<String>,
    kind: String,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    kid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    origin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    sid: Option<String>,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// A claim that stands there says something: `null` is no second way to leave it out.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl Claims {
    /// The claims as a token carries them.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = ClaimsJson {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: self.subject.clone(),
            team: self.team.clone(),
            enterprise: self.enterprise.clone(),
            kind: self.kind.as_str().to_owned(),
            scope: self.scope.clone(),
            kid: self.key_id.clone(),
            origin: self.origin.clone(),
            sid: self.client_session.clone(),
            jti: self.session.clone(),
            iat: self.issued,
            nbf: self.not_before,
            exp: self.expires,
        };
        // Texts and numbers under fixed names can always be written.
        serde_json::to_string(&json).unwrap_or_default()
    }

    /// Reads claims. Whether they are true is for the signature to say.
    ///
    /// # Errors
    /// When a name is missing, repeated, unknown or `null`, a time is no whole number from 0 to [`MAX_NUMBER`], the
    /// kind is not known, it acts for both a team and an enterprise, or for neither, or a value could not stand in a
    /// header or be the id of anything.
    pub fn parse(json: &[u8]) -> Result<Self, Malformed> {
        let claims: ClaimsJson = object(json)?;
        let times = [claims.iat, claims.nbf, claims.exp];
        if times.into_iter().any(|time| time > MAX_NUMBER) || !claims.is_well_named() {
            return Err(Malformed);
        }
        Ok(Self {
            issuer: claims.iss,
            audience: claims.aud,
            subject: claims.sub,
            team: claims.team,
            enterprise: claims.enterprise,
            kind: Kind::from_name(&claims.kind).ok_or(Malformed)?,
            scope: claims.scope,
            key_id: claims.kid,
            origin: claims.origin,
            client_session: claims.sid,
            session: claims.jti,
            issued: claims.iat,
            not_before: claims.nbf,
            expires: claims.exp,
        })
    }
}

impl ClaimsJson {
    /// Every value goes into headers, logs and names of shared data, so it must be what it is called.
    fn is_well_named(&self) -> bool {
        let owner = match (&self.team, &self.enterprise) {
            (Some(team), None) => TeamId::parse(team).is_ok(),
            (None, Some(enterprise)) => EnterpriseId::parse(enterprise).is_ok(),
            (None, None) | (Some(_), Some(_)) => false,
        };
        owner
            && (self.sub.is_empty() || Subject::parse(&self.sub).is_ok())
            && Scopes::parse(&self.scope).is_ok_and(|scopes| scopes.as_str() == self.scope)
            && self.kid.as_deref().is_none_or(|kid| KeyId::parse(kid).is_ok())
            && self.origin.as_deref().is_none_or(|origin| Origin::parse(origin).is_ok())
            && SessionId::parse(&self.jti).is_ok()
    }
}
