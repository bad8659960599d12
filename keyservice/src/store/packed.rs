//! Many records of SQLite as one text.
//!
//! Each row that SQLite gives is handed from one thread to another, and each of its columns is copied on the way. For a page of
//! thousands of records that costs more than finding them, so SQLite writes them all into one text, in hexadecimal digits.

use tollkeeper_contract::Digest;

use super::{
    StoreError, row,
    sql::{Connection, Statement},
};

/// The rows of a statement that gives `digest` and `record`, in its order; `None` for a record that is NULL.
pub(super) async fn records(
    statement: Statement,
    on: &mut Connection,
) -> Result<Vec<(Digest, Option<Vec<u8>>)>, StoreError> {
    if let Connection::Postgres(_) = on {
        let rows = statement.fetch_all(on).await?;
        let pair = |row| Ok((row::digest(row, "digest")?, row.maybe_bytes("record")?.map(<[u8]>::to_vec)));
        return rows.iter().map(pair).collect();
    }
    let packed = statement.behind("SELECT group_concat(hex(digest) || hex(record)) AS packed FROM (").then(")");
    let packed = packed.fetch_one(on).await?;
    let pairs = packed.maybe_text("packed")?.into_iter().flat_map(|text| text.split(','));
    pairs.map(|pair| unpacked(pair).ok_or_else(|| row::corrupt("packed", "not the digits of a record"))).collect()
}

/// No digits are left behind the digest where there is no record: none is without bytes.
fn unpacked(pair: &str) -> Option<(Digest, Option<Vec<u8>>)> {
    let (digest, record) = pair.as_bytes().split_at_checked(2 * Digest::LENGTH)?;
    let digest = Digest::from_bytes(from_hex(digest)?.try_into().ok()?);
    Some((digest, Some(from_hex(record)?).filter(|record| !record.is_empty())))
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks();
    let byte = |[high, low]: &[u8; 2]| Some(value(*high)? << 4 | value(*low)?);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// Of a digit as SQLite writes it.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unpacked;
    use tollkeeper_contract::Digest;

    #[test]
    fn a_record_follows_its_digest_or_is_missing() {
        let digest = Digest::of(b"x");
        let digits = digest.to_hex().to_uppercase();
        assert_eq!(unpacked(&format!("{digits}00A9FF")), Some((digest, Some(vec![0, 0xa9, 0xff]))));
        assert_eq!(unpacked(&digits), Some((digest, None)));
        for broken in [&digits[1..], &format!("{digits}0"), &format!("{digits}0g"), ""] {
            assert_eq!(unpacked(broken), None, "{broken}");
        }
    }
}
