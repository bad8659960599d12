//! Requests of clients: how they are judged, how they wait, and what they are told.

use std::collections::VecDeque;

use super::{Event, Place, Request, SOON, World, account};
use crate::{
    lease::{Basis, Patience, Signal, Taking},
    simulation::{
        judge::Part,
        node::Waiter,
        plan::{Manner, Way},
    },
    table::Charge,
};

impl World {
    /// A client's next request, or the one that it was told to bring again, which costs so much.
    pub(super) fn send(&mut self, number: usize, again: Option<u32>) {
        if self.now >= self.plan.end {
            return;
        }
        let client = self.plan.clients[number];
        let count = match client.manner {
            Manner::Bursts { count, pause } => {
                self.soon(2 * pause, Event::Send { client: number, again: None });
                count
            }
            Manner::AsTold => 1,
        };
        for _ in 0..count {
            let node = self.choose_node(number);
            let drawn = self.random.between(client.least.into(), client.most.into()) as u32;
            let (cost, waited) = (again.unwrap_or(drawn), again.is_some());
            self.judge.arrive(client.team, self.plan.limit, cost, self.now);
            self.ask(node, Request { client: Some(number), team: client.team, cost, waited });
        }
    }

    fn choose_node(&mut self, client: usize) -> usize {
        let any = self.random.number() as usize % self.nodes.len();
        match self.plan.clients[client].way {
            Way::To(node) => node,
            Way::Any => any,
            Way::Stays => {
                if self.random.chance(4) {
                    self.stays_at[client] = any;
                }
                self.stays_at[client]
            }
        }
    }

    pub(super) fn ask(&mut self, node: usize, request: Request) {
        if !self.judge_request(node, request, Patience::New) {
            let (now, life, wait) = (self.now, self.lives[node], self.plan.fleet.wait_ms);
            let Some(node_there) = &mut self.nodes[node] else { return };
            let since = node_there.clock.at(now);
            let until = since.after(wait);
            if node_there.waiting.is_empty() {
                self.soon(SOON, Event::LookAfter { node, life });
            }
            let Some(node) = &mut self.nodes[node] else { return };
            node.waiting.entry(account(request.team)).or_default().push_back(Waiter { request, since, until });
        }
    }

    /// As the filter does it at each of its fast ticks.
    pub(super) fn look_after(&mut self, number: usize, life: u64) {
        let (now, place) = (self.now, Place { node: number, life, vm: 0 });
        if self.living(place).is_some() {
            self.tell_steward(number);
        }
        let Some(node) = self.living(place) else { return };
        let soon = node.clock.at(now).after(SOON);
        for (account, waiters) in std::mem::take(&mut node.waiting) {
            let Some(node) = &self.nodes[number] else { return };
            let mut has_news = node.table(now).has_news(&account).unwrap();
            let mut left = VecDeque::new();
            for waiter in waiters {
                let patience = if waiter.until < soon { Patience::Over(waiter.since) } else { Patience::Left };
                if !has_news && patience == Patience::Left {
                    left.push_back(waiter);
                } else if !self.judge_request(number, waiter.request, patience) {
                    has_news = false;
                    left.push_back(waiter);
                }
            }
            if let (Some(node), false) = (&mut self.nodes[number], left.is_empty()) {
                node.waiting.entry(account).or_default().extend(left);
            }
        }
        if self.nodes[number].as_ref().is_some_and(|node| !node.waiting.is_empty()) {
            self.at(now + SOON, Event::LookAfter { node: number, life });
        }
    }

    /// Judges a request; whether it is decided.
    fn judge_request(&mut self, number: usize, request: Request, patience: Patience) -> bool {
        let (now, account) = (self.now, account(request.team));
        let Some(node) = &mut self.nodes[number] else { return true };
        let Ok(charge) = node.charge(&account, request.cost, patience, now) else { return true };
        let part = (node.counter(&account, now), request.team);
        if charge.signal == Signal::Ask {
            node.want(&account);
        }
        self.tell_steward(number);
        self.note_share(number, &part, charge);
        self.audit_balance(number, &part, request, charge.taking);
        let is_decided = self.decide(&part, request, charge.taking);
        self.measure_left(number, request, charge);
        is_decided
    }

    fn tell_steward(&mut self, number: usize) {
        let (now, life) = (self.now, self.lives[number]);
        if let Some(vm) = self.nodes[number].as_mut().and_then(|node| node.tell_steward(now)) {
            self.soon(3, Event::Message(Place { node: number, life, vm }));
        }
    }

    fn note_share(&mut self, number: usize, part: &Part, charge: Charge) {
        let Some(node) = &self.nodes[number] else { return };
        let has_share = node.lease(&account(part.1), self.now).is_some_and(|lease| lease.has_share());
        let nodes = node.fleet().nodes.filter(|_| has_share);
        let (shares, now) = (nodes.map(|nodes| (charge.limit, nodes.get())), node.clock.at(self.now));
        self.judge.note_share(part, shares, now.0);
    }

    /// Whatever a node may spend, the key service knows to be lent.
    fn audit_balance(&mut self, number: usize, part: &Part, request: Request, taking: Taking) {
        let Some(node) = &self.nodes[number] else { return };
        if taking != Taking::Taken(Basis::Quota) || request.cost == 0 || self.service.has_forgotten {
            return;
        }
        let account = account(request.team);
        let balance = node.lease(&account, self.now).map_or(0, |lease| lease.balance(node.clock.at(self.now)));
        let lent = self.service.lent_to(&part.0, &(&account).into(), self.now);
        self.judge.note_balance(part, balance + u64::from(request.cost), lent, self.now);
    }

    fn measure_left(&mut self, number: usize, request: Request, charge: Charge) {
        let Some(node) = &self.nodes[number] else { return };
        // Of a share nobody knows what the others spend. What costs nothing is let through there as well.
        let has_share = node.lease(&account(request.team), self.now).is_some_and(|lease| lease.has_share());
        if !has_share
            && matches!(charge.taking, Taking::Taken(Basis::Quota) | Taking::Refused { basis: Basis::Quota, .. })
        {
            self.judge.note_left(request.team, charge.left, self.plan.fleet.remaining, self.now);
        }
    }

    fn decide(&mut self, part: &Part, request: Request, taking: Taking) -> bool {
        let now = self.now;
        let next = match taking {
            Taking::Wait => return false,
            Taking::Taken(basis) => {
                self.judge.admit(part.clone(), basis, request.cost, now);
                Some(1)
            }
            Taking::Refused { wait, basis } => {
                self.judge.counts.refused += 1;
                self.judge.note_told(part.1, request.cost, now.saturating_add(wait), now);
                if request.waited && self.is_lone {
                    let what =
                        format!("{now} ms: {part:?} {request:?} waited as told, and is to wait {wait} ms ({basis:?})");
                    self.judge.complaints.push(what);
                }
                (wait < u64::MAX).then_some(wait)
            }
            Taking::Unavailable => {
                self.judge.counts.unavailable += 1;
                Some(1000)
            }
        };
        if let (Some(next), Some(client)) = (next, request.client)
            && self.plan.clients[client].manner == Manner::AsTold
        {
            let again = matches!(taking, Taking::Refused { .. }).then_some(request.cost);
            // Instead of waiting, it asks for something else.
            if self.is_lone && again.is_some() && !request.waited && self.random.chance(25) {
                self.at(now + 10, Event::Send { client, again: None });
                return true;
            }
            self.at(now + next, Event::Send { client, again });
        }
        true
    }
}
