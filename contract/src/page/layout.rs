//! The parts of a page as bytes.

use crate::{
    Digest, EnterpriseRecord, HostRecord, KeyRecord, LimitsRecord, RevokedSessionRecord, TeamRecord, TokenKeyRecord,
    UserRecord,
    bytes::{Broken, Reader},
};

use super::{Cursor, Entry, Rest, Span, Table};

pub(super) fn put_span(out: &mut Vec<u8>, span: Span) {
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

pub(super) fn read_span(reader: &mut Reader<'_>) -> Result<Span, Broken> {
    match reader.u8()? {
        1 => {
            let (table, digest) = (reader.u8()?, Digest::from_bytes(reader.array()?));
            let after = match table {
                0 if *digest.as_bytes() == [0; Digest::LENGTH] => None,
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

pub(super) fn read_entry<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, Broken> {
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

/// A record must be readable, and lie where whoever looks for it will find it.
fn check_record(table: Table, digest: &Digest, record: &[u8]) -> Result<(), Broken> {
    let name = match table {
        Table::Keys => return KeyRecord::decode(record).map(|_| ()),
        Table::Teams => TeamRecord::decode(record)?.id,
        Table::Users => UserRecord::decode(record)?.id,
        Table::RevokedSessions => RevokedSessionRecord::decode(record)?.id,
        Table::Hosts => HostRecord::decode(record)?.host,
        Table::Enterprises => EnterpriseRecord::decode(record)?.id,
        Table::TokenKeys => TokenKeyRecord::decode(record)?.kid,
        Table::Limits => LimitsRecord::decode(record).map(|_| LimitsRecord::NAME)?,
    };
    if Digest::of(name.as_bytes()) == *digest { Ok(()) } else { Err(Broken) }
}
