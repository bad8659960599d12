//! What becomes of a request.

mod hosts;
mod sessions;

use std::cell::RefCell;

use super::{Gate, Judgement};
use crate::{
    config::{Config, Style, Styles},
    familiar::Familiar,
    lease::Patience,
    purse::Scope,
    refusal::{Denial, Fault},
    request::{Field, Request},
    shared::memory::Memory,
    table::{KeyTable, Names, Recent},
    time::{Monotonic, Now},
    token::{Cache, NoSignatures, Verifier},
    verdict::Verdict,
    wanted::Wanted,
};
use tollkeeper_contract::{
    Digest, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState,
    page::{Cursor, Entry, NodeToken, Table},
};

const CONFIG: &str = r#"{
    "key_service": {"cluster": "keyservice"},
    "quota": {"limit": 3, "window_seconds": 300},
    "unmatched": "refuse",
    "routes": [
        {"path": "/open/...", "access": "public"},
        {"path": "/session", "styles": ["bearer"]},
        {"path": "/session/{team}", "styles": ["bearer"]},
        {"path": "/api/{team}/free", "cost": 0},
        {"path": "/api/{team}/dear", "cost": 2},
        {"path": "/api/{team}/too-dear", "cost": 4},
        {"path": "/api/{team}/soft/...", "shadow": "quota"},
        {"path": "/api/{team}/open/...", "shadow": "everything"},
        {"path": "/api/{team}/...", "styles": ["token", "x-api-key"]}
    ]
}"#;

struct Door {
    config: Config,
    names: Names,
    shared: Memory,
    usable: Result<(), Fault>,
    secret: NodeToken,
    verified: RefCell<Cache>,
    recent: RefCell<Recent>,
    familiar: Familiar,
}

impl Door {
    fn new() -> Self {
        let config = Config::parse(CONFIG.as_bytes()).unwrap();
        let names = Names::new(config.instance.as_str());
        let secret = NodeToken::parse("0123456789abcdef").unwrap();
        let (shared, verified, recent) = (Memory::default(), RefCell::default(), RefCell::default());
        let familiar = Familiar::new(Some([7; 16]));
        let door = Self { config, names, shared, usable: Ok(()), secret, verified, recent, familiar };
        let mut team = Vec::new();
        TeamRecord { id: "acme", state: TenantState::Active, quota: None, enterprise: None, hosts: Hosts::Shared }
            .encode(&mut team);
        let mut key = Vec::new();
        let (kind, state) = (Kind::Application, KeyState::Active);
        KeyRecord {
            kind,
            state,
            not_before: None,
            expires: None,
            id: "k",
            owner: Owner::Team("acme"),
            subject: "",
            scopes: "read",
            origin: None,
        }
        .encode(&mut key);
        door.publish(Table::Teams, "acme", Some(&team));
        door.publish(Table::Keys, "good", Some(&key));
        door
    }

    /// What the steward does when it hears of something, or of its end.
    fn publish(&self, table: Table, name: &str, record: Option<&[u8]>) {
        let cursor = Cursor { table, digest: Digest::of(name.as_bytes()) };
        self.table().apply(&[Entry { cursor, record }]).unwrap();
    }

    fn get(&self, target: &str, key: &str) -> Verdict {
        let authorization = format!("Token {key}");
        let authorization = Field::Once(authorization.as_bytes());
        self.judge(&Request { method: b"GET", target: target.as_bytes(), authorization, ..Request::default() })
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let now = Now { unix: 1000, monotonic: Monotonic(1000) };
        let Self { config, usable, secret, verified, recent, familiar, .. } = self;
        let tokens = Verifier { settings: &config.tokens, secret, host: &NoSignatures, cache: verified };
        let (scope, wanted) = (Scope::Process, &Wanted::default());
        let gate = Gate { config, table: self.table(), recent, familiar, usable: *usable, now, tokens, scope, wanted };
        match gate.judge(request, Patience::New) {
            Judgement::Decided(verdict) => verdict,
            Judgement::Waits(account) => panic!("waits for {account:?}"),
        }
    }

    fn table(&self) -> KeyTable<'_, Memory> {
        let Self { config, names, shared, .. } = self;
        KeyTable { shared, names, limits: config.quotas.limit.into(), now: Monotonic(1000) }
    }
}

#[test]
fn a_key_that_was_presented_before_is_refused_as_soon_as_it_is_gone() {
    let door = Door::new();
    for _ in 0..2 {
        assert!(matches!(door.get("/api/acme/x", "good"), Verdict::Granted(_)));
    }
    door.publish(Table::Keys, "good", None);
    let Verdict::Refused(refused) = door.get("/api/acme/x", "good") else { panic!() };
    assert_eq!(refused.refusal, Denial::UnknownKey.into());
}

#[test]
fn only_keys_that_are_there_are_known_again() {
    let door = Door::new();
    let is_familiar = |key: &str| {
        let authorization = format!("Bearer {key}");
        let authorization = Field::Once(authorization.as_bytes());
        let request = Request { method: b"GET", target: b"/session", authorization, ..Request::default() };
        door.judge(&request);
        let fingerprint = door.familiar.fingerprint(&request, Styles::only(Style::Bearer)).unwrap();
        door.familiar.recognise(fingerprint, &request).is_some()
    };
    assert!(is_familiar("good") && !is_familiar("strange"));
}

#[test]
fn a_key_that_was_unknown_again_and_again_is_good_as_soon_as_it_is_there() {
    let door = Door::new();
    for _ in 0..3 {
        let Verdict::Refused(refused) = door.get("/api/acme/x", "strange") else { panic!() };
        assert_eq!(refused.refusal, Denial::UnknownKey.into());
    }
    let good = door.table().find_key(&Digest::of(b"good")).unwrap();
    door.publish(Table::Keys, "strange", good.as_deref());
    assert!(matches!(door.get("/api/acme/x", "strange"), Verdict::Granted(_)));
}

#[test]
fn a_good_key_is_granted_and_its_header_withheld_from_the_upstream() {
    let Verdict::Granted(grant) = Door::new().get("/api/acme/x?y", "good") else { panic!() };
    assert_eq!((grant.principal.account.team(), grant.allowance.remaining), (Some("acme"), 2));
    assert_eq!(grant.withheld, ["authorization", "x-api-key"]);
}

#[test]
fn each_room_can_refuse() {
    let door = Door::new();
    for (target, key, denial) in [
        ("/api/acme/../x", "good", Denial::AmbiguousPath),
        ("/open/../api/acme/x", "good", Denial::AmbiguousPath),
        ("/elsewhere", "good", Denial::NoRoute),
        ("/api/acme/x", "bad", Denial::UnknownKey),
        ("/api/globex/x", "good", Denial::TeamMismatch),
    ] {
        assert_eq!(door.get(target, key).reason(), denial.word(), "{target} {key}");
    }
    let request = Request { method: b"POST", target: b"/api/acme/x", ..Request::default() };
    assert_eq!(door.judge(&request).reason(), Denial::MissingCredential.word());
    let request = Request { api_key: Field::Once(b"good"), ..request };
    assert_eq!(door.judge(&request).reason(), Denial::MissingScope.word());
}

#[test]
fn a_method_that_is_not_in_upper_case_is_refused_before_its_route_is_sought() {
    let door = Door::new();
    let api_key = Field::Once(b"good");
    for target in [b"/api/acme/x".as_slice(), b"/open/x", b"/elsewhere"] {
        for method in [b"get".as_slice(), b"Get", b"", b"GET ", b"G\xcbT", b"GET\0", b"G!"] {
            let request = Request { method, target, api_key, ..Request::default() };
            assert_eq!(door.judge(&request).reason(), Denial::AmbiguousMethod.word(), "{method:?}");
        }
    }
    for method in [b"GET".as_slice(), b"M-SEARCH", b"X_2"] {
        let request = Request { method, target: b"/open/x", ..Request::default() };
        assert_eq!(door.judge(&request), Verdict::Public, "{method:?}");
    }
}

#[test]
fn what_is_refused_costs_nothing() {
    let door = Door::new();
    for _ in 0..10 {
        assert_eq!(door.get("/api/globex/x", "good").word(), "denied");
    }
    assert_eq!((0..10).filter(|_| door.get("/api/acme/x", "good").word() == "granted").count(), 3);
    let Verdict::Refused(refused) = door.get("/api/acme/x", "good") else { panic!() };
    assert_eq!(refused.refusal, Denial::QuotaExhausted.into());
    assert_eq!(refused.allowance.unwrap().until_next, 100);
}

#[test]
fn a_request_takes_as_many_tokens_as_its_route_costs() {
    let door = Door::new();
    let left = |target| match door.get(target, "good") {
        Verdict::Granted(grant) => Ok(grant.allowance.remaining),
        other @ (Verdict::Public | Verdict::Shadowed(_) | Verdict::Refused(_)) => Err(other.reason()),
    };
    assert_eq!(left("/api/acme/free"), Ok(3));
    assert_eq!(left("/api/acme/dear"), Ok(1));
    assert_eq!(left("/api/acme/dear"), Err("quota_exhausted"));
    assert_eq!(left("/api/acme/x"), Ok(0));
    assert_eq!(left("/api/acme/free"), Ok(0), "what costs nothing is served from an empty bucket, too");
}

#[test]
fn what_costs_more_than_the_whole_quota_is_refused_for_good_and_takes_nothing() {
    let door = Door::new();
    let Verdict::Refused(refused) = door.get("/api/acme/too-dear", "good") else { panic!() };
    assert_eq!(refused.refusal, Denial::CostAboveQuota.into());
    assert_eq!(refused.allowance.unwrap().remaining, 3);
}

#[test]
fn a_route_that_only_tells_of_the_quota_serves_good_credentials_and_no_others() {
    let door = Door::new();
    assert_eq!((0..3).filter(|_| door.get("/api/acme/soft/x", "good").word() == "granted").count(), 3);
    let Verdict::Shadowed(shadowed) = door.get("/api/acme/soft/x", "good") else { panic!() };
    assert_eq!(shadowed.refused.refusal, Denial::QuotaExhausted.into());
    assert_eq!(shadowed.refused.allowance.unwrap().remaining, 0);
    assert_eq!(shadowed.proven().and_then(|principal| principal.account.team()), Some("acme"));
    assert_eq!(shadowed.withheld, ["authorization", "x-api-key"]);
    for (target, key, reason) in
        [("/api/acme/soft/x", "bad", "unknown_key"), ("/api/globex/soft/x", "good", "team_mismatch")]
    {
        let verdict = door.get(target, key);
        assert_eq!((verdict.word(), verdict.reason()), ("denied", reason), "{target} {key}");
    }
}

#[test]
fn a_route_that_only_tells_of_everything_refuses_nothing_and_proves_nobody() {
    let door = Door::new();
    for (target, key, reason) in
        [("/api/acme/open/x", "bad", "unknown_key"), ("/api/globex/open/x", "good", "team_mismatch")]
    {
        let Verdict::Shadowed(shadowed) = door.get(target, key) else { panic!("{target} {key}") };
        assert_eq!((shadowed.refused.refusal.word(), shadowed.proven()), (reason, None));
        assert_eq!(shadowed.withheld, ["authorization", "x-api-key"], "{target} {key}");
    }
    let stale = Door { usable: Err(Fault::TableStale), ..door };
    let verdict = stale.get("/api/acme/open/x", "good");
    assert_eq!((verdict.word(), verdict.reason()), ("shadow", "table_stale"));
}

#[test]
fn before_the_keys_have_arrived_only_public_routes_are_served() {
    let door = Door { usable: Err(Fault::NotSynced), ..Door::new() };
    assert_eq!(door.get("/open/x", "bad"), Verdict::Public);
    for key in ["good", "bad", ""] {
        assert_eq!(door.get("/api/acme/x", key).word(), "fault");
    }
}
