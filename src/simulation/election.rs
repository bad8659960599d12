//! VMs that would be steward at the same time, in every order: one of them is.

use std::{sync::Mutex, time::Duration};

use crate::{
    limiter::Limit,
    shared::memory::Memory,
    steward::{Generation, Holder, Settings, Standing, Steward},
    table::Names,
    time::Monotonic,
};

use super::{
    node::token,
    orders::{self, Actor, Stepped, Turns},
};

/// When the lease of the beginning has ended, for everybody.
const ENDED: u64 = 60_000;

#[derive(Default)]
struct Scene {
    memory: Mutex<Memory>,
    /// Who was told to be steward.
    told: Mutex<Vec<u64>>,
    turns: Turns,
}

impl Stepped for Scene {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn memory(&self) -> &Mutex<Memory> {
        &self.memory
    }
}

type Seen<'a> = orders::Seen<'a, Scene>;

fn vm(holder: u64) -> Steward {
    let settings = Settings {
        poll: Duration::from_secs(60),
        timeout: Duration::from_secs(1),
        token: token(),
        node: "n".to_owned(),
        instance: "test".to_owned(),
        default_limit: Limit::bucket(10, 60),
        fleet: None,
    };
    let generation = Generation { configuration: 1, born: Monotonic(0) };
    Steward::new(Names::new("test"), Holder(holder), generation, settings)
}

/// One that serves requests.
fn worker(holder: u64) -> Steward {
    let mut vm = vm(holder);
    vm.note_request(&Memory::default()).unwrap();
    vm
}

fn stand(seen: &Seen<'_>, mut vm: Steward, holder: u64, now: u64) {
    if vm.stand(seen, Monotonic(now)).unwrap() == Standing::Steward {
        seen.scene.told.lock().unwrap().push(holder);
    }
}

/// Nobody ever was steward.
fn free() -> Scene {
    Scene::default()
}

/// The first is, from the time 0 on.
fn held() -> Scene {
    let scene = free();
    assert_eq!(vm(1).stand(&*scene.memory.lock().unwrap(), Monotonic(0)), Ok(Standing::Steward));
    scene
}

/// Lets these act in every order; gives how many there are.
fn explore(prepared: fn() -> Scene, actors: &[Actor<Scene>], check: impl Fn(&[u64], &Scene)) -> u64 {
    orders::explore(prepared, actors, |scene, _| check(&scene.told.lock().unwrap(), scene))
}

/// Whoever was told so last is; before it only the one that serves requests, from which others take over at once.
fn one_is_steward(told: &[u64], scene: &Scene) {
    assert!(matches!(told, [_] | [3, 1 | 2]), "{told:?}");
    let memory = scene.memory.lock().unwrap();
    let is_steward = |holder: &u64| vm(*holder).stand(&*memory, Monotonic(ENDED)).unwrap() == Standing::Steward;
    assert_eq!(told.iter().rev().filter(|holder| is_steward(holder)).count(), 1, "{told:?}");
}

#[test]
fn of_three_that_come_to_a_free_lease_one_is_steward_in_any_order() {
    let orders = explore(
        free,
        &[
            |seen| stand(seen, vm(1), 1, ENDED),
            |seen| stand(seen, vm(2), 2, ENDED),
            |seen| stand(seen, worker(3), 3, ENDED),
        ],
        one_is_steward,
    );
    println!("measured: {orders} orders of three VMs and a free lease");
    assert!(orders >= 6);
}

#[test]
fn where_the_stewards_lease_has_ended_it_or_another_has_it_in_any_order() {
    let orders = explore(
        held,
        &[
            |seen| stand(seen, vm(1), 1, ENDED),
            |seen| stand(seen, vm(2), 2, ENDED),
            |seen| stand(seen, worker(3), 3, ENDED),
        ],
        one_is_steward,
    );
    println!("measured: {orders} orders of three VMs and a lease that has ended");
    assert!(orders >= 6);
}

#[test]
fn a_steward_that_hands_over_while_two_others_come_leaves_one_or_a_free_lease_in_any_order() {
    let hands_over: Actor<Scene> = |seen| vm(1).note_request(seen).unwrap();
    let orders = explore(
        held,
        &[hands_over, |seen| stand(seen, vm(2), 2, 5), |seen| stand(seen, vm(3), 3, 5)],
        |told, scene| {
            assert!(told.len() <= 1, "{told:?}");
            let memory = scene.memory.lock().unwrap();
            let next = vm(4).stand(&*memory, Monotonic(5)).unwrap();
            assert_eq!(next == Standing::Steward, told.is_empty(), "whoever came too early is followed at once");
        },
    );
    println!("measured: {orders} orders of a steward that hands over and two VMs");
    assert!(orders >= 6);
}
