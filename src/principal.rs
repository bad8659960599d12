//! Who a credential proved to be.

use tollkeeper_contract::{KeyRecord, Kind};

use crate::config::Style;

/// Who a credential proved to be, kept from the request to its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How the credential was presented.
    pub style: Style,
    /// What sort of key it is.
    pub kind: Kind,
    /// The key's id.
    pub key_id: String,
    /// The team that the request is for, and that is charged.
    pub team: String,
    /// Whom the key was made for; empty if nobody said.
    pub subject: String,
    /// What the key may do: sorted, parted by one space.
    pub scopes: String,
    /// When the key ends (Unix time, seconds).
    pub expires: Option<u64>,
}

impl Principal {
    /// The principal of a key that was presented in `style`.
    #[must_use]
    pub fn new(style: Style, key: &KeyRecord<'_>) -> Self {
        Self {
            style,
            kind: key.kind,
            key_id: key.id.to_owned(),
            team: key.owner.id().to_owned(),
            subject: key.subject.to_owned(),
            scopes: key.scopes.to_owned(),
            expires: key.expires,
        }
    }
}
