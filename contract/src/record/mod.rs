//! What a node knows: of keys, of tenants, of tokens.

mod key;
mod tenant;
#[cfg(test)]
mod tests;
mod token;

pub use key::{KeyRecord, KeyState, Owner};
pub use tenant::{EnterpriseRecord, HostRecord, Hosts, TeamRecord, TenantState, UserRecord};
pub use token::{Algorithm, RevokedSessionRecord, TokenKeyRecord, TokenMaterial};
