//! What happens in one run of the simulation: who demands what, and what goes wrong when. It follows from the seed alone.

use tollkeeper_contract::Quota;

use crate::{
    config::{Fallback, FleetQuotas, Promise, Remaining},
    limiter::Limit,
};

use super::random::Random;

/// Everything that is decided before a run begins.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) limit: Limit,
    pub(super) fleet: FleetQuotas,
    pub(super) nodes: usize,
    /// Nodes that come later, and when.
    pub(super) late: Vec<(usize, u64)>,
    /// VMs of each, the main thread's included.
    pub(super) vms: usize,
    pub(super) teams: usize,
    /// When clients stop.
    pub(super) end: u64,
    pub(super) clients: Vec<Client>,
    pub(super) network: Network,
    pub(super) trouble: Vec<(u64, Trouble)>,
    /// How many thousandths clocks differ in their pace at most; a lease's margin allows for 90.
    pub(super) drift: u64,
}

/// Somebody who sends requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) team: usize,
    pub(super) way: Way,
    pub(super) manner: Manner,
    /// The most that a request costs; each costs from `least` to that.
    pub(super) most: u32,
    pub(super) least: u32,
    /// When it begins, or up to a second later.
    pub(super) from: u64,
}

/// To which node somebody sends requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Always to this one.
    To(usize),
    /// To any.
    Any,
    /// To the same for a while, and then to any.
    Stays,
}

/// How somebody sends requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// So many at a time, with a pause of so many milliseconds on average.
    Bursts { count: u64, pause: u64 },
    /// The next as soon as the last one was let through; whoever is refused waits as long as told.
    AsTold,
}

/// What becomes of messages between nodes and the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    /// The longest that one takes, in milliseconds.
    pub(super) slowest: u64,
    /// Percent of them that are lost.
    pub(super) lost: u64,
    /// Percent of them that arrive twice.
    pub(super) doubled: u64,
    /// Percent of them that take up to 8 seconds more.
    pub(super) late: u64,
}

/// What goes wrong, or changes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The process dies, and one of another name comes in its place, or none.
    Kill { node: usize, back_after: Option<u64> },
    /// Nothing gets through between this node and the service.
    Cut { node: usize, time: u64 },
    /// A VM traps. The main thread's never comes back.
    Trap { node: usize, vm: usize },
    /// A VM does nothing for a while.
    Stall { node: usize, vm: usize, time: u64 },
    /// The service cannot keep books for a while.
    Fail { time: u64 },
    /// The service does nothing for a while: what it was asked it answers afterwards.
    Freeze { time: u64 },
    /// The place where books are kept answers so many milliseconds late for a while.
    Slow { time: u64, by: u64 },
    /// The service starts anew without its memory, after so long.
    Forget { time: u64 },
    /// A team gets another quota; nodes hear of it within so many milliseconds.
    Quota { team: usize, quota: Quota, within: u64 },
    /// A team is deleted and made again soon.
    Remake { team: usize, after: u64 },
    /// Another promise is configured, on one node after the other.
    Promise { promise: Promise, within: u64 },
    /// Others write the same cells at the same time.
    Contention { node: usize },
}

const LIMITS: [u32; 8] = [1, 2, 5, 10, 30, 100, 300, 1000];
const WINDOWS: [u32; 9] = [1, 2, 3, 5, 7, 10, 20, 60, 300];

pub(super) fn quota(random: &mut Random) -> Quota {
    Quota::new(random.pick(&LIMITS), random.pick(&WINDOWS)).unwrap()
}

impl Plan {
    pub(super) fn of(random: &mut Random) -> Self {
        let promise = random.pick(&[Promise::Bucket, Promise::Strict]);
        let fallback = random.pick(&[Fallback::Refuse, Fallback::Share]);
        let remaining = random.pick(&[Remaining::Fleet, Remaining::Lease]);
        let fleet = FleetQuotas { wait_ms: random.pick(&[50, 300, 1000, 3000]), fallback, remaining };
        let (nodes, vms) = (random.between(1, 4) as usize, random.between(1, 3) as usize);
        let teams = random.pick(&[1, 1, 1, 2]);
        let end = random.between(1_000, 9_000);
        let mut plan = Self {
            limit: Limit { quota: quota(random), promise },
            fleet,
            nodes,
            late: Vec::new(),
            vms,
            teams,
            end,
            clients: Vec::new(),
            network: Network {
                slowest: random.pick(&[2, 20, 200, 900]),
                lost: random.pick(&[0, 0, 2, 20]),
                doubled: random.pick(&[0, 0, 5, 20]),
                late: random.pick(&[0, 0, 3, 15]),
            },
            trouble: Vec::new(),
            drift: random.pick(&[0, 0, 5, 90]),
        };
        plan.clients = (0..random.between(1, 4)).map(|_| plan.client(random)).collect();
        plan.trouble = (0..random.pick(&[0, 1, 3, 8])).map(|_| plan.trouble(random)).collect();
        if random.chance(25) {
            plan.cut_off_the_first(random);
        }
        plan
    }

    /// Whatever is spent once too often is missed at once: windows are short, others want all there is, and one node has
    /// more than it needs when it is cut off, until about the end of its lease.
    fn cut_off_the_first(&mut self, random: &mut Random) {
        let limit = random.pick(&[30, 60, 120]);
        self.limit.quota = Quota::new(limit, random.pick(&[1, 2, 3])).unwrap();
        (self.nodes, self.vms, self.teams) = (random.between(2, 3) as usize, random.between(2, 3) as usize, 1);
        self.end = random.between(8_000, 11_000);
        (self.fleet.wait_ms, self.drift) = (50, 90);
        let client = |node, count, pause| {
            let manner = Manner::Bursts { count, pause };
            Client { team: 0, way: Way::To(node), manner, most: 1, least: 1, from: 0 }
        };
        self.clients = vec![client(0, 8, 5000), client(0, 1, 250), client(1, u64::from(limit) / 4, 200)];
        let cut = random.between(500, 2_000);
        let time = random.between(4_000, 7_000);
        self.trouble = vec![(cut, Trouble::Cut { node: 0, time })];
        let other = self.trouble(random);
        self.trouble.push(other);
        if random.chance(20) {
            self.trouble.push((cut + random.between(0, 3000), Trouble::Kill { node: 0, back_after: Some(500) }));
        }
    }

    fn client(&self, random: &mut Random) -> Client {
        let limit = self.limit.quota.limit().get();
        let most = random.pick(&[1, 1, 1, 2, 5]).min(limit);
        let (count, pause) = random.pick(&[(1, 30), (1, 100), (3, 400), (20, 1500), (60, 6000)]);
        Client {
            team: random.number() as usize % self.teams,
            way: if random.chance(50) { Way::To(random.number() as usize % self.nodes) } else { Way::Any },
            manner: if random.chance(15) { Manner::AsTold } else { Manner::Bursts { count, pause } },
            most,
            least: if random.chance(80) { 1 } else { 0 },
            from: 0,
        }
    }

    fn trouble(&self, random: &mut Random) -> (u64, Trouble) {
        let node = random.number() as usize % self.nodes;
        let vm = random.number() as usize % self.vms;
        let team = random.number() as usize % self.teams;
        let time = random.pick(&[200, 1500, 5000, 9000]);
        let trouble = match random.number() % 12 {
            0 => Trouble::Kill { node, back_after: random.chance(70).then_some(time) },
            1 | 2 => Trouble::Cut { node, time },
            3 => Trouble::Trap { node, vm },
            4 => Trouble::Stall { node, vm, time },
            5 => Trouble::Fail { time },
            6 => Trouble::Forget { time },
            7 | 8 => Trouble::Quota { team, quota: quota(random), within: random.pick(&[0, 300, 2000]) },
            9 => Trouble::Remake { team, after: time },
            10 => Trouble::Promise {
                promise: random.pick(&[Promise::Bucket, Promise::Strict]),
                within: random.pick(&[0, 2000]),
            },
            _ => Trouble::Contention { node },
        };
        (random.between(0, self.end), trouble)
    }
}
