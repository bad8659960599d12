//! A small key service in memory.

use std::collections::BTreeMap;

use tollkeeper_contract::{
    Digest, Factor, Hosts, KeyRecord, KeyState, Kind, LimitsRecord, Owner, Quota, TeamRecord, TenantState,
    page::{Cursor, Entry, NodeToken, PageWriter, Rest, ServiceId, Span, Table},
};

use crate::steward::Call;

/// A key service whose pages are short, so that few records make many pages.
pub(super) struct Service {
    pub(super) id: ServiceId,
    pub(super) revision: u64,
    /// Each record with the revision of its last change; `None` when it is gone.
    pub(super) rows: BTreeMap<Cursor, (u64, Option<Vec<u8>>)>,
    pub(super) history_from: u64,
    pub(super) page: usize,
}

impl Service {
    pub(super) fn new() -> Self {
        let mut service = Self { id: ServiceId([1; 16]), revision: 0, rows: BTreeMap::new(), history_from: 0, page: 3 };
        service.put_team(None);
        service
    }

    /// Makes or changes the team `acme`.
    pub(super) fn put_team(&mut self, quota: Option<Quota>) {
        let mut team = Vec::new();
        TeamRecord { id: "acme", state: TenantState::Active, quota, enterprise: None, hosts: Hosts::Shared }
            .encode(&mut team);
        self.write(Cursor { table: Table::Teams, digest: Digest::of(b"acme") }, Some(team));
    }

    pub(super) fn put_factor(&mut self, thousandths: u32) {
        let mut limits = Vec::new();
        LimitsRecord { factor: Factor::from_thousandths(thousandths).unwrap() }.encode(&mut limits);
        let digest = Digest::of(LimitsRecord::NAME.as_bytes());
        self.write(Cursor { table: Table::Limits, digest }, Some(limits));
    }

    pub(super) fn write(&mut self, cursor: Cursor, record: Option<Vec<u8>>) {
        self.revision += 1;
        self.rows.insert(cursor, (self.revision, record));
    }

    pub(super) fn put_key(&mut self, name: u8, id: &str) {
        let mut record = Vec::new();
        let (kind, state) = (Kind::Application, KeyState::Active);
        KeyRecord {
            kind,
            state,
            not_before: None,
            expires: None,
            id,
            owner: Owner::Team("acme"),
            subject: "",
            scopes: "",
            origin: None,
        }
        .encode(&mut record);
        self.write(key(name), Some(record));
    }

    pub(super) fn remove_key(&mut self, name: u8) {
        self.write(key(name), None);
    }

    pub(super) fn answer(&self, call: &Call) -> (u16, Vec<u8>) {
        let (path, query) = call.path.split_once('?').unwrap();
        let query: BTreeMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let nonce = query["nonce"].parse().unwrap();
        if path == "/node/v1/snapshot" {
            return (200, self.snapshot(query.get("after").map(|after| Cursor::from_hex(after).unwrap()), nonce));
        }
        let after: u64 = query["after"].parse().unwrap();
        match after {
            after if after > self.revision => (409, vec![]),
            after if after < self.history_from => (410, vec![]),
            after => (200, self.changes(after, nonce)),
        }
    }

    fn snapshot(&self, after: Option<Cursor>, nonce: u64) -> Vec<u8> {
        let present = |(cursor, (_, record)): (&Cursor, &(u64, Option<Vec<u8>>))| Some((*cursor, record.clone()?));
        let behind = self.rows.iter().filter(|(cursor, _)| after.is_none_or(|after| **cursor > after));
        let behind: Vec<_> = behind.filter_map(present).collect();
        let rest = if behind.len() > self.page { Rest::More } else { Rest::Done };
        let span = Span::Snapshot { after, revision: self.revision, rest };
        let page = behind.into_iter().take(self.page).map(|(cursor, record)| (cursor, Some(record)));
        self.seal(page.collect(), nonce, span)
    }

    fn changes(&self, after: u64, nonce: u64) -> Vec<u8> {
        let mut behind: Vec<_> = self.rows.iter().filter(|(_, (revision, _))| *revision > after).collect();
        behind.sort_by_key(|(_, (revision, _))| *revision);
        let more = behind.len() > self.page;
        behind.truncate(self.page);
        let to = if more { behind.last().unwrap().1.0 } else { self.revision };
        let span = Span::Changes { after, to, rest: if more { Rest::More } else { Rest::Done } };
        self.seal(behind.into_iter().map(|(cursor, (_, record))| (*cursor, record.clone())).collect(), nonce, span)
    }

    fn seal(&self, records: Vec<(Cursor, Option<Vec<u8>>)>, nonce: u64, span: Span) -> Vec<u8> {
        let mut writer = PageWriter::new();
        for (cursor, record) in &records {
            writer.push(Entry { cursor: *cursor, record: record.as_deref() }).unwrap();
        }
        writer.seal(self.id, nonce, span, &token())
    }
}

pub(super) fn token() -> NodeToken {
    NodeToken::parse("a-token-for-nodes").unwrap()
}

pub(super) fn key(name: u8) -> Cursor {
    Cursor { table: Table::Keys, digest: Digest::of(&[name]) }
}
