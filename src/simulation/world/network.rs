//! Questions and answers on their way between nodes and the key service.

use tollkeeper_contract::lease::{self, Lent};

use super::{Event, Place, World, account, number_of};
use crate::{
    simulation::{engine::Lending, node::token, plan::Network},
    steward::{Answer, Call, Errand},
};

/// Who waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    place: Place,
    number: u64,
    errand: Errand,
}

/// A question that is being answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    asker: Asker,
    nonce: u64,
    asked: u64,
    lending: Lending,
}

impl World {
    pub(super) fn dispatch(&mut self, place: Place, call: Call) {
        self.number += 1;
        let (number, errand) = (self.number, call.errand);
        let Some(vm) = self.living(place).and_then(|node| node.vms[place.vm].as_mut()) else { return };
        vm.calls.insert(number, errand);
        let lost = u64::try_from(call.timeout.as_millis()).unwrap();
        self.at(self.now + lost, Event::Answer { place, number, errand, body: Err(504) });
        if let (Errand::Lend { .. }, Some(body)) = (errand, call.body) {
            for _ in 0..self.copies(place.node) {
                let time = self.now + self.delay();
                self.at(time, Event::Question { place, number, errand, body: body.clone() });
            }
        }
    }

    /// How often a message arrives.
    fn copies(&mut self, node: usize) -> u64 {
        let Network { lost, doubled, .. } = self.plan.network;
        if self.cut_until[node] > self.now || self.random.chance(lost) {
            return 0;
        }
        if self.random.chance(doubled) { 2 } else { 1 }
    }

    fn delay(&mut self) -> u64 {
        let Network { slowest, late, .. } = self.plan.network;
        let late = if self.random.chance(late) { self.random.between(0, 8000) } else { 0 };
        late + self.random.between(1, slowest)
    }

    pub(super) fn hear(&mut self, place: Place, number: u64, errand: Errand, body: &[u8]) {
        let now = self.now;
        if self.frozen_until > now {
            let (time, body) = (self.frozen_until + self.delay(), body.to_vec());
            self.at(time, Event::Question { place, number, errand, body });
            return;
        }
        let asker = Asker { place, number, errand };
        if self.gone_until > now {
            self.send_back(asker, &Err(503));
            return;
        }
        let question: lease::Question = serde_json::from_slice(body).unwrap();
        self.service.see(&question.node, now);
        // How many nodes there are, it also says then.
        if self.down_until > now && !question.asks.is_empty() {
            self.send_back(asker, &Err(503));
            return;
        }
        let lending = self.service.arrive(&question, now);
        let pending = Pending { asker, nonce: question.nonce, asked: now, lending };
        if self.slow_until <= now || question.asks.is_empty() {
            let lent = self.settle(&question, lending);
            self.reply(&pending, lent);
            return;
        }
        let settled = now + self.random.between(0, self.slowness);
        self.at(settled, Event::Settle { question, pending });
    }

    /// A store that is slow does what it is asked, at some time, and says so later.
    pub(super) fn settle_slowly(&mut self, question: &lease::Question, pending: Pending) {
        let lent = self.settle(question, pending.lending);
        self.at(pending.asked + self.slowness, Event::Reply { pending, lent });
    }

    fn settle(&mut self, question: &lease::Question, lending: Lending) -> Vec<Lent> {
        let now = self.now;
        let (lent, news) = self.service.settle(question, lending, now);
        for (ask, born) in news {
            self.judge.note_settled(number_of(&ask.account), &ask, born, now);
        }
        self.judge.note_lent_twice(std::mem::take(&mut self.service.lent_twice), now);
        lent
    }

    pub(super) fn reply(&mut self, pending: &Pending, lent: Vec<Lent>) {
        let Pending { asker, nonce, asked, lending } = *pending;
        let answer = self.service.answer(lent, lending, asked, self.now);
        self.send_back(asker, &Ok(answer.seal(nonce, &token()).unwrap()));
    }

    fn send_back(&mut self, asker: Asker, body: &Result<Vec<u8>, u16>) {
        let Asker { place, number, errand } = asker;
        for _ in 0..self.copies(place.node) {
            let time = self.now + self.delay();
            self.at(time, Event::Answer { place, number, errand, body: body.clone() });
        }
    }

    /// Envoy hands on one answer to a call. Here also a second and a late one are, which must do no harm.
    pub(super) fn answer(&mut self, place: Place, number: u64, errand: Errand, body: Result<Vec<u8>, u16>) {
        if !self.awake(place, || Event::Answer { place, number, errand, body: body.clone() }) {
            return;
        }
        let now = self.now;
        let Some(node) = self.living(place) else { return };
        let Some(vm) = &mut node.vms[place.vm] else { return };
        let is_first = vm.calls.remove(&number).is_some();
        let answer = match &body {
            Ok(body) => Answer::Service { status: 200, body },
            Err(503) => Answer::Service { status: 503, body: &[] },
            Err(_) if !is_first => return,
            Err(status) => Answer::Stranger { status: *status },
        };
        node.take_answer(place.vm, errand, answer, now);
        self.note_shares(place.node);
        self.serve(place);
    }

    fn note_shares(&mut self, number: usize) {
        let Some(node) = &self.nodes[number] else { return };
        for team in 0..self.plan.teams {
            let lease = node.lease(&account(team), self.now);
            let part = (node.counter(&account(team), self.now), team);
            if lease.is_none_or(|lease| !lease.has_share()) {
                self.judge.note_share(&part, None, self.now);
            }
        }
    }
}
