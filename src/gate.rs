//! The corridor: calls the rooms in order, and ends in a verdict.

use tollkeeper_contract::{EnterpriseRecord, HostName, HostRecord, KeyRecord, TenantState, UserRecord, page::Table};

use crate::{
    config::{Access, Config, Forwarding, Protection},
    credential::{self, Credential, Presented},
    path::Path,
    policy::{self, Terms},
    principal::Principal,
    refusal::{Denial, Fault, Refusal},
    request::Request,
    shared::SharedData,
    table::{Charge, KeyTable},
    time::Now,
    verdict::{Allowance, Grant, Refused, Verdict},
};

/// What every request costs.
const COST: u32 = 1;

/// What judges requests: the configuration, and the table as it is at this moment.
#[derive(Debug)]
pub struct Gate<'a, Shared> {
    /// What the operator wrote.
    pub config: &'a Config,
    /// Keys and teams.
    pub table: KeyTable<'a, Shared>,
    /// Whether the table may be used.
    pub usable: Result<(), Fault>,
    /// The date.
    pub now: Now,
}

impl<Shared: SharedData> Gate<'_, Shared> {
    /// Judges one request.
    #[must_use]
    pub fn judge(&self, request: &Request<'_>) -> Verdict {
        match self.route(request) {
            Ok(verdict) => verdict,
            Err(refused) => Verdict::Refused(refused),
        }
    }

    fn route(&self, request: &Request<'_>) -> Result<Verdict, Refused> {
        if !has_one_case(request.method) {
            return Err(Denial::AmbiguousMethod.into());
        }
        let path = Path::parse(request.target).map_err(|_| Denial::AmbiguousPath)?;
        let matched = self.config.routes.find(request.method, path.as_bytes()).ok_or(Denial::NoRoute)?;
        match matched.access {
            Access::Public => Ok(Verdict::Public),
            Access::Protected(protection) => {
                let granted = self.admit(request, protection, matched.team);
                let refused = |refused| Refused { styles: Some(protection.styles), ..refused };
                granted.map(Verdict::Granted).map_err(refused)
            }
        }
    }

    fn admit(&self, request: &Request<'_>, protection: &Protection, team: Option<&[u8]>) -> Result<Grant, Refused> {
        self.usable?;
        let presented = credential::find(request, protection.styles)?;
        let (mut principal, live) = self.identify(&presented)?;
        let scopes = protection.scopes.for_method(request.method);
        let demand = policy::Demand { team, delegate: request.delegate, origin: request.origin, scopes };
        let decided = live.and_then(|()| Ok(policy::check(&principal, demand)?)).map_err(Refused::from);
        let charged = decided.and_then(|account| {
            principal.account = account;
            self.charge(&principal, request)
        });
        match charged {
            Ok(allowance) => Ok(Grant { principal, allowance, withheld: withheld(protection) }),
            Err(refused) => Err(Refused { principal: Some(Box::new(principal)), ..refused }),
        }
    }

    /// Who the credential proves to be, and whether it works at this moment.
    fn identify(&self, presented: &Presented<'_>) -> Result<(Principal, Result<(), Refusal>), Refusal> {
        match presented.credential {
            Credential::Key(digest) => {
                let record = self.table.find_key(&digest)?.ok_or(Denial::UnknownKey)?;
                let key = KeyRecord::decode(&record)?;
                let mut principal = Principal::of_key(presented.style, &key);
                let live = policy::is_live(&key, self.now.unix).map_err(Refusal::from);
                let live = live.and_then(|()| self.bound(&mut principal));
                Ok((principal, live))
            }
            Credential::Token(_) => Err(Denial::UnknownToken.into()),
        }
    }

    /// Binds the principal to those it depends on: a personal credential to its user, an enterprise's to the enterprise.
    fn bound(&self, principal: &mut Principal) -> Result<(), Refusal> {
        if principal.is_bounded_by_user() {
            let record = self.table.find_named(Table::Users, &principal.subject)?.ok_or(Denial::UserUnknown)?;
            let user = UserRecord::decode(&record)?;
            if user.state == TenantState::Disabled {
                return Err(Denial::UserDisabled.into());
            }
            principal.narrow(user.permissions);
        }
        if let Some(enterprise) = principal.enterprise() {
            let record = self.table.find_named(Table::Enterprises, enterprise)?.ok_or(Denial::EnterpriseDisabled)?;
            if EnterpriseRecord::decode(&record)?.state == TenantState::Disabled {
                return Err(Denial::EnterpriseDisabled.into());
            }
        }
        Ok(())
    }

    /// Only after everything else has passed, so that a refused request costs nobody anything.
    fn charge(&self, principal: &Principal, request: &Request<'_>) -> Result<Allowance, Refused> {
        let account = &principal.account;
        let host = self.host_owner(request)?;
        let terms = Terms::new(principal, request.delegate, host.as_deref());
        match self.table.charge(account, &terms, COST)? {
            Charge::Taken { quota, bucket } => Ok(Allowance::of(account, quota, &bucket)),
            Charge::Exhausted { quota, bucket, wait } => {
                let allowance = Allowance { until_next: wait.div_ceil(1000), ..Allowance::of(account, quota, &bucket) };
                Err(Refused { allowance: Some(allowance), ..Denial::QuotaExhausted.into() })
            }
        }
    }

    /// The one team that is served on the request's host, if the host belongs to one.
    fn host_owner(&self, request: &Request<'_>) -> Result<Option<String>, Refusal> {
        let Some(host) = HostName::of_authority(request.authority) else { return Ok(None) };
        let record = self.table.find_named(Table::Hosts, host.as_str())?;
        Ok(record.map(|record| HostRecord::decode(&record).map(|host| host.team.to_owned())).transpose()?)
    }
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but some upstreams take `get` for GET, and the routes for GET
/// would not be for it.
fn has_one_case(method: &[u8]) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
    !method.is_empty() && method.iter().all(allowed)
}

fn withheld(protection: &Protection) -> Vec<&'static str> {
    match protection.forwarding {
        Forwarding::Forward => Vec::new(),
        Forwarding::Remove => credential::carriers(protection.styles).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::Gate;
    use crate::{
        config::Config,
        refusal::{Denial, Fault},
        request::{Field, Request},
        shared::memory::Memory,
        table::{KeyTable, Names},
        time::{Monotonic, Now},
        verdict::Verdict,
    };
    use tollkeeper_contract::{
        Digest, Hosts, KeyRecord, KeyState, Kind, Owner, TeamRecord, TenantState,
        page::{Cursor, Entry, Table},
    };

    const CONFIG: &str = r#"{
        "key_service": {"cluster": "keyservice"},
        "quota": {"limit": 3, "window_seconds": 300},
        "unmatched": "refuse",
        "routes": [
            {"path": "/open/...", "access": "public"},
            {"path": "/api/{team}/...", "styles": ["token", "x-api-key"]}
        ]
    }"#;

    struct Door {
        config: Config,
        names: Names,
        shared: Memory,
        usable: Result<(), Fault>,
    }

    impl Door {
        fn new() -> Self {
            let config = Config::parse(CONFIG.as_bytes()).unwrap();
            let names = Names::new(config.instance.as_str());
            let door = Self { config, names, shared: Memory::default(), usable: Ok(()) };
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
            let entry =
                |table, name: &[u8], record| Entry { cursor: Cursor { table, digest: Digest::of(name) }, record };
            let entries =
                [entry(Table::Teams, b"acme", Some(team.as_slice())), entry(Table::Keys, b"good", Some(&key))];
            door.table().apply(&entries).unwrap();
            door
        }

        fn get(&self, target: &str, key: &str) -> Verdict {
            let authorization = format!("Token {key}");
            let authorization = Field::Once(authorization.as_bytes());
            self.judge(&Request { method: b"GET", target: target.as_bytes(), authorization, ..Request::default() })
        }

        fn judge(&self, request: &Request<'_>) -> Verdict {
            let now = Now { unix: 1000, monotonic: Monotonic(1000) };
            Gate { config: &self.config, table: self.table(), usable: self.usable, now }.judge(request)
        }

        fn table(&self) -> KeyTable<'_, Memory> {
            let Self { config, names, shared, .. } = self;
            KeyTable { shared, names, default_quota: config.quota, now: Monotonic(1000) }
        }
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
    fn before_the_keys_have_arrived_only_public_routes_are_served() {
        let door = Door { usable: Err(Fault::NotSynced), ..Door::new() };
        assert_eq!(door.get("/open/x", "bad"), Verdict::Public);
        for key in ["good", "bad", ""] {
            assert_eq!(door.get("/api/acme/x", key).word(), "fault");
        }
    }
}
