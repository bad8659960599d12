//! One request: reads it, lets the gate judge it, and does what the verdict says, on the way there and back.

use std::rc::Rc;

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};

use crate::{
    gate::{Gate, Judgement},
    lease::Patience,
    purse::Scope,
    refusal::Fault,
    request::{Request, Wire, is_identity_header},
    table::KeyTable,
    verdict::{self, Header, Refused, Verdict},
};

use super::{
    door::Door,
    host::{self, HostSharedData},
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
        // First: it may have to look at the table again, and what limits follow from is read with it.
        let usable = self.door.table_at(now.monotonic);
        let limits = self.door.limits();
        let table = KeyTable { shared: &HostSharedData, names, limits, now: now.monotonic };
        let (tokens, scope, wanted) = (self.door.tokens(), Scope::Process, &self.door.wanted);
        let gate = Gate { config, table, usable, now, tokens, scope, wanted };
        let verdict = match gate.judge(request, Patience::Over) {
            Judgement::Decided(verdict) => verdict,
            Judgement::Waits(_) => Verdict::Refused(Fault::QuotaUnavailable.into()),
        };
        self.door.settlement.count(&verdict, now);
        verdict
    }

    /// Does what the verdict says; gives the verdict that holds then. Whatever goes wrong must not let the request
    /// through.
    fn enforce(&self, verdict: Verdict, request: &Request<'_>) -> (Verdict, Action) {
        let passed = match &verdict {
            Verdict::Public => strip(request),
            Verdict::Granted(_) | Verdict::Shadowed(_) => strip(request).and_then(|()| self.introduce(&verdict)),
            Verdict::Refused(refused) => {
                let action = self.refuse(refused, request.wire);
                return (verdict, action);
            }
        };
        match passed {
            Ok(()) => (verdict, Action::Continue),
            Err(()) => self.fail(request.wire),
        }
    }

    fn fail(&self, wire: Wire) -> (Verdict, Action) {
        let refused = Refused::from(Fault::HostFailure);
        let action = self.refuse(&refused, wire);
        (Verdict::Refused(refused), action)
    }

    /// Tells the upstream whom it serves, and keeps the credential from it.
    fn introduce(&self, verdict: &Verdict) -> Result<(), ()> {
        for name in verdict.withheld() {
            hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| ())?;
        }
        add(MapType::HttpRequestHeaders, verdict::request_headers(verdict, &self.door.config, self.door.revision()))
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
                self.enforce(self.judge(&request), &request)
            }
            None => self.fail(Wire::Http),
        };
        self.door.metrics.count(&verdict);
        publish(&verdict);
        self.verdict = Some(verdict);
        action
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        let withheld = self.verdict.as_ref().map_or(&[][..], Verdict::withheld);
        purge(MapType::HttpRequestTrailers, |name| {
            is_identity_header(name) || withheld.iter().any(|withheld| withheld.as_bytes() == name)
        });
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        purge(MapType::HttpResponseTrailers, is_identity_header);
        Action::Continue
    }

    /// Runs for the upstream's answers and for local replies alike, our own included.
    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let judged = self.verdict.as_ref();
        let ours = judged.map(|verdict| verdict::response_headers(verdict, &self.door.config, self.door.revision()));
        let ours = ours.unwrap_or_default();
        purge(MapType::HttpResponseHeaders, |name| verdict::is_overruled(name, &ours));
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

/// Removes every header that is `unwanted`.
fn purge(map: MapType, unwanted: impl Fn(&[u8]) -> bool) {
    let Ok(headers) = host::headers(map) else { return };
    let Ok(pairs) = headers.pairs() else { return };
    for (name, _) in pairs.iter().filter(|(name, _)| unwanted(name)) {
        if let Ok(name) = std::str::from_utf8(name) {
            let _ = hostcalls::remove_map_value(map, name);
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
        set("tollkeeper.kind", principal.kind_word());
        let maybe = [
            ("tollkeeper.team", principal.account.team()),
            ("tollkeeper.enterprise", principal.enterprise()),
            ("tollkeeper.key_id", principal.key_id.as_deref()),
        ];
        maybe.into_iter().for_each(|(name, value)| value.into_iter().for_each(|value| set(name, value)));
    }
}
