//! What comes behind a good seal, such as only who has the node token could send: it is read one way, or refused.

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tollkeeper_contract::{
    Digest, Hosts, RevokedSessionRecord, TeamRecord, TenantState,
    lease::{self, Account, Lent},
    page::{self, Cursor, Entry, NodeToken, Page, PageWriter, Rest, ServiceId, Span, Table},
};

const TEXT: &str = "a-token-for-nodes";
const NONCE: u64 = 7;
const SEAL: usize = 32;

static TOKEN: LazyLock<NodeToken> = LazyLock::new(|| NodeToken::parse(TEXT).expect("a token"));

/// As documented in `tollkeeper_contract::page`.
static KEY: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).expect("any length");
    hmac(&hmac(TEXT.as_bytes()).chain_update(b"tollkeeper page seal v1").finalize().into_bytes())
});

/// The input as the content of a page, and of an answer about leases.
pub fn look(data: &[u8]) {
    let bytes = seal(data, &[]);
    if let Ok(read) = page::open(&bytes, &TOKEN) {
        assert!(read.entries.is_sorted_by(|left, right| left.cursor < right.cursor));
        let again = written(&read);
        assert_eq!(page::open(&again, &TOKEN).as_ref(), Ok(&read));
        // Changes may come in any order.
        match read.span {
            Span::Snapshot { .. } => assert_eq!(again, bytes),
            Span::Changes { .. } => assert_eq!(again.len(), bytes.len()),
        }
    }
    if let Ok(read) = lease::Answer::open(&seal(data, &NONCE.to_le_bytes()), NONCE, &TOKEN) {
        let again = read.seal(NONCE, &TOKEN).expect("JSON");
        assert_eq!(lease::Answer::open(&again, NONCE, &TOKEN), Ok(read));
    }
}

fn seal(content: &[u8], more: &[u8]) -> Vec<u8> {
    let seal = KEY.clone().chain_update(content).chain_update(more).finalize().into_bytes();
    [content, &seal].concat()
}

fn written(page: &Page<'_>) -> Vec<u8> {
    let mut writer = PageWriter::new();
    for entry in &page.entries {
        writer.push(*entry).expect("it had room before");
    }
    writer.seal(page.service, page.nonce, page.span, &TOKEN)
}

/// Contents of genuine answers.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let (mut team, mut session) = (Vec::new(), Vec::new());
    let (state, hosts) = (TenantState::Active, Hosts::Shared);
    TeamRecord { id: "acme", state, quota: None, enterprise: Some("e"), hosts }.encode(&mut team);
    RevokedSessionRecord { id: "s", expires: 7 }.encode(&mut session);
    let at = |table, name: &[u8]| Cursor { table, digest: Digest::of(name) };
    let (first, second) = (at(Table::Teams, b"acme"), at(Table::RevokedSessions, b"s"));
    let entries = vec![
        Entry { cursor: first, record: Some(team.as_slice()) },
        Entry { cursor: second, record: Some(session.as_slice()) },
    ];
    let gone = vec![Entry { cursor: second, record: None }, Entry { cursor: first, record: Some(team.as_slice()) }];
    let page = |span, entries| Page { service: ServiceId([1; 16]), nonce: NONCE, span, entries };
    let pages = [
        page(Span::Snapshot { after: None, revision: 7, rest: Rest::Done }, entries.clone()),
        page(Span::Snapshot { after: Some(at(Table::Keys, &[])), revision: 7, rest: Rest::More }, Vec::new()),
        page(Span::Changes { after: 7, to: 9, rest: Rest::Done }, gone),
        page(Span::Changes { after: 7, to: 7, rest: Rest::Done }, Vec::new()),
    ];
    let lent = |account| Lent { account, seq: 1, granted: 9, void: 0, left: 7, wait_ms: u64::MAX, held: 0 };
    let lent = vec![lent(Account::Team("acme".to_owned())), lent(Account::Enterprise("e".to_owned()))];
    let leases = lease::Answer { nodes: 3, term_ms: 5000, only_settles: false, lent }.seal(NONCE, &TOKEN);
    let sealed = pages.iter().map(written).chain(leases);
    sealed.map(|bytes| bytes[..bytes.len() - SEAL].to_vec()).collect()
}
