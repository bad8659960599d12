//! What a node knows about a key and about its team.

use crate::{
    Kind, Quota,
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
    /// The id of the team that owns it.
    pub team: &'a str,
    /// Whom it was made for; empty if nobody said.
    pub subject: &'a str,
    /// What it may do: sorted, parted by one space.
    pub scopes: &'a str,
}

impl<'a> KeyRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let state = match self.state {
            KeyState::Active => 1,
            KeyState::Disabled => 2,
            KeyState::Revoked => 3,
        };
        out.extend_from_slice(&[self.kind.code(), state]);
        // A key that ends at second 0 has ended either way, so 0 and u64::MAX are free to say "no bound".
        out.extend_from_slice(&self.not_before.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.expires.unwrap_or(u64::MAX).to_le_bytes());
        for text in [self.id, self.team, self.subject, self.scopes] {
            put_block(out, text.as_bytes());
        }
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let record = Self {
            kind: Kind::from_code(reader.u8()?).ok_or(Broken)?,
            state: match reader.u8()? {
                1 => KeyState::Active,
                2 => KeyState::Disabled,
                3 => KeyState::Revoked,
                _ => return Err(Broken),
            },
            not_before: Some(reader.u64()?).filter(|second| *second != 0),
            expires: Some(reader.u64()?).filter(|second| *second != u64::MAX),
            id: reader.text()?,
            team: reader.text()?,
            subject: reader.text()?,
            scopes: reader.text()?,
        };
        reader.end()?;
        Ok(record)
    }
}

/// Whether a team is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TeamState {
    /// It is served.
    Active,
    /// None of its keys works for now.
    Disabled,
}

/// All that the filter knows about one team, borrowed from a shard or a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamRecord<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether it is served.
    pub state: TeamState,
    /// Its own quota; `None` takes the filter's default.
    pub quota: Option<Quota>,
}

impl<'a> TeamRecord<'a> {
    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.state {
            TeamState::Active => 1,
            TeamState::Disabled => 2,
        });
        let (limit, window) = self.quota.map_or((0, 0), |quota| (quota.limit().get(), quota.window().get()));
        out.extend_from_slice(&limit.to_le_bytes());
        out.extend_from_slice(&window.to_le_bytes());
        put_block(out, self.id.as_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let state = match reader.u8()? {
            1 => TeamState::Active,
            2 => TeamState::Disabled,
            _ => return Err(Broken),
        };
        let quota = match (reader.u32()?, reader.u32()?) {
            (0, 0) => None,
            (limit, window) => Some(Quota::new(limit, window).map_err(|_| Broken)?),
        };
        let record = Self { id: reader.text()?, state, quota };
        reader.end()?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyRecord, KeyState, TeamRecord, TeamState};
    use crate::{Kind, Quota};
    use proptest::prelude::*;

    fn encoded(record: KeyRecord<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&mut out);
        out
    }

    proptest! {
        #[test]
        fn a_key_record_comes_back_as_it_went(
            not_before in proptest::option::of(1..u64::MAX),
            expires in proptest::option::of(0..u64::MAX),
            id: String, team: String, subject: String, scopes: String,
            state in proptest::sample::select(vec![KeyState::Active, KeyState::Disabled, KeyState::Revoked]),
        ) {
            let record = KeyRecord {
                kind: Kind::Application, state, not_before, expires,
                id: &id, team: &team, subject: &subject, scopes: &scopes,
            };
            let bytes = encoded(record);
            prop_assert_eq!(KeyRecord::decode(&bytes), Ok(record));
            for length in 0..bytes.len() {
                prop_assert!(KeyRecord::decode(&bytes[..length]).is_err());
            }
        }

        #[test]
        fn a_team_record_comes_back_as_it_went(id: String, limit in 1..u32::MAX, window in 1..=Quota::MAX_WINDOW) {
            for quota in [None, Some(Quota::new(limit, window).unwrap())] {
                let record = TeamRecord { id: &id, state: TeamState::Active, quota };
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                prop_assert_eq!(TeamRecord::decode(&bytes), Ok(record));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = KeyRecord::decode(&bytes);
            let _ = TeamRecord::decode(&bytes);
        }
    }
}
