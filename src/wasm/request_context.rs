//! One request: reads it, lets the gate judge it, and does what the verdict says, on the way there and back.

use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};

use crate::{
    gate::Gate,
    refusal::Fault,
    request::{Request, Wire},
    table::KeyTable,
    verdict::{self, Grant, Header, Refused, Verdict},
};

use super::{
    host::{self, HostSharedData},
    root_context::Door,
};

/// One request.
pub(super) struct RequestContext {
    door: Rc<Door>,
    /// `None` until the request was judged: a filter before this one may answer instead.
    verdict: Option<Verdict>,
}

impl RequestContext {
    pub(super) fn new(door: Rc<Door>) -> Self {
        Self { door, verdict: None }
    }

    fn judge(&self, request: &Request<'_>) -> Verdict {
        let Ok(now) = host::now() else { return Verdict::Refused(Fault::HostFailure.into()) };
        let Door { config, names, .. } = &*self.door;
        let (default_quota, monotonic) = (config.quota, now.monotonic);
        let table = KeyTable { shared: &HostSharedData, names, default_quota, now: monotonic };
        let verdict = Gate { config, table, usable: self.door.table_at(monotonic), now }.judge(request);
        self.door.settlement.count(&verdict, now);
        verdict
    }

    /// Whatever goes wrong here must not let the request through.
    fn enforce(&self, verdict: &Verdict, request: &Request<'_>) -> Action {
        let passed = match verdict {
            Verdict::Public => strip(request),
            Verdict::Granted(grant) => strip(request).and_then(|()| self.introduce(grant)),
            Verdict::Refused(refused) => return self.refuse(refused, request.wire),
        };
        match passed {
            Ok(()) => Action::Continue,
            Err(()) => self.refuse(&Fault::HostFailure.into(), request.wire),
        }
    }

    /// Tells the upstream whom it serves, and keeps the credential from it.
    fn introduce(&self, grant: &Grant) -> Result<(), ()> {
        for name in &grant.withheld {
            hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| ())?;
        }
        add(MapType::HttpRequestHeaders, verdict::request_headers(grant, &self.door.config, self.door.revision()))
    }

    fn refuse(&self, refused: &Refused, wire: Wire) -> Action {
        let reply = verdict::reply(refused, &self.door.config.realm, wire);
        // Without a reply the request stays paused until it times out: late, but never let through.
        if host::reply(&reply, wire).is_err() {
            log::error!("the host did not take the answer to a refused request");
        }
        Action::Pause
    }
}

impl Context for RequestContext {}

impl HttpContext for RequestContext {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        self.door.note_request();
        let headers = host::headers(MapType::HttpRequestHeaders);
        let pairs = headers.as_ref().ok().and_then(|headers| headers.pairs().ok());
        let (verdict, action) = match pairs {
            Some(pairs) => {
                let request = Request::read(pairs);
                let verdict = self.judge(&request);
                let action = self.enforce(&verdict, &request);
                (verdict, action)
            }
            None => {
                let refused = Refused::from(Fault::HostFailure);
                let action = self.refuse(&refused, Wire::Http);
                (Verdict::Refused(refused), action)
            }
        };
        self.door.metrics.count(&verdict);
        publish(&verdict);
        self.verdict = Some(verdict);
        action
    }

    /// Runs for the upstream's answers and for local replies alike, our own included.
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let judged = self.verdict.as_ref();
        let ours = judged.map(|verdict| verdict::response_headers(verdict, &self.door.config, self.door.revision()));
        let ours = ours.unwrap_or_default();
        if let Ok(theirs) = host::headers(MapType::HttpResponseHeaders)
            && let Ok(pairs) = theirs.pairs()
        {
            overrule(pairs.into_iter().map(|(name, _)| name), &ours);
        }
        let _ = add(MapType::HttpResponseHeaders, ours);
        Action::Continue
    }
}

/// Removes the identity headers that the client sent: nobody but the filter may speak in these.
fn strip(request: &Request<'_>) -> Result<(), ()> {
    for name in &request.spoofed {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| ())?;
    }
    Ok(())
}

/// Removes what the upstream must not say.
fn overrule<'a>(names: impl Iterator<Item = &'a [u8]>, ours: &[Header]) {
    for name in names.filter(|name| verdict::is_overruled(name, ours)) {
        if let Ok(name) = std::str::from_utf8(name) {
            let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, name);
        }
    }
}

/// Adds headers that are known to be absent, which costs the host less than setting them.
fn add(map: MapType, headers: Vec<Header>) -> Result<(), ()> {
    for (name, value) in headers {
        hostcalls::add_map_value_bytes(map, name, value.as_bytes()).map_err(|_| ())?;
    }
    Ok(())
}

/// Shows the outcome to other filters and to access logs, as filter state `wasm.tollkeeper.…`.
fn publish(verdict: &Verdict) {
    let set = |name: &str, value: &str| {
        let _ = hostcalls::set_property(vec![name], Some(value.as_bytes()));
    };
    set("tollkeeper.verdict", verdict.word());
    set("tollkeeper.reason", verdict.reason());
    if let Some(principal) = verdict.principal() {
        set("tollkeeper.team", &principal.team);
        set("tollkeeper.key_id", &principal.key_id);
        set("tollkeeper.kind", principal.kind.as_str());
    }
}
