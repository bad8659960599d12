//! What the key service is about, as types that cannot hold a wrong value; no I/O, no clock.

mod attempts;
mod by;
mod key;
mod mint;
mod moment;
mod session;
mod signing;
mod team;
mod text;
mod token;
mod usage;
pub mod word;

pub use attempts::{Account, Acquaintance, Allowance, Attempts, SourceNetwork};
pub use by::{Actor, By};
pub use key::{Issued, Key, KeyChange, KeyFilter, KeyState, NewKey, is_ever_valid};
pub use mint::{Mint, TokenRules};
pub use moment::{InvalidMoment, Moment};
pub use session::{
    ClientSession, Credential, Grant, LEEWAY_SECONDS, LoginRefusal, MOST_SESSIONS, Session, SessionFilter,
    SessionState, TokenKey,
};
pub use signing::{Fingerprint, PublishedKey, SigningKey, SigningSecret, TokenText};
pub use team::{NewTeam, Team, TeamChange, TenantState};
pub use text::{IdempotencyKey, InvalidText, Name, NodeName, Reason};
pub use token::AdminToken;
pub use usage::{Batch, Counted, InvalidReport, Tally};

/// What a change does to one field that may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field stays as it is.
    #[default]
    Keep,
    /// The field is empty from now on.
    Clear,
    /// The field has this value from now on.
    Set(T),
}

impl<T> Patch<T> {
    /// The field after the change.
    #[must_use]
    pub fn applied_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }
}
