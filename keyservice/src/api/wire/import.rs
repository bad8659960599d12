//! Imports of keys as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::OriginBody;
use crate::api::{body::Object, document::rules};

/// Keys of another system, known by their digests alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportBody {
    /// 1 to 1000 keys; all of them are imported, or none. Required.
    #[schema(value_type = Vec<ImportKeyBody>, min_items = 1, max_items = 1000)]
    pub(in crate::api) keys: Option<Vec<Object<ImportKeyBody>>>,
}

/// A key of another system. Exactly one of `team`, `service_account` and `user` is required.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKeyBody {
    /// SHA-256 of the key's text: 64 hexadecimal digits. Required.
    #[schema(value_type = rules::Sha256)]
    pub(in crate::api) digest: Option<String>,
    /// Its public id: 1 to 32 of A-Z a-z 0-9; made at random unless told.
    #[schema(value_type = Option<rules::ShortId>)]
    pub(in crate::api) id: Option<String>,
    /// What sort of key; it follows from whose it is, and is refused if it does not fit.
    #[schema(value_type = Option<rules::KindWord>)]
    pub(in crate::api) kind: Option<String>,
    /// The id of the team whose application has it.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) team: Option<String>,
    /// The id of the service account that has it; one that has no other key.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) service_account: Option<String>,
    /// The id of the user who has it.
    #[schema(value_type = Option<rules::TenantId>)]
    pub(in crate::api) user: Option<String>,
    /// What people call it.
    #[schema(value_type = Option<rules::Label>)]
    pub(in crate::api) name: Option<String>,
    /// Whom an application's key is for, in your words.
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

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportView {
    /// How many keys were imported.
    pub imported: u64,
    /// Those that were not, because there is such a key already. That one was left as it is.
    pub duplicates: Vec<DuplicateView>,
}

/// A key that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DuplicateView {
    /// Its place in the list, from 0.
    pub index: u64,
    /// Its digest.
    #[schema(value_type = rules::Sha256)]
    pub digest: String,
    /// `exists`: the service has it already. `repeated`: it stands in the list before.
    #[schema(value_type = rules::DuplicateWord)]
    pub reason: String,
}
