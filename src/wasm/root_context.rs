//! One configuration in one VM: takes the configuration, ticks, and carries the steward's calls.

use std::{collections::HashMap, rc::Rc};

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext as HostRootContext},
    types::{BufferType, ContextType, MapType},
};
use tollkeeper_contract::{
    Digest, MAX_AGE_HEADER, NODE_HEADER, SERVICE_HEADER, SERVICE_NAME, VERSION_HEADER, page,
    page::{NodeToken, NodeTokens},
};

use crate::{
    config::Config,
    steward::{Answer, Call, Errand, Lease, Progress, Standing},
    time::Monotonic,
};

use super::{
    door::{Door, TICK},
    host::{self, HostSharedData},
    request_context::RequestContext,
    settlement::Settlement,
};

/// How much too early a tick may come, in milliseconds.
const ROUNDING: u64 = 2;

/// One configuration in one VM.
pub(super) struct RootContext {
    id: u32,
    door: Option<Rc<Door>>,
    calls: HashMap<u32, Errand>,
    queue: Option<u32>,
    failing: Option<String>,
    standing: Option<Standing>,
    /// When it last looked after its other duties than requests that wait.
    served: Monotonic,
}

impl Context for RootContext {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        let (Some(door), Some(errand)) = (self.door.clone(), self.calls.remove(&token)) else { return };
        let status = if headers == 0 { None } else { read_status() };
        let body = hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_size.min(page::MAX_LENGTH + 1));
        let body = body.ok().flatten().unwrap_or_default();
        let answer = match status {
            None => Answer::Nothing,
            Some(CallStatus { status, from_service: true }) => Answer::Service { status, body: &body },
            Some(CallStatus { status, from_service: false }) => Answer::Stranger { status },
        };
        self.take_answer(&door, errand, answer);
        // What was answered may raise the next question: no need to wait for the next tick.
        self.serve(&door);
    }
}

impl HostRootContext for RootContext {
    /// Envoy tries every configuration in a VM that it throws away, so this has no effects but the configuration.
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten().unwrap_or_default();
        let config = match Config::parse(&bytes) {
            Ok(config) => config,
            Err(mistakes) => {
                log::error!("the configuration of tollkeeper is refused:\n{mistakes}");
                return false;
            }
        };
        let variable = config.key_service.node_token_env.as_str();
        let Some(token) = std::env::var(variable).ok().and_then(|text| NodeTokens::parse(&text)) else {
            log::error!(
                "the configuration of tollkeeper is refused:\nkey_service.node_token_env: the environment variable \
                 {variable} holds no node token ({} visible characters or more); set it for Envoy, and name it in \
                 vm_config.environment_variables.host_env_keys",
                NodeToken::MIN_LENGTH
            );
            return false;
        };
        self.door = Some(Rc::new(Door::new(config, fingerprint(&bytes), token.of_node())));
        hostcalls::set_tick_period(TICK).is_ok()
    }

    fn on_tick(&mut self) {
        let Some(door) = self.door.clone() else { return };
        // Without it, the one that was read before still holds.
        let _ = host::read_date();
        door.look_after_waiting();
        // From here on this context speaks again.
        let _ = hostcalls::set_effective_context(self.id);
        if self.is_due() {
            host::age_own();
            self.serve(&door);
        }
    }

    /// The steward's alone: it is the last to have registered the queue.
    fn on_queue_ready(&mut self, queue: u32) {
        if let Some(door) = self.door.clone()
            && self.queue == Some(queue)
        {
            // Requests may be waiting for what is asked in there.
            self.serve(&door);
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        self.door.clone().map(|door| Box::new(RequestContext::new(id, door)) as Box<dyn HttpContext>)
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl RootContext {
    pub(super) fn new(id: u32) -> Self {
        Self { id, door: None, calls: HashMap::new(), queue: None, failing: None, standing: None, served: Monotonic(0) }
    }

    /// Whether it is time for the duties of a usual tick, also while ticks come faster.
    fn is_due(&mut self) -> bool {
        let Ok(now) = host::now() else { return true };
        let silence = now.monotonic.since(self.served);
        if silence >= Lease::TERM {
            // Another may have been steward meanwhile, and messages are told to whoever registered last.
            self.queue = None;
        }
        let is_due = silence.saturating_add(ROUNDING) >= TICK.as_millis() as u64;
        if is_due {
            self.served = now.monotonic;
        }
        is_due
    }

    fn serve(&mut self, door: &Door) {
        let Ok(now) = host::now() else { return };
        door.look_at_table();
        if let Some(meta) = door.meta.get() {
            door.metrics.show(meta.revision, now.monotonic.since(meta.synced) / 1000);
        }
        if Lease::is_held(&HostSharedData, &door.names, now.monotonic) == Ok(true) {
            door.settlement.hand_on(&door.names);
        }
        let Ok(mut slot) = door.steward.try_borrow_mut() else { return };
        let steward = slot.get_or_insert_with(|| door.new_steward(now.monotonic));
        let standing = steward.stand(&HostSharedData, now.monotonic).unwrap_or(Standing::Other);
        #[cfg(feature = "traps")]
        super::traps::at_duties(standing);
        let before = self.standing.replace(standing);
        match standing {
            // Registering again makes this VM the one that is told of messages.
            Standing::Steward if before != Some(Standing::Steward) || self.queue.is_none() => {
                log::info!("tollkeeper {}: this VM is steward now", door.names.meta());
                self.queue = hostcalls::register_shared_queue(&door.names.ledger()).ok();
            }
            Standing::Steward => self.queue.into_iter().for_each(|queue| steward.settle(Settlement::collect(queue))),
            Standing::Other => {
                self.queue = None;
                if before == Some(Standing::Steward) {
                    Settlement::ask_for(&door.names, &steward.hand_over());
                }
            }
        }
        let Ok(calls) = steward.calls(&HostSharedData, now.monotonic, standing) else { return };
        let failed: Vec<_> = calls.into_iter().filter_map(|call| self.dispatch(door, call)).collect();
        drop(slot);
        for errand in failed {
            self.take_answer(door, errand, Answer::Nothing);
        }
    }

    /// Makes a call; gives the errand back if it could not be made.
    fn dispatch(&mut self, door: &Door, call: Call) -> Option<Errand> {
        let settings = &door.config.key_service;
        let authorization = format!("Bearer {}", door.token.shown());
        let max_age = settings.max_age.as_secs().to_string();
        let headers = vec![
            (":method", call.method),
            (":path", &call.path),
            (":authority", settings.authority.as_str()),
            ("authorization", &authorization),
            (NODE_HEADER, door.node_name()),
            (VERSION_HEADER, env!("CARGO_PKG_VERSION")),
            (MAX_AGE_HEADER, &max_age),
            ("content-type", "application/json"),
        ];
        let cluster = settings.cluster.as_str();
        match hostcalls::dispatch_http_call(cluster, headers, call.body.as_deref(), vec![], call.timeout) {
            Ok(token) => {
                self.calls.insert(token, call.errand);
                None
            }
            Err(_) => Some(call.errand),
        }
    }

    fn take_answer(&mut self, door: &Door, errand: Errand, answer: Answer<'_>) {
        let Ok(now) = host::now() else { return };
        let Ok(mut steward) = door.steward.try_borrow_mut() else { return };
        let Some(steward) = steward.as_mut() else { return };
        match steward.on_answer(&HostSharedData, errand, answer, now) {
            Ok(Progress::Nothing) => {}
            Ok(Progress::Synced) => self.tell(door, None),
            Err(error) => self.tell(door, Some(error.to_string())),
        }
    }

    /// Logs a failure when it begins, changes and ends, not every time.
    fn tell(&mut self, door: &Door, failure: Option<String>) {
        if let Some(failure) = &failure {
            door.metrics.count_sync_failure();
            if self.failing.as_ref() != Some(failure) {
                log::warn!("tollkeeper {}: sync failed, the keys stay as they are: {failure}", door.names.meta());
            }
        } else if self.failing.is_some() {
            log::info!("tollkeeper {}: sync works again", door.names.meta());
        }
        self.failing = failure;
    }
}

fn fingerprint(configuration: &[u8]) -> u64 {
    Digest::of(configuration).as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

struct CallStatus {
    status: u16,
    from_service: bool,
}

fn read_status() -> Option<CallStatus> {
    let headers = host::headers(MapType::HttpCallResponseHeaders).ok()?;
    let pairs = headers.pairs().ok()?;
    let value = |name: &[u8]| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let status = std::str::from_utf8(value(b":status")?).ok()?.parse().ok()?;
    Some(CallStatus { status, from_service: value(SERVICE_HEADER.as_bytes()) == Some(SERVICE_NAME.as_bytes()) })
}
