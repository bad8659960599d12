//! What goes wrong, or changes, while a plan runs.

use tollkeeper_contract::Quota;

use super::{Event, Place, World, account};
use crate::simulation::plan::Trouble;

impl World {
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        let now = self.now;
        match trouble {
            Trouble::Kill { node, back_after } => {
                self.note_death(node);
                self.nodes[node] = None;
                self.lives[node] += 1;
                back_after.into_iter().for_each(|after| self.at(now + after, Event::Start { node }));
            }
            Trouble::Cut { node, time } => self.cut_until[node] = now + time,
            Trouble::Trap { node, vm } => self.trap(node, vm),
            Trouble::Stall { node, vm, time } => {
                if let Some(Some(vm)) = self.nodes[node].as_mut().map(|node| node.vms[vm].as_mut()) {
                    vm.stalled_until = now + time;
                }
            }
            Trouble::Fail { time } => self.fail(time),
            Trouble::Freeze { time } => {
                self.service.beat(now);
                self.frozen_until = now + time;
                self.at(self.frozen_until, Event::Thaw);
            }
            Trouble::Slow { time, by } => (self.slow_until, self.slowness) = (now + time, by),
            Trouble::Forget { time } => {
                self.gone_until = self.gone_until.max(now + time);
                self.down_until = self.down_until.max(self.gone_until);
                self.service.forget(self.down_until);
            }
            Trouble::Quota { team, quota, within } => self.publish(team, Some(quota), within),
            Trouble::Remake { team, after } => self.remake(team, after),
            Trouble::Promise { promise, within } => {
                (0..self.nodes.len()).for_each(|node| self.soon(within, Event::Promise { node, promise }));
            }
            Trouble::Contention { node } => {
                let count = self.random.between(1, 5) as u32;
                self.nodes[node].iter().for_each(|node| node.shared.conflict_next(count));
            }
        }
    }

    fn note_death(&mut self, number: usize) {
        let Some(node) = &self.nodes[number] else { return };
        for account in (0..self.plan.teams).map(account) {
            let counter = node.counter(&account, self.now);
            self.judge.counts.died_with += self.service.lent_to(&counter, &(&account).into(), self.now);
        }
    }

    fn trap(&mut self, number: usize, vm: usize) {
        // Then nobody is steward any more.
        if self.plan.vms == 1 {
            return;
        }
        let life = self.lives[number];
        if let Some(node) = &mut self.nodes[number] {
            node.vms[vm] = None;
            if vm > 0 {
                self.soon(500, Event::StartVm(Place { node: number, life, vm }));
            }
        }
    }

    fn fail(&mut self, time: u64) {
        self.down_until = self.down_until.max(self.now + time);
        self.service.fail();
    }

    fn publish(&mut self, team: usize, quota: Option<Quota>, within: u64) {
        self.quotas[team] = quota;
        (0..self.nodes.len()).for_each(|node| self.soon(within, Event::Record { node, team, quota }));
    }

    fn remake(&mut self, team: usize, after: u64) {
        let Some(quota) = self.quotas[team] else { return };
        for node in 0..self.nodes.len() {
            self.at(self.now, Event::Record { node, team, quota: None });
            self.at(self.now + after, Event::Record { node, team, quota: Some(quota) });
        }
    }
}
