//! Nonsense behind a good seal, such as only somebody could send who has the node token: what reads the answer refuses it.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tollkeeper_contract::page::{self, Cursor, Entry, NodeToken, Page, PageWriter, Rest, ServiceId, Span, Table};

use super::turns::{Bad, Good, Next, Turns, no_bad_answer_is_believed};

/// What is sealed instead of the content that was good.
type Spoilt = fn(&[u8]) -> Vec<u8>;

const ANY: [(&str, Spoilt); 9] = [
    ("a page of HTML", |_| b"<html><body>Welcome to nginx!</body></html>".to_vec()),
    ("nothing", |_| Vec::new()),
    ("an empty list", |_| b"[]".to_vec()),
    ("deeply nested lists", |_| b"[".repeat(200_000)),
    ("more than a page may have", |_| vec![0; page::MAX_LENGTH + 1]),
    ("half of it", |good| good[..good.len() / 2].to_vec()),
    ("all but the last byte", |good| good[..good.len() - 1].to_vec()),
    ("a byte more", |good| [good, b"\0"].concat()),
    ("of another version", |good| [b"TKX9", &good[4..]].concat()),
];

/// The same page with something wrong in it.
type Wrong = fn(&Page<'_>) -> Written;

/// What is to be written as a page.
struct Written {
    service: ServiceId,
    nonce: u64,
    span: Span,
    entries: Vec<(Cursor, Option<Vec<u8>>)>,
}

const PAGES: [(&str, Wrong); 5] = [
    ("of another key service", |page| Written { service: ServiceId([7; 16]), ..written(page) }),
    ("to another question", |page| Written { nonce: page.nonce ^ 1, ..written(page) }),
    ("an entry twice", |page| {
        let mut entries = written(page).entries;
        entries.extend_from_within(..1);
        Written { entries, ..written(page) }
    }),
    ("an entry that is of another type", |page| {
        // Nobody can tell of what type something was that is gone.
        let mut entries = written(page).entries;
        let (cursor, _) = entries.iter_mut().find(|(_, record)| record.is_some()).unwrap();
        cursor.table = if cursor.table == Table::Hosts { Table::Users } else { Table::Hosts };
        Written { entries, ..written(page) }
    }),
    ("of the other kind", |page| {
        let span = match page.span {
            Span::Changes { to, rest, .. } => Span::Snapshot { after: None, revision: to, rest },
            Span::Snapshot { revision, rest, .. } => Span::Changes { after: revision, to: revision, rest },
        };
        Written { span, ..written(page) }
    }),
];

const CHANGES: [(&str, Wrong); 2] = [
    ("of an old revision", |page| {
        let Span::Changes { after, rest, .. } = page.span else { panic!("{page:?}") };
        Written { span: Span::Changes { after: after - 1, to: after, rest }, ..written(page) }
    }),
    ("that goes back", |page| {
        let Span::Changes { after, rest, .. } = page.span else { panic!("{page:?}") };
        Written { span: Span::Changes { after, to: after - 1, rest }, ..written(page) }
    }),
];

const SNAPSHOTS: [(&str, Wrong); 5] = [
    ("of an old revision", |page| Written { span: snapshot(None, 1, Rest::Done), ..written(page) }),
    ("behind another place", |page| {
        let span = snapshot(Some(page.entries[0].cursor), page_revision(page), Rest::Done);
        Written { span, entries: written(page).entries.split_off(1), ..written(page) }
    }),
    ("in another order", |page| Written {
        entries: written(page).entries.into_iter().rev().collect(),
        ..written(page)
    }),
    ("of what is gone", |page| {
        let entries = written(page).entries.into_iter().map(|(cursor, _)| (cursor, None));
        Written { entries: entries.collect(), ..written(page) }
    }),
    ("of nothing, and more to come", |page| Written {
        span: snapshot(None, page_revision(page), Rest::More),
        entries: Vec::new(),
        ..written(page)
    }),
];

/// Leases as JSON, with something wrong in them.
type WrongLeases = fn(Value) -> String;

const LEASES: [(&str, WrongLeases); 9] = [
    ("a name twice", |lent| lent.to_string().replacen('{', r#"{"nodes":1,"#, 1)),
    ("a number as text", |lent| with(lent, "/nodes", json!("1"))),
    ("less than nothing", |lent| with(lent, "/nodes", json!(-1))),
    ("a fraction", |lent| with(lent, "/lent/0/granted", json!(0.5))),
    ("more than a number holds", |lent| with(lent, "/nodes", json!(u64::MAX))),
    ("nothing in a place", |lent| with(lent, "/term_ms", Value::Null)),
    ("a number for a truth", |lent| with(lent, "/only_settles", json!(0))),
    ("an object for a list", |lent| with(lent, "/lent", json!({}))),
    ("an account of no kind", |lent| with(lent, "/lent/0/account", json!("acme"))),
];

fn with(mut answer: Value, place: &str, value: Value) -> String {
    *answer.pointer_mut(place).unwrap() = value;
    answer.to_string()
}

fn written(page: &Page<'_>) -> Written {
    let entries = page.entries.iter().map(|entry| (entry.cursor, entry.record.map(<[u8]>::to_vec)));
    Written { service: page.service, nonce: page.nonce, span: page.span, entries: entries.collect() }
}

fn snapshot(after: Option<Cursor>, revision: u64, rest: Rest) -> Span {
    Span::Snapshot { after, revision, rest }
}

fn page_revision(page: &Page<'_>) -> u64 {
    match page.span {
        Span::Snapshot { revision, .. } => revision,
        Span::Changes { to, .. } => to,
    }
}

/// Who has the node token.
#[derive(Clone)]
struct Sealer {
    token: NodeToken,
    key: Hmac<Sha256>,
}

impl Sealer {
    fn of(token: &str) -> Self {
        let hmac = |key: &[u8]| Hmac::<Sha256>::new_from_slice(key).unwrap();
        let key = hmac(token.as_bytes()).chain_update(b"tollkeeper page seal v1").finalize().into_bytes();
        Self { token: NodeToken::parse(token).unwrap(), key: hmac(&key) }
    }

    /// What is sealed goes on with `more`, which does not travel.
    fn seal(&self, mut content: Vec<u8>, more: &[u8]) -> Vec<u8> {
        let seal = self.key.clone().chain_update(&content).chain_update(more).finalize().into_bytes();
        content.extend_from_slice(&seal);
        content
    }

    fn page(&self, page: &Written) -> Vec<u8> {
        let mut writer = PageWriter::new();
        for (cursor, record) in &page.entries {
            writer.push(Entry { cursor: *cursor, record: record.as_deref() }).unwrap();
        }
        writer.seal(page.service, page.nonce, page.span, &self.token)
    }

    /// Bad pages, of which some are only bad in answer to one kind of question.
    fn pages(self, of_kind: &'static [(&'static str, Wrong)]) -> Bad {
        Box::new(move |number, good| {
            let content = unsealed(good);
            // Else nothing would show that what is refused is refused for what is wrong with it.
            assert_eq!(self.seal(content.to_vec(), &[]), good.body);
            if let Some((_, any)) = ANY.get(number) {
                return Next::Bad(self.seal(any(content), &[]));
            }
            let Some((_, wrong)) = PAGES.iter().chain(of_kind).nth(number - ANY.len()) else { return Next::Over };
            let page = page::open(good.body, &self.token).unwrap();
            if page.entries.iter().all(|entry| entry.record.is_none()) {
                return Next::Good;
            }
            Next::Bad(self.page(&wrong(&page)))
        })
    }

    fn leases(self) -> Bad {
        Box::new(move |number, good| {
            let (content, nonce) = (unsealed(good), good.nonce.to_le_bytes());
            assert_eq!(self.seal(content.to_vec(), &nonce), good.body);
            if let Some((_, any)) = ANY.get(number) {
                return Next::Bad(self.seal(any(content), &nonce));
            }
            let Some((_, wrong)) = LEASES.get(number - ANY.len()) else { return Next::Over };
            let (magic, json) = content.split_at(4);
            let wrong = wrong(serde_json::from_slice(json).unwrap());
            Next::Bad(self.seal([magic, wrong.as_bytes()].concat(), &nonce))
        })
    }
}

fn unsealed<'a>(good: &Good<'a>) -> &'a [u8] {
    &good.body[..good.body.len() - 32]
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_behind_a_good_seal_is_not_taken_and_is_asked_for_again() {
    no_bad_answer_is_believed("seals_nonsense", |token| {
        let sealer = Sealer::of(token);
        let (changes, snapshots) = (sealer.clone().pages(&CHANGES), sealer.clone().pages(&SNAPSHOTS));
        Turns::of(sealer.token.clone(), changes, snapshots, sealer.leases())
    })
    .await;
}
