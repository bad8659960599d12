//! Reads and writes the fixed binary layouts; a reader can only fail, never panic.

use std::fmt;

/// Bytes that do not follow the layout: truncated, too long, or with a value that the layout does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes do not follow the layout")
    }
}

impl std::error::Error for Broken {}

/// Walks over bytes from the front.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Broken)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Broken)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Broken> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Broken> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Broken> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Broken> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes behind their length in 16 bits.
    pub(crate) fn block(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    /// A text behind its length in 16 bits.
    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        std::str::from_utf8(self.block()?).map_err(|_| Broken)
    }

    /// All that is left.
    pub(crate) fn remainder(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left over.
    pub(crate) fn end(self) -> Result<(), Broken> {
        if self.rest.is_empty() { Ok(()) } else { Err(Broken) }
    }
}

/// Appends bytes behind their length in 16 bits; longer ones are cut, which no valid record reaches.
pub(crate) fn put_block(out: &mut Vec<u8>, block: &[u8]) {
    let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend(block.iter().take(usize::from(length)));
}
