//! Pages that are whole and genuine, and all that are not.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Cursor, Entry, NodeToken, NodeTokens, Page, PageWriter, Rest, ServiceId, Span, Table, open};
use crate::{Digest, Hosts, TeamRecord, TenantState};

const SERVICE: ServiceId = ServiceId([7; 16]);

fn token() -> NodeToken {
    NodeToken::parse("a-token-for-nodes\n").unwrap()
}

fn team(id: &str) -> (Cursor, Vec<u8>) {
    let mut record = Vec::new();
    TeamRecord { id, state: TenantState::Active, quota: None, enterprise: None, hosts: Hosts::Shared }
        .encode(&mut record);
    (Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) }, record)
}

fn sealed(entries: &[(Cursor, Vec<u8>)], span: Span) -> Vec<u8> {
    sealed_under(&token(), entries, span)
}

fn sealed_under(token: &NodeToken, entries: &[(Cursor, Vec<u8>)], span: Span) -> Vec<u8> {
    let mut writer = PageWriter::new();
    for (cursor, record) in entries {
        writer.push(Entry { cursor: *cursor, record: Some(record) }).unwrap();
    }
    writer.seal(SERVICE, 5, span, token)
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
fn a_page_forged_from_what_a_node_shows_is_refused() {
    let eavesdropper = NodeToken::parse(token().shown()).unwrap();
    assert!(open(&sealed_under(&eavesdropper, &sorted(), WHOLE), &token()).is_err());
    // Nor is what is shown the very key of the seal, as digits or as bytes.
    let page = sealed(&sorted(), WHOLE);
    let (content, seal) = page.split_at(page.len() - super::SEAL);
    for key in [token().shown().as_bytes(), Digest::from_hex(token().shown()).unwrap().as_bytes()] {
        let forged = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(content).finalize().into_bytes();
        assert_ne!(&forged[..], seal);
    }
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
fn of_several_tokens_the_first_asks_and_all_are_taken() {
    let [old, new] = ["the-old-token-of-nodes", "the-new-token-of-nodes"].map(|text| NodeToken::parse(text).unwrap());
    let both = NodeTokens::parse("the-new-token-of-nodes\nthe-old-token-of-nodes\n").unwrap();
    assert_eq!(both.first().shown(), new.shown());
    for token in [&old, &new] {
        assert_eq!(both.shown(token.shown().as_bytes()).unwrap().shown(), token.shown());
    }
    assert!(both.shown(token().shown().as_bytes()).is_none() && both.shown(b"").is_none());
    let node = both.of_node();
    assert_eq!(node.shown(), new.shown());
    let salt = [7; 32];
    assert_eq!(node.token_secrets(&salt).collect::<Vec<_>>(), [new.token_secret(&salt), old.token_secret(&salt)]);
    for nothing in ["", " \n", "the-new-token-of-nodes short"] {
        assert!(NodeTokens::parse(nothing).is_none(), "{nothing:?}");
    }
}

#[test]
fn a_node_shows_what_is_derived_from_the_token_and_not_the_token() {
    // Computed with Python's hmac module.
    let expected = "8f18b4703232db1983d7b272c10b32e99f78e17fbe2dbc38c577271f0982358c";
    assert_eq!(token().shown(), expected);
    assert!(token().shows(expected.as_bytes()));
    for other in ["", "a-token-for-nodes", &expected[1..], &format!("{expected}0"), &expected.to_uppercase()] {
        assert!(!token().shows(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_page_is_sealed_under_a_key_of_its_own() {
    // Computed with Python's hmac module.
    let key = Digest::from_hex("678aaf39d4f5a4b14e85ee7011a10ae7ca8f7e338f86b398700e93d617dc7c12").unwrap();
    let page = sealed(&sorted(), WHOLE);
    let (content, seal) = page.split_at(page.len() - super::SEAL);
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(content);
    assert!(mac.verify_slice(seal).is_ok());
}

#[test]
fn a_cursor_comes_back_from_a_query() {
    let (cursor, _) = team("acme");
    assert_eq!(Cursor::from_hex(&cursor.to_hex()), Some(cursor));
    assert_eq!(Cursor::from_hex("é0"), None);
}
