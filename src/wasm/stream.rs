//! One request: reads it, lets the gate judge it, and does what the verdict says; again later, if it has to wait.

use std::{
    cell::{Cell, OnceCell},
    rc::Rc,
};

use proxy_wasm::{
    hostcalls,
    types::{Action, MapType},
};

use crate::{
    config::FilterState,
    gate::{Gate, Judgement},
    lease::Patience,
    principal::Account,
    refusal::Fault,
    request::{Request, Wire},
    verdict::{self, Header, Refused, Verdict},
};

use super::{
    door::Door,
    host::{self, HostSharedData},
    waiting::Again,
};

/// One request, from its headers to its answer.
pub(super) struct Stream {
    id: u32,
    pub(super) door: Rc<Door>,
    /// Empty until the request was decided: a filter before this one may answer instead.
    verdict: OnceCell<Verdict>,
    /// The revision of the table that decided.
    revision: Cell<Option<u64>>,
    /// Whether the host took an answer of ours, which says all that is to be said.
    is_answered: Cell<bool>,
}

/// What a request is to do.
enum Step {
    /// It was decided.
    Decided(Action),
    /// It has to wait for something to be lent.
    Wait(Account),
}

impl Stream {
    pub(super) fn new(id: u32, door: Rc<Door>) -> Self {
        Self { id, door, verdict: OnceCell::new(), revision: Cell::new(None), is_answered: Cell::new(false) }
    }

    /// What was decided, if it was.
    pub(super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.get()
    }

    /// The revision of the table that decided, which the client and the upstream are told alike.
    pub(super) fn revision(&self) -> Option<u64> {
        self.revision.get()
    }

    /// Whether the answer to this request is ours.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered.get()
    }

    /// Judges the request as its headers arrive.
    pub(super) fn judge_first(self: &Rc<Self>) -> Action {
        match self.judge(Patience::New) {
            Step::Decided(action) => action,
            Step::Wait(account) => {
                self.door.let_wait(account, self);
                Action::Pause
            }
        }
    }

    /// Judges the request once more, from another callback than its own.
    pub(super) fn judge_again(&self, patience: Patience) -> Again {
        if hostcalls::set_effective_context(self.id).is_err() {
            return Again::Decided;
        }
        match self.judge(patience) {
            Step::Wait(_) => Again::Waits,
            Step::Decided(action) => {
                // Otherwise it was answered.
                if action == Action::Continue {
                    let _ = hostcalls::resume_http_request();
                }
                Again::Decided
            }
        }
    }

    fn judge(&self, patience: Patience) -> Step {
        let headers = host::headers(MapType::HttpRequestHeaders);
        let pairs = headers.as_ref().ok().and_then(|headers| headers.pairs().ok());
        let (verdict, action) = match pairs {
            Some(pairs) => {
                let request = Request::read(pairs);
                match self.decide(&request, patience) {
                    Judgement::Decided(verdict) => self.enforce(verdict, &request),
                    Judgement::Waits(account) => return Step::Wait(account),
                }
            }
            None => self.fail(Wire::Http),
        };
        self.door.metrics.count(&verdict);
        publish(&verdict, self.door.config.filter_state);
        let _ = self.verdict.set(verdict);
        Step::Decided(action)
    }

    fn decide(&self, request: &Request<'_>, patience: Patience) -> Judgement {
        let Ok(now) = host::now() else {
            return Judgement::Decided(Verdict::Refused(Fault::HostFailure.into()));
        };
        let door = &*self.door;
        // First: it may have to look at the table again, and what limits follow from is read with it.
        let usable = door.table_at(now.monotonic);
        self.revision.set(door.revision());
        let (config, table) = (&door.config, door.table(&HostSharedData, now.monotonic));
        let (wanted, scope) = (&door.wanted, door.scope());
        let (recent, familiar, tokens) = (&door.recent, &door.familiar, door.tokens());
        let gate = Gate { config, table, recent, familiar, usable, now, tokens, scope, wanted };
        let judgement = gate.judge(request, patience);
        door.ask_for_wanted(now.monotonic);
        if let Judgement::Decided(verdict) = &judgement {
            door.settlement.count(verdict, now);
        }
        judgement
    }

    /// Does what the verdict says; gives the verdict that holds then. Whatever goes wrong must not let the request
    /// through.
    fn enforce(&self, verdict: Verdict, request: &Request<'_>) -> (Verdict, Action) {
        let passed = match verdict {
            Verdict::Public => strip(request),
            Verdict::Granted(_) | Verdict::Shadowed(_) => {
                strip(request).and_then(|()| self.introduce(&verdict, request))
            }
            Verdict::Refused(refused) => return self.refuse(refused, request.wire),
        };
        match passed {
            Ok(()) => (verdict, Action::Continue),
            Err(()) => self.fail(request.wire),
        }
    }

    fn fail(&self, wire: Wire) -> (Verdict, Action) {
        self.refuse(Fault::HostFailure.into(), wire)
    }

    /// Tells the upstream whom it serves, and keeps the credential from it.
    fn introduce(&self, verdict: &Verdict, request: &Request<'_>) -> Result<(), ()> {
        for name in verdict.withheld().iter().filter(|name| request.carries(name)) {
            hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| ())?;
        }
        add(MapType::HttpRequestHeaders, verdict::request_headers(verdict, &self.door.config, self.revision()))
    }

    fn refuse(&self, refused: Refused, wire: Wire) -> (Verdict, Action) {
        let answer = self.door.answers.to(&refused, &self.door.config, wire);
        // Before the host takes it: its headers come by here meanwhile.
        self.is_answered.set(true);
        // Without a reply the request stays paused until it times out: late, but never let through.
        if answer.and_then(|answer| answer.send()).is_err() {
            self.is_answered.set(false);
            log::error!("the host did not take the answer to a refused request");
        }
        (Verdict::Refused(refused), Action::Pause)
    }
}

/// Removes the identity headers that the client sent: nobody but the filter may speak in these.
fn strip(request: &Request<'_>) -> Result<(), ()> {
    for name in &request.spoofed {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name).map_err(|_| ())?;
    }
    Ok(())
}

/// Adds headers that are known to be absent, which costs the host less than setting them.
pub(super) fn add(map: MapType, headers: Vec<Header<'_>>) -> Result<(), ()> {
    for (name, value) in headers {
        hostcalls::add_map_value_bytes(map, name, value.as_bytes()).map_err(|_| ())?;
    }
    Ok(())
}

/// Shows the outcome to other filters and to access logs, as filter state `wasm.tollkeeper.…`.
fn publish(verdict: &Verdict, told: FilterState) {
    let set = host::publish;
    if told == FilterState::Off {
        return;
    }
    set("tollkeeper.verdict", verdict.word());
    if told == FilterState::Verdict {
        return;
    }
    set("tollkeeper.reason", verdict.reason());
    if verdict.is_degraded() {
        set("tollkeeper.degraded", "quota");
    }
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
