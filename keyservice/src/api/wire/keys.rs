//! Keys as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{UsedView, text};
use crate::{
    api::{
        body::{Object, patch},
        document::rules,
    },
    domain::{Key, Patch, word},
};

/// A key: all about it but its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    /// Its public id.
    #[schema(value_type = rules::ShortId)]
    pub id: String,
    /// What sort of key it is: `application`, `service_account`, `enterprise_service_account` or `personal`.
    #[schema(value_type = rules::KindWord)]
    pub kind: String,
    /// The id of its team; null if it belongs to an enterprise.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub team: Option<String>,
    /// The id of its enterprise; null if it belongs to a team.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub enterprise: Option<String>,
    /// The id of its service account, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub service_account: Option<String>,
    /// The id of its user, or null.
    #[schema(value_type = Option<rules::TenantId>, required)]
    pub user: Option<String>,
    /// What people call it, or null.
    #[schema(value_type = Option<rules::Label>, required)]
    pub name: Option<String>,
    /// As whom callers with it act: the service account, the user, or whom an application's key was made for; or null.
    #[schema(value_type = Option<rules::SubjectText>, required)]
    pub subject: Option<String>,
    /// What it may do, sorted. A personal key never does more than its user may; `*` alone is all of that.
    #[schema(value_type = Vec<rules::ScopeWord>)]
    pub scopes: Vec<String>,
    /// `active`, `disabled` or `revoked`.
    #[schema(value_type = rules::KeyStateWord)]
    pub state: String,
    /// The first second in which it works (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub not_before: Option<String>,
    /// The first second in which it works no longer (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub expires: Option<String>,
    /// The origin that it is bound to, for example `mycoolapp.com/api`, or null.
    #[schema(required)]
    pub origin: Option<String>,
    /// When it was made (RFC 3339).
    #[schema(value_type = rules::Time)]
    pub created_at: String,
    /// When it was revoked (RFC 3339), or null.
    #[schema(value_type = Option<rules::Time>, required)]
    pub revoked_at: Option<String>,
    /// Why it was revoked, or null.
    #[schema(value_type = Option<rules::Why>, required)]
    pub revoke_reason: Option<String>,
    /// Whether it was revoked because somebody else has it.
    pub compromised: bool,
    /// The id of the key that took its place, or null.
    #[schema(value_type = Option<rules::ShortId>, required)]
    pub superseded_by: Option<String>,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    #[serde(flatten)]
    pub used: UsedView,
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        Self {
            id: key.id.to_string(),
            kind: key.holder.kind().to_string(),
            team: text(key.holder.team()),
            enterprise: text(key.holder.enterprise()),
            service_account: text(key.holder.account()),
            user: text(key.holder.user()),
            name: text(key.name),
            subject: text(key.holder.subject()),
            scopes: key.scopes.iter().map(str::to_owned).collect(),
            state: word::of_key_state(key.state).to_owned(),
            not_before: text(key.not_before),
            expires: text(key.expires),
            origin: text(key.origin),
            created_at: key.created_at.to_string(),
            revoked_at: text(key.revoked_at),
            revoke_reason: text(key.revoke_reason),
            compromised: key.compromised,
            superseded_by: text(key.superseded_by),
            revision: key.revision,
            used: key.used.into(),
        }
    }
}

/// The answer to a request that makes a key. It has no `Debug`, because it may hold the key.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct KeyMade {
    /// All about the key but its text.
    #[serde(flatten)]
    pub view: KeyView,
    /// The key in clear text: shown here once, and never again. Absent when the answer is replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether an earlier request with the same idempotency key made it.
    pub replayed: bool,
}

/// Some keys.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// The keys, in the order of their ids.
    pub keys: Vec<KeyView>,
    /// What to send as `after` for the next ones; null if these were the last.
    #[schema(value_type = Option<rules::ShortId>, required)]
    pub next: Option<String>,
}

/// Where a key is bound to; exactly one of the two is required.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OriginBody {
    /// The domain from which calls come, for example `mycoolapp.com`.
    #[schema(value_type = Option<rules::Domain>)]
    pub domain: Option<String>,
    /// The URL that gets callbacks, for example `https://mycoolapp.com/api/webhook`: the origin is its base, without
    /// the final `/webhook`.
    #[schema(value_type = Option<rules::WebhookUrl>)]
    pub webhook_url: Option<String>,
}

/// A key to be made. Exactly one of `team`, `service_account` and `user` is required.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyBody {
    /// What sort of key; it follows from whose it is, and is refused if it does not fit.
    #[schema(value_type = Option<rules::KindWord>)]
    pub(in crate::api) kind: Option<String>,
    /// The id of the team whose application it is for.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) team: Option<String>,
    /// The id of the service account that it is for; one that has no key yet.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) service_account: Option<String>,
    /// The id of the user that it is for.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) user: Option<String>,
    /// What people call it.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
    /// Whom an application's key is for, in your words; for other keys it is the account or the user.
    #[schema(value_type = Option<rules::SubjectText>)]
    pub(in crate::api) subject: Option<String>,
    /// What it may do: up to 32 scopes. Required, but for a user's key: left out, it may do what its user may (`*`).
    #[schema(value_type = Option<Vec<rules::ScopeWord>>, max_items = 32)]
    pub(in crate::api) scopes: Option<Vec<String>>,
    /// `active` (unless told) or `disabled`.
    #[schema(value_type = Option<rules::SettableStateWord>)]
    pub(in crate::api) state: Option<String>,
    /// The first second in which it works (RFC 3339).
    #[schema(value_type = Option<rules::Time>)]
    pub(in crate::api) not_before: Option<String>,
    /// The first second in which it works no longer (RFC 3339).
    #[schema(value_type = Option<rules::Time>)]
    pub(in crate::api) expires: Option<String>,
    /// Where it is bound to; anywhere unless told.
    #[schema(value_type = Option<OriginBody>)]
    pub(in crate::api) origin: Option<Object<OriginBody>>,
}

/// What is to change about a key; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChangeBody {
    /// What people call it; null for nothing.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Patch<String>,
    /// Whom an application's key is for; null for nobody.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::SubjectText>)]
    pub(in crate::api) subject: Patch<String>,
    /// What it may do from now on, all of it.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Vec<rules::ScopeWord>, max_items = 32)]
    pub(in crate::api) scopes: Patch<Vec<String>>,
    /// `active` or `disabled`.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = rules::SettableStateWord)]
    pub(in crate::api) state: Patch<String>,
    /// The first second in which it works (RFC 3339); null for from the beginning.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::Time>)]
    pub(in crate::api) not_before: Patch<String>,
    /// The first second in which it works no longer (RFC 3339); null for never.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::Time>)]
    pub(in crate::api) expires: Patch<String>,
    /// Where it is bound to; null for anywhere.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<OriginBody>)]
    pub(in crate::api) origin: Patch<Object<OriginBody>>,
}

/// Why a key is revoked.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// Why, in your words: 1 to 256 characters.
    #[schema(value_type = Option<rules::Why>)]
    pub(in crate::api) reason: Option<String>,
    /// Whether somebody else has the key: then every session made with it ends too. False unless told.
    pub(in crate::api) compromised: Option<bool>,
}

/// How a key is replaced by a new one.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateBody {
    /// How long the old key still works, in seconds: 0 (unless told) to 2,592,000 (30 days).
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub(in crate::api) overlap_seconds: Option<u64>,
    /// When the new key ends (RFC 3339); null for never, left out for when the old one would have.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<rules::Time>)]
    pub(in crate::api) expires: Patch<String>,
}
