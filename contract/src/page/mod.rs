//! How records travel from the key service to a node: in pages that are whole and genuine, or refused.
//!
//! A node that starts takes a **snapshot**, page after page in the order of tables and digests, and then follows the
//! **changes**. A page says what it answers (the position asked for, and a number that the node chose), and is sealed
//! with HMAC-SHA256 under a key that both sides derive from the node token: a cut, altered, replayed or foreign answer cannot pass for one.
//!
//! Layout, little endian: `"TKP2"`, service id (16 bytes), nonce `u64`, span, count `u32`, entries, seal (32 bytes).
//! Span: `1`, `after` (table `u8` and digest, or zeros for the start), revision `u64`, rest `u8`; or `2`, after `u64`,
//! to `u64`, rest `u8`. Entry: table `u8`, digest, `1` and the record behind its length in 16 bits, or `0`.

mod layout;
mod token;

use std::collections::BTreeMap;

use hmac::Mac;

use crate::{
    Digest,
    bytes::{Broken, Reader, put_block},
};

use layout::{put_span, read_entry, read_span};

pub use token::{NodeToken, NodeTokens, token_text};

/// The most bytes in a page, its seal included.
pub const MAX_LENGTH: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"TKP2";
const SEAL: usize = 32;

/// Which database a page comes from: made once, when the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(pub [u8; 16]);

/// Which table an entry belongs to; in the order of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Teams, under the digest of their id; first, so that a key's team is there before the key.
    Teams,
    /// Keys, under the digest of their text.
    Keys,
    /// Users, under the digest of their id.
    Users,
    /// Sessions that were revoked before their token ended, under the digest of their id.
    RevokedSessions,
    /// Hosts that belong to one team, under the digest of their name.
    Hosts,
    /// Enterprises, under the digest of their id.
    Enterprises,
    /// Keys that verify tokens, under the digest of their `kid`.
    TokenKeys,
    /// What holds for all limits, under the digest of its one name.
    Limits,
}

impl Table {
    /// Every one there is, in order.
    pub const ALL: [Self; 8] = [
        Self::Teams,
        Self::Keys,
        Self::Users,
        Self::RevokedSessions,
        Self::Hosts,
        Self::Enterprises,
        Self::TokenKeys,
        Self::Limits,
    ];

    /// The table's number in pages, in queries and in the database, from 1.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Teams => 1,
            Self::Keys => 2,
            Self::Users => 3,
            Self::RevokedSessions => 4,
            Self::Hosts => 5,
            Self::Enterprises => 6,
            Self::TokenKeys => 7,
            Self::Limits => 8,
        }
    }

    /// The table of that number.
    #[must_use]
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.code() == code)
    }

    fn from_code(code: u8) -> Result<Self, Broken> {
        Self::of_code(code).ok_or(Broken)
    }
}

/// A place in the order of a snapshot: the last entry that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The entry's table.
    pub table: Table,
    /// The entry's digest.
    pub digest: Digest,
}

impl Cursor {
    /// The cursor as 66 hexadecimal digits, as it stands in a query.
    #[must_use]
    pub fn to_hex(&self) -> String {
        format!("{:02x}{}", self.table.code(), self.digest.to_hex())
    }

    /// Reads what [`Cursor::to_hex`] writes; `None` for anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let (table, digest) = text.split_at_checked(2)?;
        let table = Table::ALL.into_iter().find(|known| format!("{:02x}", known.code()) == table)?;
        Some(Self { table, digest: Digest::from_hex(digest)? })
    }
}

/// Whether the node should ask for the next page at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// There is more.
    More,
    /// That was all.
    Done,
}

/// What a page covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Records as they were at `revision`, behind the place `after`.
    Snapshot {
        /// The place asked for; `None` is the start.
        after: Option<Cursor>,
        /// The revision at which this page was read.
        revision: u64,
        /// Whether there are further pages.
        rest: Rest,
    },
    /// All that changed behind revision `after`, up to and with revision `to`.
    Changes {
        /// The revision asked for.
        after: u64,
        /// The revision that the node has when it has applied the page; never below `after`.
        to: u64,
        /// Whether there are further changes already.
        rest: Rest,
    },
}

/// One record, or the news that it is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it belongs.
    pub cursor: Cursor,
    /// The encoded record of that table, such as [`KeyRecord`](crate::KeyRecord); `None` when it is gone.
    pub record: Option<&'a [u8]>,
}

/// A page that was opened: genuine, whole, well-formed, sorted by table and digest, every record readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'a> {
    /// The database that it comes from.
    pub service: ServiceId,
    /// The number that the node chose for its question.
    pub nonce: u64,
    /// What it covers.
    pub span: Span,
    /// The records, each at most once.
    pub entries: Vec<Entry<'a>>,
}

/// Collects entries into a page, up to its greatest length.
pub struct PageWriter {
    bytes: Vec<u8>,
    count: u32,
}

/// The page has no room for the entry; it belongs into the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl PageWriter {
    /// An empty page.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Vec::new(), count: 0 }
    }

    /// Adds an entry. Snapshots must be written in the order of their cursors.
    ///
    /// # Errors
    /// When the page would grow past [`MAX_LENGTH`].
    pub fn push(&mut self, entry: Entry<'_>) -> Result<(), Full> {
        const HEAD_AND_SEAL: usize = 256;
        let length = entry.record.map_or(0, <[u8]>::len).saturating_add(64);
        if self.bytes.len().saturating_add(length) > MAX_LENGTH.saturating_sub(HEAD_AND_SEAL) {
            return Err(Full);
        }
        self.bytes.push(entry.cursor.table.code());
        self.bytes.extend_from_slice(entry.cursor.digest.as_bytes());
        self.bytes.push(u8::from(entry.record.is_some()));
        if let Some(record) = entry.record {
            put_block(&mut self.bytes, record);
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The page as it travels.
    #[must_use]
    pub fn seal(self, service: ServiceId, nonce: u64, span: Span, token: &NodeToken) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&service.0);
        out.extend_from_slice(&nonce.to_le_bytes());
        put_span(&mut out, span);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.bytes);
        let seal = token.seal(&out).finalize().into_bytes();
        out.extend_from_slice(&seal);
        out
    }
}

impl Default for PageWriter {
    fn default() -> Self {
        Self::new()
    }
}

/// Opens a page that arrived.
///
/// # Errors
/// When it is not whole, not sealed under this token, or anything in it is out of order.
pub fn open<'a>(bytes: &'a [u8], token: &NodeToken) -> Result<Page<'a>, Broken> {
    if bytes.len() > MAX_LENGTH {
        return Err(Broken);
    }
    let (content, seal) = bytes.split_last_chunk::<SEAL>().ok_or(Broken)?;
    token.seal(content).verify_slice(seal).map_err(|_| Broken)?;
    let mut reader = Reader::new(content);
    if reader.array()? != MAGIC {
        return Err(Broken);
    }
    let service = ServiceId(reader.array()?);
    let nonce = reader.u64()?;
    let span = read_span(&mut reader)?;
    let count = reader.u32()?;
    let entries = (0..count).map(|_| read_entry(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    Ok(Page { service, nonce, span, entries: in_order(span, entries)? })
}

fn in_order(span: Span, mut entries: Vec<Entry<'_>>) -> Result<Vec<Entry<'_>>, Broken> {
    match span {
        Span::Snapshot { after, .. } => {
            let behind = entries.first().is_none_or(|first| Some(first.cursor) > after);
            if !behind || entries.iter().any(|entry| entry.record.is_none()) {
                return Err(Broken);
            }
        }
        Span::Changes { after, to, .. } => {
            if to < after {
                return Err(Broken);
            }
            // A map sorts with less code than a sort has, and the filter's module pays for code.
            let mut sorted = BTreeMap::new();
            sorted.extend(entries.iter().map(|entry| (entry.cursor, *entry)));
            if sorted.len() != entries.len() {
                return Err(Broken);
            }
            entries = sorted.into_values().collect();
        }
    }
    if entries.is_sorted_by(|left, right| left.cursor < right.cursor) { Ok(entries) } else { Err(Broken) }
}

#[cfg(test)]
mod tests;
