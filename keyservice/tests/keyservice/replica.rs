//! A node as it stands in the contract: takes a snapshot, follows the changes, and has the table.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use tollkeeper_contract::{
    Digest, KeyRecord, TeamRecord,
    page::{self, Cursor, Page, Rest, ServiceId, Span, Table},
};

use crate::harness::{Service, node_token};

/// The table as a node has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Replica {
    pub(crate) records: BTreeMap<Cursor, Vec<u8>>,
    pub(crate) revision: u64,
    service: Option<ServiceId>,
    nonce: u64,
}

impl Replica {
    /// Pages through a snapshot.
    pub(crate) async fn snapshot(service: &Service) -> (Self, usize) {
        let mut replica = Self::default();
        let mut place = None::<Cursor>;
        let mut first_revision = None;
        for pages in 1.. {
            replica.nonce += 1;
            let after = place.map_or(String::new(), |cursor| format!("&after={}", cursor.to_hex()));
            let path = format!("/node/v1/snapshot?nonce={}{after}", replica.nonce);
            let bytes = fetch(service, &path).await.unwrap();
            let page = page::open(&bytes, &node_token()).unwrap();
            let Span::Snapshot { after, revision, rest } = page.span else { panic!("no snapshot: {:?}", page.span) };
            assert_eq!(after, place);
            // What changed since the first page has to be asked for again.
            replica.revision = *first_revision.get_or_insert(revision);
            place = page.entries.last().map(|entry| entry.cursor).or(place);
            replica.apply(&page);
            if rest == Rest::Done {
                return (replica, pages);
            }
        }
        panic!("a snapshot without end")
    }

    /// Asks for changes once, waiting up to `wait` seconds; says whether there is more already.
    pub(crate) async fn follow(&mut self, service: &Service, wait: u64) -> Result<Rest, StatusCode> {
        self.nonce += 1;
        let path = format!("/node/v1/changes?after={}&wait={wait}&nonce={}", self.revision, self.nonce);
        let bytes = fetch(service, &path).await?;
        let page = page::open(&bytes, &node_token()).unwrap();
        let Span::Changes { after, to, rest } = page.span else { panic!("no changes: {:?}", page.span) };
        assert_eq!(after, self.revision);
        self.apply(&page);
        self.revision = to;
        Ok(rest)
    }

    /// Follows until there is nothing more to follow.
    pub(crate) async fn catch_up(&mut self, service: &Service) {
        loop {
            let before = self.revision;
            if self.follow(service, 0).await.unwrap() == Rest::Done && self.revision == before {
                return;
            }
        }
    }

    fn apply(&mut self, page: &Page<'_>) {
        assert_eq!(page.nonce, self.nonce, "an answer to another question");
        assert_eq!(*self.service.get_or_insert(page.service), page.service, "another database");
        for entry in &page.entries {
            match entry.record {
                Some(record) => self.records.insert(entry.cursor, record.to_vec()),
                None => self.records.remove(&entry.cursor),
            };
        }
    }

    /// What the node knows of a key in clear text.
    pub(crate) fn key(&self, text: &str) -> Option<KeyRecord<'_>> {
        let cursor = Cursor { table: Table::Keys, digest: Digest::of(text.as_bytes()) };
        self.records.get(&cursor).map(|bytes| KeyRecord::decode(bytes).unwrap())
    }

    pub(crate) fn team(&self, id: &str) -> Option<TeamRecord<'_>> {
        let cursor = Cursor { table: Table::Teams, digest: Digest::of(id.as_bytes()) };
        self.records.get(&cursor).map(|bytes| TeamRecord::decode(bytes).unwrap())
    }
}

pub(crate) async fn fetch(service: &Service, path: &str) -> Result<Vec<u8>, StatusCode> {
    let answer = service.node(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.headers()["x-tollkeeper-service"], "keyservice");
    if !answer.status().is_success() {
        return Err(answer.status());
    }
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let bytes = answer.bytes().await.unwrap().to_vec();
    assert!(bytes.len() <= page::MAX_LENGTH);
    Ok(bytes)
}
