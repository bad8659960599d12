//! Keys: who may call, as whom, for what and for how long.

pub use tollkeeper_contract::KeyState;
use tollkeeper_contract::key_text::{ID_ENTROPY, KeyText, SECRET_ENTROPY, compose_id};
use tollkeeper_contract::{Digest, KeyId, Kind, Scopes, Subject, TeamId};

use super::{Counted, Moment, Name, Patch, Reason};

/// A key as the database has it: all but the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its public id.
    pub id: KeyId,
    /// What sort of key it is.
    pub kind: Kind,
    /// The team that owns it.
    pub team: TeamId,
    /// What people call it.
    pub name: Option<Name>,
    /// Whom it was made for.
    pub subject: Option<Subject>,
    /// What it may do.
    pub scopes: Scopes,
    /// Whether it is meant to work.
    pub state: KeyState,
    /// The first second in which it works.
    pub not_before: Option<Moment>,
    /// The first second in which it works no longer.
    pub expires: Option<Moment>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Why it was revoked.
    pub revoke_reason: Option<Reason>,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    pub used: Counted,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// What sort of key it is.
    pub kind: Kind,
    /// The team that owns it.
    pub team: TeamId,
    /// What people call it.
    pub name: Option<Name>,
    /// Whom it was made for.
    pub subject: Option<Subject>,
    /// What it may do.
    pub scopes: Scopes,
    /// [`KeyState::Active`] or [`KeyState::Disabled`].
    pub state: KeyState,
    /// The first second in which it works.
    pub not_before: Option<Moment>,
    /// The first second in which it works no longer.
    pub expires: Option<Moment>,
}

/// The id and the text of a key that is being made.
#[derive(Debug)]
pub struct Issued {
    /// Its public id.
    pub id: KeyId,
    /// Its text, for the one answer that shows it.
    pub text: KeyText,
}

impl Issued {
    /// A key's id and text, made of random bytes.
    #[must_use]
    pub fn compose(kind: Kind, id: [u8; ID_ENTROPY], secret: [u8; SECRET_ENTROPY]) -> Self {
        let id = compose_id(id);
        let text = KeyText::compose(kind, &id, secret);
        Self { id, text }
    }

    /// What the database keeps of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.expose().as_bytes())
    }
}

/// What is to change about a key.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// What people call it.
    pub name: Patch<Name>,
    /// Whom it was made for.
    pub subject: Patch<Subject>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// [`KeyState::Active`] or [`KeyState::Disabled`]; revoking is an act of its own.
    pub state: Option<KeyState>,
    /// The first second in which it works.
    pub not_before: Patch<Moment>,
    /// The first second in which it works no longer.
    pub expires: Patch<Moment>,
}

impl KeyChange {
    /// The key after the change.
    #[must_use]
    pub fn applied_to(self, key: &Key) -> Key {
        Key {
            name: self.name.applied_to(key.name.clone()),
            subject: self.subject.applied_to(key.subject.clone()),
            scopes: self.scopes.unwrap_or_else(|| key.scopes.clone()),
            state: self.state.unwrap_or(key.state),
            not_before: self.not_before.applied_to(key.not_before),
            expires: self.expires.applied_to(key.expires),
            ..key.clone()
        }
    }
}

/// Whether a key with these dates works at any time at all.
#[must_use]
pub fn is_ever_valid(not_before: Option<Moment>, expires: Option<Moment>) -> bool {
    not_before.zip(expires).is_none_or(|(from, to)| from < to)
}

/// Which keys a list shows.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only those of this team.
    pub team: Option<TeamId>,
    /// Only those in this state.
    pub state: Option<KeyState>,
}
