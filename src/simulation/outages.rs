//! What all nodes admit together, of leases and of shares, while nobody answers any of them, and afterwards.

use tollkeeper_contract::Quota;

use crate::{
    config::{Fallback, FleetQuotas, Promise, Remaining},
    limiter::Limit,
};

use super::{
    plan::{Client, Manner, Network, Plan, Trouble, Way},
    random::Random,
    world::World,
};

const QUIET: Network = Network { slowest: 5, lost: 0, doubled: 0, late: 0 };
const SEEDS: u64 = 150;

/// How many are simulated for minutes.
const LONG_SEEDS: u64 = 50;

/// How nobody answers for some time, of so many nodes.
type Absence = fn(u64, usize) -> Vec<Trouble>;

/// Books cannot be kept.
const FAILS: Absence = |time, _| vec![Trouble::Fail { time }];

/// The service is frozen.
const FREEZES: Absence = |time, _| vec![Trouble::Freeze { time }];

/// It is cut off from all nodes.
const IS_CUT_OFF: Absence = |time, nodes| (0..nodes).map(|node| Trouble::Cut { node, time }).collect();

/// Every answer is late.
const IS_LATE: Absence = |time, _| vec![Trouble::Slow { time, by: 990 + time % 1_000 }];

/// The service ends, and one that remembers nothing begins.
const BEGINS_ANEW: Absence = |time, _| vec![Trouble::Forget { time }];

#[test]
fn while_every_answer_is_late_and_afterwards_they_are_no_more_either() {
    are_no_more(SEEDS, IS_LATE, once);
}

#[test]
fn while_books_cannot_be_kept_and_afterwards_leases_and_shares_are_no_more_than_was_promised() {
    are_no_more(SEEDS, FAILS, once);
}

#[test]
fn while_a_service_is_frozen_and_afterwards_they_are_no_more_either() {
    are_no_more(SEEDS, FREEZES, once);
}

#[test]
fn while_a_service_is_cut_off_from_all_nodes_and_afterwards_they_are_no_more_either() {
    are_no_more(SEEDS, IS_CUT_OFF, once);
}

#[test]
fn where_nodes_come_about_when_it_begins_they_are_no_more_either() {
    for absence in [FAILS, FREEZES, IS_CUT_OFF, IS_LATE] {
        are_no_more(SEEDS / 3, absence, beside_newcomers);
    }
    are_no_more(SEEDS / 3, IS_CUT_OFF, beside_newcomers_and_soon_again);
}

#[test]
fn where_nodes_were_given_up_for_lost_they_are_no_more_in_the_next_absence_either() {
    for absence in [FREEZES, IS_CUT_OFF, BEGINS_ANEW] {
        are_no_more(LONG_SEEDS, absence, again_after_a_long_one);
    }
}

fn are_no_more(seeds: u64, absence: Absence, course: fn(&mut Random, usize) -> Course) {
    let runs: Vec<_> = (0..seeds).map(|seed| outage(seed, absence, course)).collect();
    for run in &runs {
        assert_eq!(run.over, None);
    }
    assert!(runs.iter().any(|run| run.of_shares > 0));
}

/// When nobody answers, and which nodes come when.
#[derive(Debug)]
struct Course {
    /// When an absence begins, and for how long it lasts.
    absences: Vec<(u64, u64)>,
    late: Vec<(usize, u64)>,
}

fn once(random: &mut Random, _: usize) -> Course {
    Course { absences: vec![(random.between(1_500, 6_000), random.between(200, 20_000))], late: Vec::new() }
}

/// The last node, or the last two, come shortly before it begins, or afterwards.
fn beside_newcomers(random: &mut Random, nodes: usize) -> Course {
    let course = once(random, nodes);
    let begin = course.absences[0].0;
    let new = random.between(1, 2.min(nodes as u64 - 1)) as usize;
    let late = (nodes - new..nodes).map(|node| (node, begin + random.between(0, 3_000) - 1_500)).collect();
    Course { late, ..course }
}

/// They come just before one, and of the others some have not heard of them when the next begins.
fn beside_newcomers_and_soon_again(random: &mut Random, nodes: usize) -> Course {
    let (begin, first) = (random.between(2_500, 6_000), random.between(2_000, 8_000));
    let second = begin + first + random.between(50, 1_200);
    let late = (nodes.div_ceil(2)..nodes).map(|node| (node, begin - random.between(0, 500))).collect();
    Course { absences: vec![(begin, first), (second, random.between(8_000, 20_000))], late }
}

/// The first lasts for so long that no node counts any more; the second begins soon after it.
fn again_after_a_long_one(random: &mut Random, _: usize) -> Course {
    let (first, long) = (random.between(1_500, 6_000), random.between(30_000, 70_000));
    let second = first + long + random.between(500, 8_000);
    Course { absences: vec![(first, long), (second, random.between(200, 20_000))], late: Vec::new() }
}

struct Run {
    of_shares: u64,
    /// The first time that more was admitted than was promised.
    over: Option<String>,
}

fn outage(seed: u64, absence: Absence, course: fn(&mut Random, usize) -> Course) -> Run {
    let mut random = Random::new(seed);
    let promise = random.pick(&[Promise::Bucket, Promise::Strict]);
    let (limit, window) = random.pick(&[(6, 5), (30, 3), (100, 1), (300, 10), (300, 10)]);
    let quota = Quota::new(limit, window).unwrap();
    let nodes = random.between(2, 6) as usize;
    let course = course(&mut random, nodes);
    let case = format!("seed {seed}: {promise:?} {quota:?}, {nodes} nodes, {course:?}");
    let (begin, time) = *course.absences.last().unwrap();
    let wait_ms = random.pick(&[50, 300, 1000, 1000, 3000]);
    let fleet = FleetQuotas { wait_ms, fallback: Fallback::Share, remaining: Remaining::Fleet };
    let plan = Plan {
        limit: Limit { quota, promise },
        fleet,
        nodes,
        late: course.late,
        vms: 2,
        teams: 1,
        end: begin + time + 15_000,
        clients: match random.number() % 3 {
            0 => (0..nodes).map(|node| client(&mut random, node, quota)).collect(),
            1 => one_has_a_lease(&mut random, nodes, quota, begin),
            _ => others_come_in_the_end(&mut random, nodes, quota, begin + time),
        },
        network: QUIET,
        trouble: course
            .absences
            .iter()
            .flat_map(|(begin, time)| absence(*time, nodes).into_iter().map(|trouble| (*begin, trouble)))
            .collect(),
        drift: 0,
    };
    let mut world = World::new(plan, random);
    world.judge.adds_shares = true;
    world.run();
    let over = world.judge.complaints.first().map(|complaint| format!("{case}: {complaint}"));
    Run { of_shares: world.judge.counts.overdrawn, over }
}

/// Some always want more; others have a lease, and spend it later.
fn client(random: &mut Random, node: usize, quota: Quota) -> Client {
    let third = u64::from(quota.limit().get() / 3).max(1);
    let (count, pause) = random.pick(&[(1, 30), (third, 300), (third, 2500), (third, 2500), (third, 4000)]);
    Client { team: 0, way: Way::To(node), manner: Manner::Bursts { count, pause }, most: 1, least: 1, from: 0 }
}

/// One node has a lease when it begins, and spends it later; the others come meanwhile, and want all there is.
fn one_has_a_lease(random: &mut Random, nodes: usize, quota: Quota, begin: u64) -> Vec<Client> {
    let half = u64::from(quota.limit().get()).div_ceil(2);
    let client = |node, from, count, pause| {
        let manner = Manner::Bursts { count, pause };
        Client { team: 0, way: Way::To(node), manner, most: 1, least: 1, from }
    };
    let once = 1_000_000;
    let spent = begin + random.between(500, 4_000);
    let mut clients = vec![client(0, begin - 1_000, half / 4 + 1, once), client(0, spent, half, once)];
    clients.extend((1..nodes).map(|node| client(node, begin, half / 4 + 1, 200)));
    clients
}

/// One node is in use all the time; the others are idle until about the end of the absence, and then want all there is.
fn others_come_in_the_end(random: &mut Random, nodes: usize, quota: Quota, end: u64) -> Vec<Client> {
    let client = |node, from, count, pause| {
        let manner = Manner::Bursts { count, pause };
        Client { team: 0, way: Way::To(node), manner, most: 1, least: 1, from }
    };
    let from = (end + 100).saturating_sub(random.between(0, 2_000));
    let mut clients = vec![client(0, 0, 1, 30)];
    clients.extend((1..nodes).map(|node| client(node, from, u64::from(quota.limit().get()), 500)));
    clients
}
