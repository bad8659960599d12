//! Whole fleets in one thread: nodes with their shared data, workers, stewards and queues, the network, and the key
//! service's engine, under a clock that jumps from one event to the next.
//!
//! Everything follows from a seed, which is printed when something does not hold. `SIMULATION_SEED=7` runs that one alone.

#![expect(clippy::print_stdout, reason = "what it measures, and the seeds that fail, belong into the report")]

// By its path: the filter's tests need the arithmetic, and not the whole service.
mod election;
#[path = "../../keyservice/src/domain/quota/mod.rs"]
#[expect(unused_imports, unreachable_pub, reason = "some of it only the service names, and it names it from outside")]
mod engine;
mod exact;
mod explored;
mod fair;
mod judge;
mod node;
mod orders;
mod outages;
mod plan;
mod random;
mod service;
mod world;

use plan::Plan;
use random::Random;
use world::World;

const SEEDS: u64 = 10_000;

fn run(seed: u64) -> World {
    let mut random = Random::new(seed);
    let plan = Plan::of(&mut random);
    let mut world = World::new(plan, random);
    world.run();
    if seed.is_multiple_of(4) {
        world.conclude();
    }
    world
}

/// Runs the seeds, or the one that the environment names.
fn run_all(seeds: impl Iterator<Item = u64>) {
    let only = std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds: Vec<u64> = only.map_or_else(|| seeds.collect(), |seed| vec![seed]);
    let (mut bad, mut admitted, mut tokens, mut overdrawn, mut questions) = (0, 0, 0, 0, 0);
    for seed in seeds {
        let world = run(seed);
        admitted += world.judge.counts.admitted;
        tokens += world.judge.counts.tokens;
        overdrawn += world.judge.counts.overdrawn;
        questions += world.service.questions;
        if let Some(first) = world.judge.complaints.first() {
            bad += 1;
            println!("SIMULATION_SEED={seed}: {} complaints; {first}", world.judge.complaints.len());
            if only.is_some() {
                println!("{:?}", Plan::of(&mut Random::new(seed)));
                world.judge.complaints.iter().for_each(|complaint| println!("{complaint}"));
            }
        }
    }
    println!(
        "measured: {admitted} admitted for {tokens} tokens, {overdrawn} of them from shares, {questions} questions"
    );
    assert_eq!(bad, 0, "seeds with complaints");
}

#[test]
fn whatever_goes_wrong_no_more_is_admitted_than_was_promised_1_of_4() {
    run_all(0..SEEDS / 4);
}

#[test]
fn whatever_goes_wrong_no_more_is_admitted_than_was_promised_2_of_4() {
    run_all(SEEDS / 4..SEEDS / 2);
}

#[test]
fn whatever_goes_wrong_no_more_is_admitted_than_was_promised_3_of_4() {
    run_all(SEEDS / 2..SEEDS / 4 * 3);
}

#[test]
fn whatever_goes_wrong_no_more_is_admitted_than_was_promised_4_of_4() {
    run_all(SEEDS / 4 * 3..SEEDS);
}
