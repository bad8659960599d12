//! What the key service is about, as types that cannot hold a wrong value; no I/O, no clock.

mod attempts;
mod audit;
mod by;
mod calendar;
mod enterprise;
mod facts;
mod fleet;
mod holder;
mod import;
mod key;
mod limits;
mod mint;
mod moment;
mod network;
mod password;
pub mod quota;
mod service_account;
mod session;
mod signing;
mod team;
mod text;
mod thing;
mod token;
mod token_key;
mod usage;
mod user;
pub mod word;

pub use attempts::{Account, Acquaintance, Allowance, Attempts, SourceNetwork};
pub use audit::{ActionName, AuditFilter, AuditOrder, Audited, ResourceName};
pub use by::{Actor, By};
pub use calendar::{Calendar, LEAP};
pub use enterprise::{Enterprise, EnterpriseChange, EnterpriseFilter, NewEnterprise};
pub use facts::{Facts, Told};
pub use fleet::{GRACE_SECONDS, NodeSeen, Standing, USUAL_MAX_AGE};
pub use holder::{Claimant, Holder};
pub use import::{ImportKey, MAX_IMPORT};
pub use key::{
    ALL_OF_THE_USER, InvalidOverlap, Issued, Key, KeyChange, KeyFilter, KeyRefusal, KeySeed, KeyState, KeyTerms,
    NewKey, Overlap, Revocation, Rotation, is_ever_valid, require_a_future,
};
pub use limits::{Limits, factor_of, number_of};
pub use mint::{Mint, TokenRules};
pub use moment::{InvalidMoment, Moment};
pub use network::{InvalidNetwork, Network, TrustedProxies};
pub use password::{HashError, HashingMemory, Password, PasswordHash, SALT_ENTROPY};
pub use service_account::{
    AccountOwner, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter,
};
pub use session::{
    ClientSession, Credential, Grant, KEPT_SECONDS, LoginRefusal, MOST_SESSIONS, Session, SessionFilter, SessionState,
};
pub use signing::{Fingerprint, PublishedKey, SigningKey, SigningSecret, TokenText};
pub use team::{HostList, NewTeam, Team, TeamChange, TeamFilter, TooManyHosts};
pub use text::{IdempotencyKey, InvalidText, Name, NodeName, Reason, TokenName};
pub use thing::Thing;
pub use token::{AdminToken, AdminTokens, Badge, Role};
pub use token_key::{OtherKeys, SETTLING_SECONDS, TokenKey};
pub use usage::{Batch, Counted, InvalidReport, Tally};
pub use user::{NewUser, User, UserChange, UserFilter};

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
