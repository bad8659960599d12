//! The audit log: who changed what, when, and from where.

use serde_json::Value;
use tollkeeper_contract::{EnterpriseId, TeamId};

use super::{InvalidText, Moment, Name};

/// One change, as the audit log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Audited {
    /// Its number; later ones have greater numbers.
    pub seq: u64,
    /// When it happened.
    pub at: Moment,
    /// Who did it.
    pub actor: String,
    /// The address from which it was done.
    pub source: Option<String>,
    /// With what token, as its role and name; none of it is secret.
    pub token: Option<String>,
    /// What was done, for example `key.revoke`.
    pub action: String,
    /// To what, for example `key:c7tq4m2xkz5r6y3a`.
    pub resource: String,
    /// The team that it concerns.
    pub team: Option<String>,
    /// The enterprise that it concerns.
    pub enterprise: Option<String>,
    /// What changed.
    pub detail: Value,
    /// The revision of the change, if nodes see it.
    pub revision: Option<u64>,
}

/// Which entries a list shows.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only those of this actor.
    pub actor: Option<Name>,
    /// Only those of this action.
    pub action: Option<ActionName>,
    /// Only those about this thing.
    pub resource: Option<ResourceName>,
    /// Only those that concern this team.
    pub team: Option<TeamId>,
    /// Only those that concern this enterprise.
    pub enterprise: Option<EnterpriseId>,
    /// Only those from this moment on.
    pub since: Option<Moment>,
    /// Only those before this moment.
    pub until: Option<Moment>,
}

/// In which order entries are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditOrder {
    /// As they happened.
    #[default]
    Oldest,
    /// The other way round.
    Newest,
}

impl AuditOrder {
    /// The order that is called so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "oldest" => Some(Self::Oldest),
            "newest" => Some(Self::Newest),
            _ => None,
        }
    }
}

/// What can be done, for example `key.revoke`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionName(String);

impl ActionName {
    /// Reads a name of 1 to 64 of `a-z`, `_` and `.`.
    ///
    /// # Errors
    /// Says the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText::new("an action is 1 to 64 of a-z _ . such as key.revoke"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A thing with its sort, for example `key:c7tq4m2xkz5r6y3a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceName(String);

impl ResourceName {
    /// Reads a name of 1 to 300 visible ASCII characters.
    ///
    /// # Errors
    /// Says the rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        if (1..=300).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText::new("a resource is a sort and an id such as key:c7tq4m2xkz5r6y3a"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
