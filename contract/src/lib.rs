//! What the filter and the key service must agree on, and nothing else.
//!
//! * [`key_text`]: how a key looks, so that typing errors need no lookup
//! * [`Digest`]: what is kept of a key
//! * [`KeyRecord`], [`TeamRecord`] and their kin: what a node knows
//! * [`Origin`], [`HostName`]: what a key or a team can be bound to
//! * [`token`]: what stands in a token
//! * [`shard`]: how records lie in Envoy's shared data
//! * [`page`]: how they travel from the key service to a node
//! * [`ledger`]: what a node reports back
//! * [`lease`]: how it is lent tokens of the fleet's quotas
//!
//! Everything here is a pure function over bytes: no clock, no randomness, no I/O.
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod bytes;
mod digest;
mod factor;
pub mod key_text;
mod kind;
pub mod lease;
pub mod ledger;
mod names;
mod origin;
pub mod page;
mod quota;
mod record;
pub mod shard;
pub mod token;

pub use bytes::Broken;
pub use digest::Digest;
pub use factor::{Factor, InvalidFactor};
pub use kind::Kind;
pub use names::{
    EnterpriseId, InvalidName, KeyId, Scope, Scopes, ServiceAccountId, SessionId, Subject, TeamId, TokenKeyId, UserId,
};
pub use origin::{HostName, InvalidOrigin, Origin};
pub use quota::{InvalidQuota, Quota};
pub use record::{
    Algorithm, EnterpriseRecord, HostRecord, Hosts, KeyRecord, KeyState, LimitsRecord, Owner, RevokedSessionRecord,
    TeamRecord, TenantState, TokenKeyRecord, TokenMaterial, UserRecord,
};

/// The header that marks an answer as the key service's own.
///
/// Envoy answers a failed call itself (a time-out looks like a 504, a refused
/// connection like a 503), so a status alone proves nothing.
pub const SERVICE_HEADER: &str = "x-tollkeeper-service";

/// The value of [`SERVICE_HEADER`].
pub const SERVICE_NAME: &str = "keyservice";

/// The request header in which a node says its name.
pub const NODE_HEADER: &str = "x-tollkeeper-node";

/// The request header in which a node says for how many seconds it goes on serving what it has when it can no longer
/// call: until then nobody may take it for ended.
pub const MAX_AGE_HEADER: &str = "x-tollkeeper-max-age";

/// The request header in which a node says the version of its filter.
pub const VERSION_HEADER: &str = "x-tollkeeper-version";
