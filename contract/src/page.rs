//! How records travel from the key service to a node: in pages that are whole and genuine, or refused.
//!
//! A node that starts takes a **snapshot**, page after page in the order of tables and digests, and then follows the
//! **changes**. A page says what it answers (the position asked for, and a number that the node chose), and is sealed
//! with HMAC-SHA256 under the node token: a cut, altered, replayed or foreign answer cannot pass for one.
//!
//! Layout, little endian: `"TKP1"`, service id (16 bytes), nonce `u64`, span, count `u32`, entries, seal (32 bytes).
//! Span: `1`, `after` (table `u8` and digest, or zeros for the start), revision `u64`, rest `u8`; or `2`, after `u64`,
//! to `u64`, rest `u8`. Entry: table `u8`, digest, `1` and the record behind its length in 16 bits, or `0`.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{
    Digest, KeyRecord, TeamRecord,
    bytes::{Broken, Reader, put_block},
};

/// The most bytes in a page, its seal included.
pub const MAX_LENGTH: usize = 1 << 20;

const MAGIC: [u8; 4] = *b"TKP1";
const SEAL: usize = 32;

/// The secret that a node shows to the key service, and under which pages are sealed; it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeToken(String);

impl NodeToken {
    /// The fewest characters in a token.
    pub const MIN_LENGTH: usize = 16;

    /// Reads a token: at least [`NodeToken::MIN_LENGTH`] visible ASCII characters; surrounding white space, such as
    /// a file's last line end, does not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let good = text.len() >= Self::MIN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(text.to_owned()))
    }

    /// The token, for the header that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NodeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeToken(…)")
    }
}

/// Which database a page comes from: made once, when the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceId(pub [u8; 16]);

/// Which table an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Teams, under the digest of their id; first, so that a key's team is there before the key.
    Teams,
    /// Keys, under the digest of their text.
    Keys,
}

impl Table {
    fn code(self) -> u8 {
        match self {
            Self::Teams => 1,
            Self::Keys => 2,
        }
    }

    fn from_code(code: u8) -> Result<Self, Broken> {
        match code {
            1 => Ok(Self::Teams),
            2 => Ok(Self::Keys),
            _ => Err(Broken),
        }
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
        let table = match table {
            "01" => Table::Teams,
            "02" => Table::Keys,
            _ => return None,
        };
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
    /// The encoded [`KeyRecord`] or [`TeamRecord`]; `None` when it is gone.
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
        if let Some(mac) = mac(token, &out) {
            out.extend_from_slice(&mac.finalize().into_bytes());
        }
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
    mac(token, content).ok_or(Broken)?.verify_slice(seal).map_err(|_| Broken)?;
    let mut reader = Reader::new(content);
    if reader.array()? != MAGIC {
        return Err(Broken);
    }
    let service = ServiceId(reader.array()?);
    let nonce = reader.u64()?;
    let span = read_span(&mut reader)?;
    let count = reader.u32()?;
    let mut entries = (0..count).map(|_| read_entry(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    reader.end()?;
    check_order(span, &mut entries)?;
    Ok(Page { service, nonce, span, entries })
}

fn mac(token: &NodeToken, content: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length, so this is always there.
    let mut mac = Hmac::<Sha256>::new_from_slice(token.0.as_bytes()).ok()?;
    mac.update(content);
    Some(mac)
}

fn check_order(span: Span, entries: &mut [Entry<'_>]) -> Result<(), Broken> {
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
            entries.sort_by_key(|entry| entry.cursor);
        }
    }
    if entries.is_sorted_by(|left, right| left.cursor < right.cursor) { Ok(()) } else { Err(Broken) }
}

fn put_span(out: &mut Vec<u8>, span: Span) {
    let rest = match span {
        Span::Snapshot { after, revision, rest } => {
            out.push(1);
            out.push(after.map_or(0, |cursor| cursor.table.code()));
            out.extend_from_slice(&after.map_or([0; Digest::LENGTH], |cursor| *cursor.digest.as_bytes()));
            out.extend_from_slice(&revision.to_le_bytes());
            rest
        }
        Span::Changes { after, to, rest } => {
            out.push(2);
            out.extend_from_slice(&after.to_le_bytes());
            out.extend_from_slice(&to.to_le_bytes());
            rest
        }
    };
    out.push(match rest {
        Rest::Done => 0,
        Rest::More => 1,
    });
}

fn read_span(reader: &mut Reader<'_>) -> Result<Span, Broken> {
    match reader.u8()? {
        1 => {
            let (table, digest) = (reader.u8()?, Digest::from_bytes(reader.array()?));
            let after = match table {
                0 => None,
                code => Some(Cursor { table: Table::from_code(code)?, digest }),
            };
            Ok(Span::Snapshot { after, revision: reader.u64()?, rest: read_rest(reader)? })
        }
        2 => Ok(Span::Changes { after: reader.u64()?, to: reader.u64()?, rest: read_rest(reader)? }),
        _ => Err(Broken),
    }
}

fn read_rest(reader: &mut Reader<'_>) -> Result<Rest, Broken> {
    match reader.u8()? {
        0 => Ok(Rest::Done),
        1 => Ok(Rest::More),
        _ => Err(Broken),
    }
}

fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Broken> {
    let table = Table::from_code(reader.u8()?)?;
    let digest = Digest::from_bytes(reader.array()?);
    let record = match reader.u8()? {
        0 => None,
        1 => Some(reader.block()?),
        _ => return Err(Broken),
    };
    if let Some(record) = record {
        check_record(table, &digest, record)?;
    }
    Ok(Entry { cursor: Cursor { table, digest }, record })
}

fn check_record(table: Table, digest: &Digest, record: &[u8]) -> Result<(), Broken> {
    match table {
        Table::Keys => KeyRecord::decode(record).map(|_| ()),
        Table::Teams => {
            let team = TeamRecord::decode(record)?;
            if Digest::of(team.id.as_bytes()) == *digest { Ok(()) } else { Err(Broken) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Entry, NodeToken, Page, PageWriter, Rest, ServiceId, Span, Table, open};
    use crate::{Digest, TeamRecord, TeamState};

    const SERVICE: ServiceId = ServiceId([7; 16]);

    fn token() -> NodeToken {
        NodeToken::parse("a-token-for-nodes\n").unwrap()
    }

    fn team(id: &str) -> (Cursor, Vec<u8>) {
        let mut record = Vec::new();
        TeamRecord { id, state: TeamState::Active, quota: None }.encode(&mut record);
        (Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) }, record)
    }

    fn sealed(entries: &[(Cursor, Vec<u8>)], span: Span) -> Vec<u8> {
        let mut writer = PageWriter::new();
        for (cursor, record) in entries {
            writer.push(Entry { cursor: *cursor, record: Some(record) }).unwrap();
        }
        writer.seal(SERVICE, 5, span, &token())
    }

    fn sorted() -> Vec<(Cursor, Vec<u8>)> {
        let mut entries = vec![team("acme"), team("globex"), team("initech")];
        entries.sort_by_key(|(cursor, _)| *cursor);
        entries
    }

    const WHOLE: Span = Span::Snapshot { after: None, revision: 3, rest: Rest::Done };

    #[test]
    fn a_page_comes_back_as_it_went() {
        let entries = sorted();
        let bytes = sealed(&entries, WHOLE);
        let expected = entries.iter().map(|(cursor, record)| Entry { cursor: *cursor, record: Some(record) }).collect();
        assert_eq!(open(&bytes, &token()), Ok(Page { service: SERVICE, nonce: 5, span: WHOLE, entries: expected }));
    }

    #[test]
    fn a_page_that_was_cut_or_altered_anywhere_is_refused() {
        let bytes = sealed(&sorted(), WHOLE);
        for at in 0..bytes.len() {
            assert!(open(&bytes[..at], &token()).is_err(), "cut at {at}");
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(open(&altered, &token()).is_err(), "altered at {at}");
        }
    }

    #[test]
    fn a_page_under_another_token_is_refused() {
        let other = NodeToken::parse("another-token-for-nodes").unwrap();
        assert!(open(&sealed(&sorted(), WHOLE), &other).is_err());
    }

    #[test]
    fn a_snapshot_page_out_of_order_is_refused() {
        let mut entries = sorted();
        entries.reverse();
        assert!(open(&sealed(&entries, WHOLE), &token()).is_err());
    }

    #[test]
    fn a_snapshot_page_that_starts_before_its_place_is_refused() {
        let entries = sorted();
        let span = Span::Snapshot { after: Some(entries[0].0), revision: 3, rest: Rest::Done };
        assert!(open(&sealed(&entries, span), &token()).is_err());
        assert!(open(&sealed(&entries[1..], span), &token()).is_ok());
    }

    #[test]
    fn changes_that_go_back_or_repeat_a_record_are_refused() {
        let back = Span::Changes { after: 4, to: 3, rest: Rest::Done };
        assert!(open(&sealed(&sorted(), back), &token()).is_err());
        let forth = Span::Changes { after: 3, to: 4, rest: Rest::Done };
        assert!(open(&sealed(&[team("acme"), team("acme")], forth), &token()).is_err());
    }

    #[test]
    fn a_team_under_a_foreign_digest_is_refused() {
        let (_, record) = team("acme");
        let (cursor, _) = team("globex");
        assert!(open(&sealed(&[(cursor, record)], WHOLE), &token()).is_err());
    }

    #[test]
    fn a_full_page_says_so_and_stays_within_its_length() {
        let (cursor, record) = team("acme");
        let mut writer = PageWriter::new();
        while writer.push(Entry { cursor, record: Some(&record) }).is_ok() {}
        assert!(writer.seal(SERVICE, 5, WHOLE, &token()).len() <= super::MAX_LENGTH);
    }

    #[test]
    fn a_token_is_long_enough_and_cannot_be_printed() {
        assert!(NodeToken::parse("short").is_none());
        assert!(NodeToken::parse("with space in between").is_none());
        assert_eq!(format!("{:?}", token()), "NodeToken(…)");
    }

    #[test]
    fn a_cursor_comes_back_from_a_query() {
        let (cursor, _) = team("acme");
        assert_eq!(Cursor::from_hex(&cursor.to_hex()), Some(cursor));
        assert_eq!(Cursor::from_hex("é0"), None);
    }
}
