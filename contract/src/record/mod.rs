//! What a node knows: of keys, of tenants, of tokens, of everybody's limits.

mod key;
mod limits;
mod tenant;
#[cfg(test)]
mod tests;
mod token;

pub use key::{KeyRecord, KeyState, Owner};
pub use limits::LimitsRecord;
pub use tenant::{EnterpriseRecord, HostRecord, Hosts, TeamRecord, TenantState, UserRecord};
pub use token::{Algorithm, RevokedSessionRecord, TokenKeyRecord, TokenMaterial};
