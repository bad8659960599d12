//! Keys as text: ours have their form and checksum, and one wrong letter is noticed without a lookup.

use arbitrary::Unstructured;
use tollkeeper_contract::{
    Kind,
    key_text::{self, KeyText},
};

/// The first bytes make a key and a change of it; all of them are a text that somebody presents.
pub fn look(data: &[u8]) {
    let is_visible = |byte: &u8| (b'!'..=b'~').contains(byte) && *byte != b',';
    if key_text::could_be_key(data) {
        assert!((1..=512).contains(&data.len()) && data.iter().all(is_visible));
    }
    let _ = one_letter_is_noticed(&mut Unstructured::new(data));
}

fn one_letter_is_noticed(input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let kinds = [Kind::Application, Kind::ServiceAccount, Kind::EnterpriseServiceAccount, Kind::Personal];
    let kind = *input.choose(&kinds)?;
    let key = KeyText::compose(kind, &key_text::compose_id(input.arbitrary()?), input.arbitrary()?);
    let whole = key.expose().as_bytes();
    assert!(key_text::could_be_key(whole));
    assert!(!format!("{key:?}").contains("tk_live"), "it cannot be printed by accident");
    let (mut changed, at) = (whole.to_vec(), input.int_in_range(0..=whole.len() - 1)?);
    changed[at] = input.arbitrary()?;
    // Without the prefix it is somebody else's key, of which nothing is known.
    let is_ours = changed.starts_with(key_text::PREFIX.as_bytes());
    assert_eq!(is_ours && key_text::could_be_key(&changed), changed == whole, "{at}");
    Ok(())
}

/// Keys of ours and of others.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let key = KeyText::compose(Kind::Application, &key_text::compose_id([7; 10]), [9; 20]);
    let mut seeds = crate::texts(&["some-other-key", "tk_live_app_a_b_00000000", "tk_live_"]);
    seeds.push(key.expose().as_bytes().to_vec());
    seeds.push((0..64).collect());
    seeds
}
