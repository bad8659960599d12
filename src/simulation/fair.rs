//! What a team gets when nothing goes wrong.

use tollkeeper_contract::Quota;

use crate::{
    config::{Fallback, FleetQuotas, Promise, Remaining},
    limiter::Limit,
};

use super::{
    judge::Counts,
    plan::{Client, Manner, Network, Plan, Trouble, Way},
    random::Random,
    world::World,
};

const QUIET: Network = Network { slowest: 5, lost: 0, doubled: 0, late: 0 };

fn plan(limit: Limit, nodes: usize, clients: Vec<Client>, end: u64) -> Plan {
    let fleet = FleetQuotas { wait_ms: 1000, fallback: Fallback::Refuse, remaining: Remaining::Fleet };
    Plan {
        limit,
        fleet,
        nodes,
        late: Vec::new(),
        vms: 3,
        teams: 1,
        end,
        clients,
        network: QUIET,
        trouble: Vec::new(),
        drift: 0,
    }
}

/// What a team gets.
struct Part {
    /// Of what it may have.
    of_limit: f64,
    /// Of what one limiter for the whole fleet would give the same requests, that knows everything at once.
    of_ideal: f64,
}

/// Of a team whose clients send more than three times as much to three nodes.
fn part(promise: Promise, limit: u32, window: u32) -> Part {
    let limit = Limit { quota: Quota::new(limit, window).unwrap(), promise };
    let (tokens, window) = (u64::from(limit.quota.limit().get()), u64::from(window) * 1000);
    let pause = (window / tokens).max(1);
    let count = (tokens * pause).div_ceil(window) + 1;
    let end = (6 * window).max(60_000) * if tokens == 1 { 10 } else { 1 };
    let plan = plan(limit, 3, demanding(count, pause), end);
    let mut world = World::new(plan, Random::new(limit_seed(limit)));
    world.run();
    assert_eq!(world.judge.complaints, Vec::<String>::new());
    let counts = world.judge.counts;
    let most = match promise {
        Promise::Bucket => tokens + tokens * end / window,
        // The first request comes within the first second.
        Promise::Strict => tokens * ((end - 1000) / window + 1),
    };
    let of_limit = counts.tokens as f64 / most as f64;
    let of_ideal = counts.tokens as f64 / counts.ideal as f64;
    println!(
        "measured: {promise:?} {tokens:>5} per {:>3} s: {:>5.1} % of the limit, {:.1} % of what one limiter that knows everything would give, \
         {:.3} questions per admitted request",
        window / 1000,
        of_limit * 100.0,
        of_ideal * 100.0,
        world.service.questions as f64 / counts.admitted as f64,
    );
    assert_eq!((counts.told_too_much, counts.most_too_much), (0, 0), "times of {}", counts.told_left);
    Part { of_limit, of_ideal }
}

/// On each of three nodes.
fn demanding(count: u64, pause: u64) -> Vec<Client> {
    let client = |node| Client {
        team: 0,
        way: Way::To(node),
        manner: Manner::Bursts { count, pause },
        most: 1,
        least: 1,
        from: 0,
    };
    (0..3).map(client).collect()
}

fn limit_seed(limit: Limit) -> u64 {
    u64::from(limit.quota.limit().get()) * 1000 + u64::from(limit.quota.window().get())
}

#[test]
fn without_trouble_a_demanding_team_gets_98_percent_of_its_limit() {
    for promise in [Promise::Bucket, Promise::Strict] {
        for (limit, window) in [(300, 300), (60, 60), (1000, 60), (300, 20), (1000, 10), (10, 5)] {
            let Part { of_limit, of_ideal } = part(promise, limit, window);
            assert!(of_limit >= LEAST && of_ideal >= LEAST, "{of_limit} of {promise:?} {limit} per {window} s");
        }
        // These clients do not always come in the moment in which the one token is there, so nobody gives them more.
        assert!(part(promise, 1, 1).of_ideal >= LEAST);
    }
}

const LEAST: f64 = 0.98;

/// When the lease of a node has ended that died at `DEATH`: soon, while it has more than it needs.
const DEATH: u64 = 1_100;
const EXPIRED: u64 = DEATH + 5_500;

#[test]
fn a_node_that_dies_with_a_lease_costs_the_team_that_lease_until_it_expires() {
    for promise in [Promise::Bucket, Promise::Strict] {
        let lost: u64 = (0..8).map(|seed| a_node_dies(promise, 100, 10, seed)).max().unwrap();
        println!("measured: {promise:?}: a node died with {lost} of 100 at most");
        assert!(lost > 0);
    }
}

/// Gives what was lent to it.
fn a_node_dies(promise: Promise, limit: u32, window: u32, seed: u64) -> u64 {
    let limit = Limit { quota: Quota::new(limit, window).unwrap(), promise };
    let (tokens, window) = (u64::from(limit.quota.limit().get()), u64::from(window) * 1000);
    // The first request comes within the first second. What a lease has taken from a window comes back with the next.
    let (over, most) = match promise {
        Promise::Bucket => (EXPIRED, tokens + tokens * (EXPIRED - 1000) / window),
        Promise::Strict => (EXPIRED + window, tokens * ((EXPIRED - 1000) / window + 1)),
    };
    let mut plan = plan(limit, 3, demanding(tokens / 10, 100), over + 3 * window);
    plan.clients[0].manner = Manner::Bursts { count: 1, pause: 50 };
    plan.trouble.push((DEATH, Trouble::Kill { node: 0, back_after: None }));
    let mut world = World::new(plan, Random::new(seed));
    world.run_until(EXPIRED);
    let counts = world.judge.counts;
    assert!((counts.tokens + counts.died_with) as f64 >= most as f64 * LEAST, "{limit:?}: {counts:?} of {most}");

    world.run_until(over);
    let before = world.judge.counts.tokens;
    world.run();
    let after = world.judge.counts.tokens - before;
    // Of three windows that begin in the midst of others.
    assert!(after as f64 >= (3 * tokens) as f64 * 0.95, "{limit:?}: {after} afterwards");
    assert_eq!(world.judge.complaints, Vec::<String>::new());
    counts.died_with
}

/// By how much later than it could have been let through a lone client may be told to come again, in milliseconds: nodes
/// have to say first what they do not need.
const SETTLED: u64 = 1_500;

/// Of lone clients.
const SEEDS: std::ops::Range<u64> = 0..400;

#[test]
fn a_lone_client_that_waits_as_told_is_let_through_at_any_node_and_soon() {
    let mut all = Counts::default();
    for seed in SEEDS {
        let counts = a_lone_client(seed, Remaining::Fleet);
        all.told_left += counts.told_left;
        all.told_too_much += counts.told_too_much;
        all.sum_told += counts.sum_told;
        all.sum_left += counts.sum_left;
    }
    print_told(Remaining::Fleet, all);
    // What other nodes take cannot be heard of before it is told.
    assert!(all.told_too_much * 1_000 <= all.told_left);
}

#[test]
fn what_is_told_to_be_left_of_a_lease_is_never_more_than_is_left() {
    let mut all = Counts::default();
    for seed in SEEDS {
        let counts = a_lone_client(seed, Remaining::Lease);
        // That is a complaint as well, in every run of the simulation.
        assert_eq!(counts.told_too_much, 0);
        all.told_left += counts.told_left;
        all.sum_told += counts.sum_told;
        all.sum_left += counts.sum_left;
    }
    print_told(Remaining::Lease, all);
    assert!(all.told_left > 10_000 && all.sum_told > 0);
}

fn print_told(of: Remaining, all: Counts) {
    println!(
        "measured: with remaining={} {:.0} % of what is left was told, too much {} times of {}",
        of.as_str(),
        all.sum_told as f64 / all.sum_left as f64 * 100.0,
        all.told_too_much,
        all.told_left,
    );
}

fn a_lone_client(seed: u64, remaining: Remaining) -> Counts {
    let mut random = Random::new(seed);
    let promise = random.pick(&[Promise::Bucket, Promise::Strict]);
    let limit = Limit { quota: super::plan::quota(&mut random), promise };
    let tokens = limit.quota.limit().get();
    let most = random.pick(&[1, 1, 2, 3, 5, tokens / 2, tokens]).clamp(1, tokens);
    let least = random.pick(&[most, 1]);
    let way = random.pick(&[Way::Any, Way::Stays]);
    let client = Client { team: 0, way, manner: Manner::AsTold, most, least, from: 0 };
    let nodes = random.between(1, 4) as usize;
    let mut plan = plan(limit, nodes, vec![client], 20_000);
    plan.fleet.remaining = remaining;
    let mut world = World::new(plan, random);
    world.is_lone = true;
    world.run();
    let case = format!("seed {seed}: {limit:?}, {nodes} nodes, requests of {least} to {most}, {way:?}");
    assert_eq!(world.judge.complaints, Vec::<String>::new(), "{case}");
    let counts = world.judge.counts;
    assert!(counts.latest <= SETTLED + parts_of(limit), "{} ms late; {case}", counts.latest);
    counts
}

/// What is spent of a window is settled in its parts, and comes back with the last of its part.
fn parts_of(limit: Limit) -> u64 {
    match limit.promise {
        Promise::Bucket => 0,
        Promise::Strict => u64::from(limit.quota.window().get()) * 1000 / 64,
    }
}
