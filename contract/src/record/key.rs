//! What a node knows about a key.

use crate::{
    Kind,
    bytes::{Broken, Reader, put_block},
};

/// Whether a key is meant to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It works between its dates.
    Active,
    /// Switched off for now.
    Disabled,
    /// Ended for good.
    Revoked,
}

/// To whom a key belongs, and for whom it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A team, by its id.
    Team(&'a str),
    /// An enterprise, by its id: the key belongs to no team and may act for any team of the enterprise.
    Enterprise(&'a str),
}

impl<'a> Owner<'a> {
    /// The id, of whatever it is.
    #[must_use]
    pub fn id(self) -> &'a str {
        match self {
            Self::Team(id) | Self::Enterprise(id) => id,
        }
    }
}

/// All that the filter knows about one key, borrowed from a shard or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    /// What sort of key it is.
    pub kind: Kind,
    /// Whether it is meant to work.
    pub state: KeyState,
    /// The first second in which it works (Unix time, seconds).
    pub not_before: Option<u64>,
    /// The first second in which it works no longer (Unix time, seconds).
    pub expires: Option<u64>,
    /// Its public id.
    pub id: &'a str,
    /// To whom it belongs.
    pub owner: Owner<'a>,
    /// Whom it was made for; empty if nobody said. For [`Kind::Personal`] the id of its user, without whose record it
    /// does not work.
    pub subject: &'a str,
    /// What it may do: sorted, parted by one space.
    pub scopes: &'a str,
    /// The origin that it is bound to, as [`Origin`](crate::Origin) writes it; `None` if it is not bound.
    pub origin: Option<&'a str>,
}

impl<'a> KeyRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let state = match self.state {
            KeyState::Active => 1,
            KeyState::Disabled => 2,
            KeyState::Revoked => 3,
        };
        let owner = match self.owner {
            Owner::Team(_) => 1,
            Owner::Enterprise(_) => 2,
        };
        out.extend_from_slice(&[self.kind.code(), state, owner]);
        // A key that ends at second 0 has ended either way, so 0 and u64::MAX are free to say "no bound".
        out.extend_from_slice(&self.not_before.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.expires.unwrap_or(u64::MAX).to_le_bytes());
        for text in [self.id, self.owner.id(), self.subject, self.scopes, self.origin.unwrap_or_default()] {
            put_block(out, text.as_bytes());
        }
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let kind = Kind::from_code(reader.u8()?).ok_or(Broken)?;
        let state = match reader.u8()? {
            1 => KeyState::Active,
            2 => KeyState::Disabled,
            3 => KeyState::Revoked,
            _ => return Err(Broken),
        };
        let owner = match reader.u8()? {
            1 => Owner::Team,
            2 => Owner::Enterprise,
            _ => return Err(Broken),
        };
        let record = Self {
            kind,
            state,
            not_before: Some(reader.u64()?).filter(|second| *second != 0),
            expires: Some(reader.u64()?).filter(|second| *second != u64::MAX),
            id: reader.text()?,
            owner: owner(reader.text()?),
            subject: reader.text()?,
            scopes: reader.text()?,
            origin: Some(reader.text()?).filter(|origin| !origin.is_empty()),
        };
        reader.end()?;
        Ok(record)
    }
}
