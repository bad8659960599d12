//! What the key service sends to nodes: any other byte is noticed, and records have one spelling.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use tollkeeper_contract::{
    Digest, EnterpriseRecord, HostRecord, Hosts, KeyRecord, KeyState, Kind, Owner, RevokedSessionRecord, TeamRecord,
    TenantState, TokenKeyRecord, UserRecord,
    lease::{self, Account, Lent},
    page::{self, Cursor, Entry, NodeToken, PageWriter, Rest, ServiceId, Span, Table},
};

const NONCE: u64 = 7;

static TOKEN: LazyLock<NodeToken> = LazyLock::new(|| NodeToken::parse("a-token-for-nodes").expect("a token"));

static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut page = PageWriter::new();
    let cursor = Cursor { table: Table::Keys, digest: Digest::of(b"a key") };
    page.push(Entry { cursor, record: Some(&key()) }).expect("room");
    let span = Span::Snapshot { after: None, revision: 7, rest: Rest::Done };
    page.seal(ServiceId([1; 16]), NONCE, span, &TOKEN)
});

static LEASES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let account = Account::Team("acme".to_owned());
    let lent = vec![Lent { account, seq: 1, granted: 9, void: 0, left: 7, wait_ms: 0, held: 0 }];
    lease::Answer { nodes: 3, term_ms: 5000, only_settles: false, lent }.seal(NONCE, &TOKEN).expect("JSON")
});

/// The input as an answer, as changes of genuine answers, and as a record of each table.
pub fn look(data: &[u8]) {
    for genuine in [&*SNAPSHOT, &*LEASES] {
        let changed = changed(genuine, data).unwrap_or_else(|_| data.to_vec());
        for bytes in [data, &changed] {
            let is_opened = page::open(bytes, &TOKEN).is_ok() || lease::Answer::open(bytes, NONCE, &TOKEN).is_ok();
            assert_eq!(is_opened, bytes == *SNAPSHOT || bytes == *LEASES);
        }
    }
    records_have_one_spelling(data);
}

/// A few bytes replaced, or the end cut off.
fn changed(genuine: &[u8], data: &[u8]) -> arbitrary::Result<Vec<u8>> {
    let (mut bytes, mut input) = (genuine.to_vec(), Unstructured::new(data));
    for _ in 0..input.int_in_range(0..=3)? {
        let at = input.int_in_range(0..=bytes.len() - 1)?;
        bytes[at] = input.arbitrary()?;
    }
    let cut = input.int_in_range(0..=bytes.len())?;
    if input.ratio(1, 2)? {
        bytes.truncate(cut);
    }
    Ok(bytes)
}

fn records_have_one_spelling(data: &[u8]) {
    macro_rules! each {
        ($($record:ident),*) => {
            $(if let Ok(record) = $record::decode(data) {
                let mut again = Vec::new();
                record.encode(&mut again);
                assert_eq!(again, data, "{}", stringify!($record));
            })*
        };
    }
    each!(KeyRecord, TeamRecord, EnterpriseRecord, UserRecord, HostRecord, TokenKeyRecord, RevokedSessionRecord);
}

fn key() -> Vec<u8> {
    let mut bytes = Vec::new();
    let (kind, state, owner) = (Kind::Application, KeyState::Active, Owner::Team("acme"));
    let origin = Some("a.example");
    let record = KeyRecord {
        kind,
        state,
        not_before: Some(1),
        expires: Some(2),
        id: "k",
        owner,
        subject: "s",
        scopes: "read write",
        origin,
    };
    record.encode(&mut bytes);
    bytes
}

/// Genuine answers, and records.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let mut team = Vec::new();
    let (state, quota, hosts) = (TenantState::Active, None, Hosts::Shared);
    TeamRecord { id: "acme", state, quota, enterprise: Some("e"), hosts }.encode(&mut team);
    let mut session = Vec::new();
    RevokedSessionRecord { id: "s", expires: 7 }.encode(&mut session);
    vec![SNAPSHOT.clone(), LEASES.clone(), key(), team, session, (0..64).collect()]
}
