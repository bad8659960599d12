//! Keys of other systems, known by their digests alone.

use tollkeeper_contract::{Digest, KeyId};

use super::{Claimant, KeyTerms};

/// The most keys of one import.
pub const MAX_IMPORT: usize = 1000;

/// A key to be imported.
#[derive(Debug, Clone)]
pub struct ImportKey {
    /// The digest of its text.
    pub digest: Digest,
    /// Its public id.
    pub id: KeyId,
    /// Who has it.
    pub claimant: Claimant,
    /// What it may do, when and from where.
    pub terms: KeyTerms,
}
