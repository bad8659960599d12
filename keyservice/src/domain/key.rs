//! Keys: who may call, as whom, for what and for how long.

pub use tollkeeper_contract::KeyState;
use tollkeeper_contract::key_text::{ID_ENTROPY, KeyText, SECRET_ENTROPY, compose_id};
use tollkeeper_contract::{
    Digest, EnterpriseId, KeyId, Kind, Origin, Scopes, ServiceAccountId, Subject, TeamId, UserId,
};

use super::{Claimant, Counted, Holder, Moment, Name, Patch, Reason};

/// The scopes of a personal key that may do whatever its user may.
pub const ALL_OF_THE_USER: &str = Scopes::ALL_OF_THE_USER;

/// A key as the database has it: all but the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its public id.
    pub id: KeyId,
    /// Whose it is, and so what sort of key.
    pub holder: Holder,
    /// What people call it.
    pub name: Option<Name>,
    /// What it may do; of a personal key never more than its user may.
    pub scopes: Scopes,
    /// Whether it is meant to work.
    pub state: KeyState,
    /// The first second in which it works.
    pub not_before: Option<Moment>,
    /// The first second in which it works no longer.
    pub expires: Option<Moment>,
    /// The origin that it is bound to.
    pub origin: Option<Origin>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Why it was revoked.
    pub revoke_reason: Option<Reason>,
    /// Whether it was revoked because somebody else has it.
    pub compromised: bool,
    /// The key that took its place.
    pub superseded_by: Option<KeyId>,
    /// The revision of its last change.
    pub revision: u64,
    /// What nodes reported of it.
    pub used: Counted,
}

/// What a key may do, when and from where.
#[derive(Debug, Clone)]
pub struct KeyTerms {
    /// What people call it.
    pub name: Option<Name>,
    /// What it may do.
    pub scopes: Scopes,
    /// [`KeyState::Active`] or [`KeyState::Disabled`].
    pub state: KeyState,
    /// The first second in which it works.
    pub not_before: Option<Moment>,
    /// The first second in which it works no longer.
    pub expires: Option<Moment>,
    /// The origin that it is bound to.
    pub origin: Option<Origin>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// For whom.
    pub claimant: Claimant,
    /// What it may do, when and from where.
    pub terms: KeyTerms,
}

/// The random bytes that a key is made of; they cannot be printed.
pub struct KeySeed {
    /// What its id is made of.
    pub id: [u8; ID_ENTROPY],
    /// What makes it a secret.
    pub secret: [u8; SECRET_ENTROPY],
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
    pub fn compose(kind: Kind, seed: &KeySeed) -> Self {
        let id = compose_id(seed.id);
        let text = KeyText::compose(kind, &id, seed.secret);
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
    /// Whom it was made for; only an application's key can say.
    pub subject: Patch<Subject>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// [`KeyState::Active`] or [`KeyState::Disabled`]; revoking is an act of its own.
    pub state: Option<KeyState>,
    /// The first second in which it works.
    pub not_before: Patch<Moment>,
    /// The first second in which it works no longer.
    pub expires: Patch<Moment>,
    /// The origin that it is bound to.
    pub origin: Patch<Origin>,
}

/// Why a change of a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It is revoked, which is final.
    Revoked,
    /// Another key took its place, so it can end earlier but not later.
    Superseded,
    /// Its subject follows from whose key it is.
    SubjectIsGiven,
    /// It would expire before it begins to work.
    NeverValid,
    /// It would have expired already.
    Expired,
}

impl KeyChange {
    /// The key after the change.
    ///
    /// # Errors
    /// When the key is revoked, cannot be changed so, or would never be valid.
    pub fn applied_to(self, key: &Key) -> Result<Key, KeyRefusal> {
        if key.state == KeyState::Revoked {
            return Err(KeyRefusal::Revoked);
        }
        let after = Key {
            holder: with_subject(&key.holder, self.subject)?,
            name: self.name.applied_to(key.name.clone()),
            scopes: self.scopes.unwrap_or_else(|| key.scopes.clone()),
            state: self.state.unwrap_or(key.state),
            not_before: self.not_before.applied_to(key.not_before),
            expires: self.expires.applied_to(key.expires),
            origin: self.origin.applied_to(key.origin.clone()),
            ..key.clone()
        };
        if key.superseded_by.is_some() && ends_later(after.expires, key.expires) {
            return Err(KeyRefusal::Superseded);
        }
        if is_ever_valid(after.not_before, after.expires) { Ok(after) } else { Err(KeyRefusal::NeverValid) }
    }
}

fn with_subject(holder: &Holder, wanted: Patch<Subject>) -> Result<Holder, KeyRefusal> {
    match (holder, wanted) {
        (_, Patch::Keep) => Ok(holder.clone()),
        (Holder::Application { team, subject }, wanted) => {
            Ok(Holder::Application { team: team.clone(), subject: wanted.applied_to(subject.clone()) })
        }
        (_, Patch::Clear | Patch::Set(_)) => Err(KeyRefusal::SubjectIsGiven),
    }
}

/// Whether a key that ends at `after` works longer than one that ends at `before`.
fn ends_later(after: Option<Moment>, before: Option<Moment>) -> bool {
    match (after, before) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(after), Some(before)) => after > before,
    }
}

/// Whether a key with these dates works at any time at all.
#[must_use]
pub fn is_ever_valid(not_before: Option<Moment>, expires: Option<Moment>) -> bool {
    not_before.zip(expires).is_none_or(|(from, to)| from < to)
}

/// Refuses dates with which a new key would work at no time to come.
///
/// # Errors
/// When it would have expired already, or would expire before it begins to work.
pub fn require_a_future(not_before: Option<Moment>, expires: Option<Moment>, now: Moment) -> Result<(), KeyRefusal> {
    if expires.is_some_and(|expires| expires <= now) {
        return Err(KeyRefusal::Expired);
    }
    if is_ever_valid(not_before, expires) { Ok(()) } else { Err(KeyRefusal::NeverValid) }
}

/// Why a key ends for good, and what ends with it.
#[derive(Debug, Clone, Default)]
pub struct Revocation {
    /// Why, in the operator's words.
    pub reason: Option<Reason>,
    /// Whether somebody else has the key: then the sessions made with it end as well.
    pub compromised: bool,
}

impl Revocation {
    /// The key after it. A key that is revoked already stays as it is, but for becoming known as compromised.
    #[must_use]
    pub fn applied_to(self, key: &Key, now: Moment) -> Key {
        let compromised = key.compromised || self.compromised;
        if key.state == KeyState::Revoked {
            return Key { compromised, ..key.clone() };
        }
        Key { state: KeyState::Revoked, revoked_at: Some(now), revoke_reason: self.reason, compromised, ..key.clone() }
    }
}

/// How a key is replaced by a new one.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// How long the old key still works, in seconds.
    pub overlap: Overlap,
    /// When the new key ends; kept, it ends when the old one would have.
    pub expires: Patch<Moment>,
}

/// For how long two keys work side by side, in seconds: 0 to [`Overlap::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap(u64);

/// A number that is no [`Overlap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 0 to {} seconds (30 days)", Overlap::MAX)]
pub struct InvalidOverlap;

impl Overlap {
    /// The longest: 30 days.
    pub const MAX: u64 = 30 * 24 * 60 * 60;

    /// An overlap of that many seconds.
    ///
    /// # Errors
    /// When it is more than [`Overlap::MAX`].
    pub fn from_seconds(seconds: u64) -> Result<Self, InvalidOverlap> {
        if seconds <= Self::MAX { Ok(Self(seconds)) } else { Err(InvalidOverlap) }
    }

    /// The overlap in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Rotation {
    /// What the new key may do: the same, perhaps for another time.
    ///
    /// # Errors
    /// When the old key is revoked or was replaced before, or the new one would never be valid.
    pub fn terms(&self, old: &Key, now: Moment) -> Result<KeyTerms, KeyRefusal> {
        if old.state == KeyState::Revoked {
            return Err(KeyRefusal::Revoked);
        }
        if old.superseded_by.is_some() {
            return Err(KeyRefusal::Superseded);
        }
        let expires = self.expires.clone().applied_to(old.expires);
        require_a_future(old.not_before, expires, now)?;
        Ok(KeyTerms {
            name: old.name.clone(),
            scopes: old.scopes.clone(),
            state: old.state,
            not_before: old.not_before,
            expires,
            origin: old.origin.clone(),
        })
    }

    /// The old key after `successor` took its place: it ends with the overlap, or at once.
    #[must_use]
    pub fn applied_to(&self, old: &Key, successor: KeyId, now: Moment) -> Key {
        let superseded = Key { superseded_by: Some(successor), ..old.clone() };
        if self.overlap.seconds() == 0 {
            let reason = Reason::parse("rotated").ok();
            return Revocation { reason, compromised: false }.applied_to(&superseded, now);
        }
        let end = now.plus(self.overlap.seconds());
        Key { expires: Some(old.expires.map_or(end, |expires| expires.min(end))), ..superseded }
    }
}

/// Which keys a list shows.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Only those of this team.
    pub team: Option<TeamId>,
    /// Only those of this enterprise itself, not of its teams.
    pub enterprise: Option<EnterpriseId>,
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those of this service account.
    pub service_account: Option<ServiceAccountId>,
    /// Only those of this sort.
    pub kind: Option<Kind>,
    /// Only those in this state.
    pub state: Option<KeyState>,
}
