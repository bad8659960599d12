//! All headers of a message, read from the host with one call and without a copy.

use tollkeeper_contract::Broken;

/// Headers as the host serialises them (proxy-wasm ABI 0.2.1): count, then the lengths of each name and value, then
/// each name and value with a zero byte behind it; numbers are `u32`, little endian.
#[derive(Debug)]
pub(super) struct HeaderMap(Vec<u8>);

/// A name and its value.
pub(super) type Pair<'a> = (&'a [u8], &'a [u8]);

impl HeaderMap {
    pub(super) fn new(serialised: Vec<u8>) -> Self {
        Self(serialised)
    }

    /// Each name and value, in order.
    pub(super) fn pairs(&self) -> Result<Vec<Pair<'_>>, Broken> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        let (count, rest) = self.0.split_first_chunk::<4>().ok_or(Broken)?;
        let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| Broken)?;
        let (lengths, mut texts) = rest.split_at_checked(count.checked_mul(8).ok_or(Broken)?).ok_or(Broken)?;
        let (lengths, _) = lengths.as_chunks::<4>();
        let (lengths, _) = lengths.as_chunks::<2>();
        let mut pairs = Vec::with_capacity(lengths.len());
        for [name, value] in lengths {
            pairs.push((take(&mut texts, *name)?, take(&mut texts, *value)?));
        }
        Ok(pairs)
    }
}

fn take<'a>(texts: &mut &'a [u8], length: [u8; 4]) -> Result<&'a [u8], Broken> {
    let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| Broken)?;
    let (text, rest) = texts.split_at_checked(length).ok_or(Broken)?;
    *texts = rest.split_first().ok_or(Broken)?.1;
    Ok(text)
}
