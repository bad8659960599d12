//! What all requests under one configuration share within a VM.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::hostcalls;
use tollkeeper_contract::{Factor, page::NodeToken};

use crate::{
    config::Config,
    familiar::Familiar,
    principal::Account,
    purse::Scope,
    refusal::Fault,
    shared::{Expected, SharedData, Swap},
    steward::{Generation, Holder, Lease, Settings, Steward},
    table::{Company, KeyTable, Limits, Meta, Names, Recent, read_factor},
    time::Monotonic,
    token::{self, Verifier},
    wanted::Wanted,
};

use super::{
    answers::Answers,
    host::{self, HostSharedData},
    metrics::Metrics,
    settlement::Settlement,
    signatures::HostSignatures,
    stream::Stream,
    waiting::Waiting,
};

/// How often a VM looks after its duties.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How often it looks after requests that wait, in milliseconds.
const SOON: u64 = 5;

/// What all requests under one configuration share within a VM.
pub(super) struct Door {
    pub(super) config: Config,
    pub(super) names: Names,
    pub(super) metrics: Metrics,
    pub(super) settlement: Settlement,
    /// For whom the steward is to be asked for tokens.
    pub(super) wanted: Wanted,
    pub(super) token: NodeToken,
    /// Here, and not for the whole VM, because another configuration may take other tokens.
    verified: RefCell<token::Cache>,
    /// What was read of the table lately.
    pub(super) recent: RefCell<Recent>,
    /// What was presented lately.
    pub(super) familiar: Familiar,
    /// What was answered lately.
    pub(super) answers: Answers,
    /// Tells this configuration from others.
    fingerprint: u64,
    /// The table's state as of the last tick: it is a matter of readiness and age, not of what is in the table.
    pub(super) meta: Cell<Option<Meta>>,
    /// What all limits are multiplied by, as of the same moment.
    factor: Cell<Factor>,
    pub(super) steward: RefCell<Option<Steward>>,
    calling: Cell<Calling>,
    waiting: Waiting,
    pace: Cell<Pace>,
    /// What is known of the fleet, as of the last tick.
    company: Cell<Option<Company>>,
    node_name: OnceCell<String>,
}

impl Door {
    pub(super) fn new(config: Config, fingerprint: u64, token: NodeToken) -> Self {
        Self {
            names: Names::new(config.instance.as_str()),
            metrics: Metrics::new(config.instance.as_str()),
            settlement: Settlement::default(),
            wanted: Wanted::default(),
            token,
            verified: RefCell::default(),
            recent: RefCell::default(),
            familiar: Familiar::new(host::random_bytes()),
            answers: Answers::default(),
            meta: Cell::new(None),
            factor: Cell::new(Factor::ONE),
            steward: RefCell::new(None),
            calling: Cell::new(Calling::Idle),
            waiting: Waiting::default(),
            pace: Cell::new(Pace::Usual),
            company: Cell::new(None),
            node_name: OnceCell::new(),
            config,
            fingerprint,
        }
    }

    /// What verifies tokens.
    pub(super) fn tokens(&self) -> Verifier<'_> {
        let (settings, secret, cache) = (&self.config.tokens, &self.token, &self.verified);
        Verifier { settings, secret, host: &HostSignatures, cache }
    }

    /// Whether requests may be judged by the table at this moment.
    pub(super) fn table_at(&self, now: Monotonic) -> Result<(), Fault> {
        let usable = |meta: Option<Meta>| Meta::usable(meta.as_ref(), now, self.config.key_service.max_age);
        if usable(self.meta.get()).is_ok() {
            return Ok(());
        }
        // It may just have become usable.
        self.look_at_table();
        usable(self.meta.get())
    }

    /// What limits follow from.
    pub(super) fn limits(&self) -> Limits {
        Limits { default: self.config.quotas.limit, factor: self.factor.get() }
    }

    pub(super) fn revision(&self) -> Option<u64> {
        self.meta.get().map(|meta| meta.revision)
    }

    /// A VM that serves requests leaves the steward's work to others.
    pub(super) fn note_request(&self) {
        if self.calling.replace(Calling::Serving) == Calling::Idle
            && let Ok(mut steward) = self.steward.try_borrow_mut()
            && let Some(steward) = steward.as_mut()
        {
            let _ = steward.note_request(&HostSharedData);
        }
    }

    /// This VM's part in the stewardship, from its first tick on.
    pub(super) fn new_steward(&self, now: Monotonic) -> Steward {
        let key_service = &self.config.key_service;
        let settings = Settings {
            poll: key_service.poll,
            timeout: key_service.timeout,
            token: self.token.clone(),
            node: self.node_name().to_owned(),
            instance: self.config.instance.to_string(),
            default_limit: self.config.quotas.limit,
            fleet: self.config.quotas.fleet,
        };
        let generation = Generation { configuration: self.fingerprint, born: now };
        let mut steward = Steward::new(self.names.clone(), Holder(host::random()), generation, settings);
        if self.calling.get() == Calling::Serving {
            let _ = steward.note_request(&HostSharedData);
        }
        steward
    }

    /// This node's name: what the operator calls this Envoy, and a random part, because several may be called the same.
    pub(super) fn node_name(&self) -> &str {
        self.node_name.get_or_init(|| {
            // The second one is where Envoy had it until 1.24.
            let id = host::property(&["xds", "node", "id"]).or_else(|| host::property(&["node", "id"]));
            let id = id.unwrap_or_default();
            let id: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
            format!("{id}#{}", process_name(&self.names))
        })
    }

    pub(super) fn look_at_table(&self) {
        if let Ok(meta) = Meta::read(&HostSharedData, &self.names) {
            self.meta.set(meta);
        }
        let _ = Recent::look(&self.recent, &HostSharedData, &self.names);
        // After the state: the steward writes records before the revision with which they came.
        if let Ok(factor) = read_factor(&HostSharedData, &self.names) {
            self.factor.set(factor);
        }
        if self.config.quotas.fleet.is_some()
            && let Ok(company) = Company::read(&HostSharedData, &self.names)
        {
            self.company.set(company);
        }
    }

    /// The key table at this moment.
    pub(super) fn table<'a>(&'a self, shared: &'a HostSharedData, now: Monotonic) -> KeyTable<'a, HostSharedData> {
        KeyTable { shared, names: &self.names, limits: self.limits(), now }
    }

    /// Over what quotas hold.
    pub(super) fn scope(&self) -> Scope {
        match self.config.quotas.fleet {
            None => Scope::Process,
            Some(fleet) => Scope::Fleet(Company::fleet(self.company.get(), fleet)),
        }
    }

    /// Tells the steward at once for whom tokens are wanted. As long as nobody is, the queue would only grow, so they are kept:
    /// as long as requests wait, this is called at every tick.
    pub(super) fn ask_for_wanted(&self, now: Monotonic) {
        if !self.wanted.is_empty() && Lease::is_held(&HostSharedData, &self.names, now) == Ok(true) {
            Settlement::ask_for(&self.names, &self.wanted.take());
        }
    }

    /// Lets a request wait for something to be lent, for as long as the configuration says.
    pub(super) fn let_wait(&self, account: Account, stream: &Rc<Stream>) {
        let (Ok(now), Some(fleet)) = (host::now(), self.config.quotas.fleet) else { return };
        self.waiting.join(account, stream, now.monotonic, now.monotonic.after(fleet.wait_ms));
        if self.pace.replace(Pace::Fast) == Pace::Usual {
            let _ = hostcalls::set_tick_period(Duration::from_millis(SOON));
        }
    }

    /// Judges requests again that wait. Afterwards the host takes another context for the one that speaks.
    pub(super) fn look_after_waiting(&self) {
        if self.pace.get() == Pace::Usual {
            return;
        }
        if let Ok(now) = host::now() {
            self.ask_for_wanted(now.monotonic);
            self.waiting.look_after(&self.table(&HostSharedData, now.monotonic), now.monotonic.after(SOON));
        }
        if self.waiting.is_empty() {
            self.pace.set(Pace::Usual);
            let _ = hostcalls::set_tick_period(TICK);
        }
    }
}

/// How often the VM ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Usual,
    /// Requests wait.
    Fast,
}

impl Drop for Door {
    /// Runs when Envoy ends the configuration and its last request is over.
    fn drop(&mut self) {
        let Some(steward) = self.steward.get_mut() else { return };
        let unsettled = steward.resign(&HostSharedData).unwrap_or_default();
        self.settlement.bequeath(&self.names, unsettled);
    }
}

/// Whether this VM has served a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calling {
    Idle,
    Serving,
}

fn process_name(names: &Names) -> String {
    let name = names.process();
    for _ in 0..8 {
        let known = HostSharedData.get(&name).ok().flatten();
        if let Some(text) = known.and_then(|value| String::from_utf8(value.bytes).ok()) {
            return text;
        }
        let fresh = format!("{:08x}", host::random() >> 32);
        if HostSharedData.swap(&name, fresh.as_bytes(), Expected::Absent) == Ok(Swap::Done) {
            return fresh;
        }
    }
    "unknown".to_owned()
}
