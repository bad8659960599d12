//! What a node knows about the limits of everybody.

use crate::{
    Factor,
    bytes::{Broken, Reader},
};

/// What holds for all limits; there is one record, or none as long as nobody has set anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitsRecord {
    /// What they are multiplied by.
    pub factor: Factor,
}

impl LimitsRecord {
    /// The name under which the one record lies.
    pub const NAME: &'static str = "limits";

    /// Writes the record behind what `out` holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.factor.thousandths().to_le_bytes());
    }

    /// Reads a whole record.
    ///
    /// # Errors
    /// When the bytes are not exactly one record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        let mut reader = Reader::new(bytes);
        let factor = Factor::from_thousandths(reader.u32()?).map_err(|_| Broken)?;
        reader.end()?;
        Ok(Self { factor })
    }
}
