//! Every record that Envoy has in its shared data, held against what the key service would tell a node, and that against what
//! it tells operators: field by field, and in both directions.

use std::collections::{BTreeMap, BTreeSet};

use lab::edge::Edge;
use serde_json::{Value, json};
use tollkeeper::{
    config::Promise,
    limiter::Limit,
    table::{KeyTable, Names},
    time::Monotonic,
};
use tollkeeper_contract::{
    Digest, EnterpriseRecord, HostRecord, Hosts, KeyRecord, KeyState, LimitsRecord, Owner, Quota, RevokedSessionRecord,
    TeamRecord, TenantState, TokenKeyRecord, UserRecord,
    page::{self, Cursor, NodeToken, Rest, Span, Table},
    shard,
};

use super::LIMIT;
use crate::shared_data::{self, Told};

/// Records as they travel, by table and digest.
type Records = BTreeMap<Cursor, Vec<u8>>;

/// How many records there were on either side, and each that the other side has not, or has otherwise.
pub(super) struct Compared {
    pub(super) records: usize,
    /// How many of them were held against what operators are told, too.
    pub(super) told: usize,
    pub(super) differing: Vec<String>,
}

/// One record, with a name for each of its fields.
#[derive(Debug, PartialEq)]
enum Record<'a> {
    Team(TeamRecord<'a>),
    Key(KeyRecord<'a>),
    User(UserRecord<'a>),
    RevokedSession(RevokedSessionRecord<'a>),
    Host(HostRecord<'a>),
    Enterprise(EnterpriseRecord<'a>),
    TokenKey(TokenKeyRecord<'a>),
    Limits(LimitsRecord),
}

impl<'a> Record<'a> {
    fn decode(table: Table, bytes: &'a [u8]) -> Self {
        match table {
            Table::Teams => TeamRecord::decode(bytes).map(Self::Team),
            Table::Keys => KeyRecord::decode(bytes).map(Self::Key),
            Table::Users => UserRecord::decode(bytes).map(Self::User),
            Table::RevokedSessions => RevokedSessionRecord::decode(bytes).map(Self::RevokedSession),
            Table::Hosts => HostRecord::decode(bytes).map(Self::Host),
            Table::Enterprises => EnterpriseRecord::decode(bytes).map(Self::Enterprise),
            Table::TokenKeys => TokenKeyRecord::decode(bytes).map(Self::TokenKey),
            Table::Limits => LimitsRecord::decode(bytes).map(Self::Limits),
        }
        .unwrap()
    }
}

/// Compares all records when nobody makes changes any more. Afterwards the module in Envoy is another.
pub(super) async fn compared(edge: &mut Edge) -> Compared {
    let of_service = snapshot(edge).await;
    let of_envoy = in_envoy(&Told::read(&shared_data::of(edge, "").await).expect("shared data as it is told"));
    let mut compared = Compared::between(&of_envoy, &of_service);
    let views = views(edge).await;
    let told = of_service.iter().filter_map(|(place, record)| Record::decode(place.table, record).as_told()).collect();
    compared.hold_against_operators(&told, &views);
    compared
}

impl Compared {
    fn between(of_envoy: &Records, of_service: &Records) -> Self {
        let places = of_envoy.keys().chain(of_service.keys()).collect::<BTreeSet<_>>();
        let mut compared = Self { records: places.len(), told: 0, differing: Vec::new() };
        for place in places {
            compared.hold(place.table, of_envoy.get(place), of_service.get(place));
        }
        compared
    }

    fn hold(&mut self, table: Table, in_envoy: Option<&Vec<u8>>, in_service: Option<&Vec<u8>>) {
        let decode = |bytes| Record::decode(table, bytes);
        let [in_envoy, in_service] = [in_envoy, in_service].map(|bytes| bytes.map(|bytes| decode(bytes)));
        if in_envoy != in_service {
            self.differing.push(format!("Envoy has {in_envoy:?}, and the key service {in_service:?}"));
        }
    }

    fn hold_against_operators(&mut self, records: &Views, views: &Views) {
        let names = records.keys().chain(views.keys()).collect::<BTreeSet<_>>();
        for name in &names {
            if records.get(*name) != views.get(*name) {
                let (record, view) = (records.get(*name), views.get(*name));
                self.differing.push(format!("nodes are told {record:?} of {name:?}, and operators {view:?}"));
            }
        }
        self.told = names.len();
    }
}

/// What the key service would tell a node that knows nothing: every page of one and the same revision, which Envoy serves.
async fn snapshot(edge: &mut Edge) -> Records {
    let token = NodeToken::parse(edge.tokens().node.expose()).unwrap();
    let url = format!("{}/node/v1/snapshot?nonce=1", edge.key_service_process().launch().url());
    let http = lab::http::client().unwrap().build().unwrap();
    let edge = &*edge;
    edge.wait_until("a snapshot is of one revision, and Envoy serves it", LIMIT, async || {
        let (mut records, mut after, mut revisions) = (Records::new(), String::new(), BTreeSet::new());
        loop {
            let answer = http.get(format!("{url}{after}")).bearer_auth(token.shown()).send().await.ok()?;
            let page = answer.bytes().await.ok()?;
            let page = page::open(&page, &token).expect("a page for nodes");
            let Span::Snapshot { revision, rest, .. } = page.span else { panic!("not a page of a snapshot") };
            revisions.insert(revision);
            let there = page.entries.iter().filter_map(|entry| Some((entry.cursor, entry.record?.to_vec())));
            records.extend(there);
            if rest == Rest::Done {
                break;
            }
            after =
                format!("&after={}", records.last_key_value().expect("a page before the last is not empty").0.to_hex());
        }
        let latest = edge.key_service().get("/v1/fleet").await.ok()?["revision"].as_u64()?;
        let is_one = revisions.len() == 1 && revisions.contains(&latest);
        (is_one && edge.revision().await == Some(latest)).then_some(records)
    })
    .await
}

/// All records in shared data, those of keys unpacked by the filter's own reader.
fn in_envoy(told: &Told) -> Records {
    let names = Names::new("edge");
    let quota = Quota::new(1, 1).unwrap();
    let limits = Limit { quota, promise: Promise::Bucket }.into();
    let key_table = KeyTable { shared: told, names: &names, limits, now: Monotonic(0) };
    let mut records = Records::new();
    for table in Table::ALL {
        for index in 0..shard::COUNT {
            for (digest, record) in shard::records(told.value(&names.shard(table, index))).expect("a shard") {
                let found =
                    if table == Table::Keys { key_table.find_key(&digest).unwrap() } else { Some(record.to_vec()) };
                records.insert(Cursor { table, digest }, found.expect("what is in its shard is found"));
            }
        }
    }
    records
}

/// Keys and teams as operators are shown them, as far as nodes know of it, by sort and id.
type Views = BTreeMap<(&'static str, String), Value>;

impl Record<'_> {
    fn as_told(&self) -> Option<((&'static str, String), Value)> {
        match self {
            Self::Key(key) => {
                let (team, enterprise) = match key.owner {
                    Owner::Team(id) => (Some(id), None),
                    Owner::Enterprise(id) => (None, Some(id)),
                };
                let state = match key.state {
                    KeyState::Active => "active",
                    KeyState::Disabled => "disabled",
                    KeyState::Revoked => "revoked",
                };
                let told = json!({
                    "kind": key.kind.to_string(), "team": team, "enterprise": enterprise, "state": state,
                    "subject": Some(key.subject).filter(|subject| !subject.is_empty()), "origin": key.origin,
                    "scopes": key.scopes.split(' ').collect::<Vec<_>>(),
                    "not_before": key.not_before.is_some(), "expires": key.expires.is_some(),
                });
                Some((("keys", key.id.to_owned()), told))
            }
            Self::Team(team) => {
                let state = match team.state {
                    TenantState::Active => "active",
                    TenantState::Disabled => "disabled",
                };
                let quota = team.quota.map(|of| json!({ "limit": of.limit(), "window_seconds": of.window() }));
                let told = json!({
                    "state": state, "quota": quota, "enterprise": team.enterprise, "hosts": team.hosts == Hosts::Own,
                });
                Some((("teams", team.id.to_owned()), told))
            }
            Self::User(_)
            | Self::RevokedSession(_)
            | Self::Host(_)
            | Self::Enterprise(_)
            | Self::TokenKey(_)
            | Self::Limits(_) => None,
        }
    }
}

async fn views(edge: &Edge) -> Views {
    let mut views = Views::new();
    let keys = ["kind", "team", "enterprise", "state", "subject", "origin", "scopes", "not_before", "expires"];
    for (sort, members) in [("keys", keys.as_slice()), ("teams", &["state", "quota", "enterprise", "hosts"])] {
        let mut after = String::new();
        loop {
            let page = edge.key_service().get(&format!("/v1/{sort}?limit=1000{after}")).await.unwrap();
            for view in page[sort].as_array().unwrap() {
                let told = members.iter().map(|member| ((*member).to_owned(), as_in_record(member, &view[member])));
                views.insert((sort, view["id"].as_str().unwrap().to_owned()), Value::Object(told.collect()));
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
    }
    views
}

/// Dates as whether there are any, because records have them as numbers; hosts lie in records of their own.
fn as_in_record(member: &str, shown: &Value) -> Value {
    match member {
        "not_before" | "expires" => json!(!shown.is_null()),
        "hosts" => json!(shown.as_array().is_some_and(|hosts| !hosts.is_empty())),
        _ => shown.clone(),
    }
}

#[test]
fn a_record_that_one_side_lacks_or_has_otherwise_is_told() {
    let host = |team| {
        let mut record = Vec::new();
        HostRecord { host: "example.com", team }.encode(&mut record);
        record
    };
    let records = |teams: &[(u8, &'static str)]| -> Records {
        let place = |byte| Cursor { table: Table::Hosts, digest: Digest::from_bytes([byte; 32]) };
        teams.iter().map(|(byte, team)| (place(*byte), host(team))).collect()
    };
    let compared =
        Compared::between(&records(&[(1, "a"), (2, "b"), (3, "c")]), &records(&[(1, "a"), (2, "x"), (4, "d")]));
    assert_eq!((compared.records, compared.differing.len()), (4, 3), "{:?}", compared.differing);
}
