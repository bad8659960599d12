//! The names and values of queries and forms (`application/x-www-form-urlencoded`), read strictly: UTF-8 only, no name
//! twice.

/// More parameters than any request has. Looking for repeats compares each with all: without a bound, a long body would
/// take long.
const MOST: usize = 32;

/// Why a text is no such pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// A name is not UTF-8.
    Name,
    /// The value of this name is not UTF-8.
    Value(String),
    /// This name stands there twice.
    Twice(String),
    /// There are more than any request has.
    TooMany,
}

/// Reads all pairs; a name without `=` has the empty value.
pub(super) fn read(text: &[u8]) -> Result<Vec<(String, String)>, Broken> {
    let mut pairs = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MOST {
            return Err(Broken::TooMany);
        }
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at_checked(end).unwrap_or((pair, &[]));
        let name = decode(name, Plus::IsSpace).ok_or(Broken::Name)?;
        if pairs.iter().any(|(earlier, _)| *earlier == name) {
            return Err(Broken::Twice(name));
        }
        let Some(value) = decode(value.strip_prefix(b"=").unwrap_or_default(), Plus::IsSpace) else {
            return Err(Broken::Value(name));
        };
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// What a plus sign stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// A space, as in forms.
    IsSpace,
    /// Itself.
    IsPlus,
}

/// Undoes percent-encoding. A percent sign that nothing was encoded with stands for itself.
pub(super) fn decode(bytes: &[u8], plus: Plus) -> Option<String> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match (first, encoded(behind)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            (b'+', _) if plus == Plus::IsSpace => decoded.push(b' '),
            _ => decoded.push(*first),
        }
    }
    String::from_utf8(decoded).ok()
}

fn encoded(digits: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*digits.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Broken, Plus, decode, read};

    #[test]
    fn pairs_are_decoded() {
        let pairs = read(b"a=1+2&b=%C3%BC%2B&c=&d&=x&&e=%zz%").unwrap();
        let expected = [("a", "1 2"), ("b", "ü+"), ("c", ""), ("d", ""), ("", "x"), ("e", "%zz%")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(decode(b"a+b%2Bc", Plus::IsPlus).as_deref(), Some("a+b+c"));
    }

    #[test]
    fn a_name_twice_or_other_bytes_than_utf_8_are_refused_by_name() {
        for (bad, why) in [
            (&b"a=1&a=2"[..], Broken::Twice("a".to_owned())),
            (b"a=1&%61", Broken::Twice("a".to_owned())),
            (b"a=%ff", Broken::Value("a".to_owned())),
            (b"b=1&a=\xff", Broken::Value("a".to_owned())),
            (b"%ff=1", Broken::Name),
        ] {
            assert_eq!(read(bad), Err(why));
        }
        let many: String = (0..33).map(|number| format!("{number}&")).collect();
        assert_eq!(read(many.as_bytes()), Err(Broken::TooMany));
    }
}
