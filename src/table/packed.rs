//! Records of keys as they lie in shared data: dates and lengths take no more bytes than they need. That is a fifth less, and
//! there may be a million.
//!
//! A packed record begins with the code of its kind and [`MARK`], and the two codes behind it; then come how many bytes each date
//! has, in four bits each, and these bytes; then each text behind its length in one byte. What has a longer text stays as it was.

use tollkeeper_contract::Broken;

/// Set in the first byte of what is packed; no kind's code has it.
const MARK: u8 = 0x80;

/// The record, packed if that can be.
///
/// # Errors
/// When it could be taken for a packed one, and is no record of a key.
pub(super) fn pack(record: &[u8]) -> Result<Vec<u8>, Broken> {
    let is_marked = record.first().is_none_or(|first| first & MARK != 0);
    match packed(record) {
        _ if is_marked => Err(Broken),
        Some(packed) => Ok(packed),
        None => Ok(record.to_vec()),
    }
}

fn packed(record: &[u8]) -> Option<Vec<u8>> {
    let ([kind, state, owner], rest) = record.split_first_chunk()?;
    let (begin, rest) = rest.split_first_chunk()?;
    let (end, mut rest) = rest.split_first_chunk()?;
    let ends = end_as_told(u64::from_le_bytes(*end)).to_le_bytes();
    let (begin, end) = (without_zeros(begin), without_zeros(&ends));
    let mut out = Vec::with_capacity(record.len());
    out.extend_from_slice(&[kind | MARK, *state, *owner, (begin.len() << 4 | end.len()) as u8]);
    out.extend_from_slice(begin);
    out.extend_from_slice(end);
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk()?;
        let length = u8::try_from(u16::from_le_bytes(*length)).ok()?;
        let (text, behind) = behind.split_at_checked(length.into())?;
        out.push(length);
        out.extend_from_slice(text);
        rest = behind;
    }
    Some(out)
}

/// The record as it was.
///
/// # Errors
/// When it ends before all that it tells of.
pub(super) fn unpack(record: &[u8]) -> Result<Vec<u8>, Broken> {
    if record.first().is_none_or(|first| first & MARK == 0) {
        return Ok(record.to_vec());
    }
    let ([kind, state, owner, dates], rest) = record.split_first_chunk().ok_or(Broken)?;
    let (begin, rest) = date(rest, dates >> 4)?;
    let (end, mut rest) = date(rest, dates & 0xf)?;
    let mut out = Vec::with_capacity(record.len().saturating_add(24));
    out.extend_from_slice(&[kind & !MARK, *state, *owner]);
    out.extend_from_slice(&begin.to_le_bytes());
    out.extend_from_slice(&end_as_kept(end).to_le_bytes());
    while let Some((length, behind)) = rest.split_first() {
        let (text, behind) = behind.split_at_checked(usize::from(*length)).ok_or(Broken)?;
        out.extend_from_slice(&u16::from(*length).to_le_bytes());
        out.extend_from_slice(text);
        rest = behind;
    }
    Ok(out)
}

/// A key without an end has the last second of all as its end: here that is the shortest one.
fn end_as_told(end: u64) -> u64 {
    end.wrapping_add(1)
}

fn end_as_kept(told: u64) -> u64 {
    told.wrapping_sub(1)
}

fn without_zeros(number: &[u8; 8]) -> &[u8] {
    let zeros = number.iter().rev().take_while(|byte| **byte == 0).count();
    number.split_at_checked(number.len().saturating_sub(zeros)).map_or(number, |(bytes, _)| bytes)
}

fn date(rest: &[u8], length: u8) -> Result<(u64, &[u8]), Broken> {
    let (bytes, rest) = rest.split_at_checked(length.into()).ok_or(Broken)?;
    let mut number = [0; 8];
    number.get_mut(..bytes.len()).ok_or(Broken)?.copy_from_slice(bytes);
    Ok((u64::from_le_bytes(number), rest))
}

#[cfg(test)]
mod tests {
    use super::{pack, unpack};
    use proptest::prelude::*;
    use tollkeeper_contract::{KeyRecord, KeyState, Kind, Owner};

    #[test]
    fn the_record_of_a_usual_key_takes_a_fifth_less() {
        let record = record((None, Some(1_900_000_000)), "subject-123456");
        let packed = pack(&record).unwrap();
        assert!(packed.len() * 5 < record.len() * 4, "{} of {}", packed.len(), record.len());
        assert_eq!(unpack(&packed), Ok(record));
    }

    #[test]
    fn a_packed_record_that_was_cut_within_a_date_or_a_text_is_refused() {
        let packed = pack(&record((Some(7), None), "subject")).unwrap();
        let whole_texts = (1..packed.len()).filter(|length| unpack(&packed[..*length]).is_ok()).count();
        // Behind the dates, and behind each text but the last.
        assert_eq!(whole_texts, 5);
    }

    #[test]
    fn a_record_with_a_long_text_stays_as_it_was() {
        let record = record((None, None), &"s".repeat(256));
        assert_eq!(pack(&record), Ok(record.clone()));
        assert_eq!(unpack(&record), Ok(record));
    }

    fn record((not_before, expires): (Option<u64>, Option<u64>), subject: &str) -> Vec<u8> {
        let (kind, state, id, owner) = (Kind::Application, KeyState::Active, "k00000000000001", Owner::Team("t123"));
        let mut record = Vec::new();
        KeyRecord { kind, state, not_before, expires, id, owner, subject, scopes: "read write", origin: None }
            .encode(&mut record);
        record
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked_as_it_was(
            not_before: Option<u64>, expires: Option<u64>, subject in ".{0,300}", bytes: Vec<u8>
        ) {
            for record in [record((not_before, expires), &subject), bytes] {
                if let Ok(packed) = pack(&record) {
                    prop_assert_eq!(unpack(&packed), Ok(record));
                } else {
                    prop_assert!(record.first().is_none_or(|first| *first > 127));
                }
            }
        }

        #[test]
        fn any_bytes_are_unpacked_without_a_panic(mut packed: Vec<u8>) {
            let _ = unpack(&packed);
            packed.insert(0, 0x81);
            let _ = unpack(&packed);
        }
    }
}
