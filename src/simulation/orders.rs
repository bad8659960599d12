//! Every order in which actors can make their accesses.
//!
//! Each actor runs in a thread of its own and stops before each access until it is its turn. All orders are tried but
//! those that only exchange two accesses that do not touch each other: nobody could tell them apart (sleep sets:
//! Godefroid, Partial-Order Methods for the Verification of Concurrent Systems).

use std::sync::{Condvar, Mutex};

use crate::shared::{Expected, HostFailure, SharedData, Swap, Value, memory::Memory};

/// What actors share.
pub(super) trait Stepped: Sync {
    /// Whose turn it is.
    fn turns(&self) -> &Turns;

    /// What they read and write.
    fn memory(&self) -> &Mutex<Memory>;
}

/// What they share, as one of them sees it.
pub(super) struct Seen<'a, Scene> {
    pub(super) scene: &'a Scene,
    actor: usize,
}

/// What one of them does.
pub(super) type Actor<Scene> = fn(&Seen<'_, Scene>);

impl<Scene: Stepped> Seen<'_, Scene> {
    /// Goes on when it is its turn.
    pub(super) fn wait(&self, access: Access) {
        self.scene.turns().wait(self.actor, access);
    }
}

impl<Scene: Stepped> SharedData for Seen<'_, Scene> {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        self.wait(Access::Get(name.to_owned()));
        self.scene.memory().lock().unwrap().get(name)
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        self.wait(Access::Swap(name.to_owned()));
        self.scene.memory().lock().unwrap().swap(name, value, expected)
    }
}

/// What an actor is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    Get(String),
    Swap(String),
    /// A question to the key service.
    Question,
}

impl Access {
    /// Whether it makes no difference which of two comes first.
    fn leaves_alone(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Get(_), Self::Get(_)) => true,
            (Self::Get(one) | Self::Swap(one), Self::Get(other) | Self::Swap(other)) => one != other,
            (Self::Question, Self::Get(_)) | (Self::Get(_), Self::Question) => true,
            // Whoever swaps may have moved the clock.
            (Self::Question, _) | (_, Self::Question) => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Running,
    Waiting(Access),
    Done,
}

/// Whose turn it is.
#[derive(Default)]
pub(super) struct Turns {
    stages: Mutex<Vec<Stage>>,
    changed: Condvar,
}

/// Who can go on, each with what it would do.
type Ready = Vec<(usize, Access)>;

impl Turns {
    fn set(&self, actor: usize, stage: Stage) {
        self.stages.lock().unwrap()[actor] = stage;
        self.changed.notify_all();
    }

    /// The actor goes on when it is its turn.
    fn wait(&self, actor: usize, access: Access) {
        self.set(actor, Stage::Waiting(access));
        let stages = self.stages.lock().unwrap();
        drop(self.changed.wait_while(stages, |stages| matches!(stages[actor], Stage::Waiting(_))).unwrap());
    }

    /// Who can go on, once all others have stopped; nobody when all are done.
    fn ready(&self) -> Ready {
        let stages = self.stages.lock().unwrap();
        let stages = self.changed.wait_while(stages, |stages| stages.contains(&Stage::Running)).unwrap();
        let waiting = stages.iter().enumerate().filter_map(|(actor, stage)| match stage {
            Stage::Waiting(access) => Some((actor, access.clone())),
            Stage::Running | Stage::Done => None,
        });
        waiting.collect()
    }
}

/// Marks an actor as done also when it panics.
struct Ended<'a>(&'a Turns, usize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.set(self.1, Stage::Done);
    }
}

/// A moment at which somebody is chosen to go on.
#[derive(Debug, Clone)]
struct Moment {
    ready: Ready,
    /// Whoever need not be tried here: what follows would be what was tried already.
    asleep: Vec<usize>,
    chosen: usize,
}

impl Moment {
    /// The moment after `before`; `None` if nothing that follows is new.
    fn after(before: Option<&Self>, ready: &Ready) -> Option<Self> {
        let asleep = before.map_or_else(Vec::new, |before| {
            let done = before.access(before.chosen);
            before.asleep.iter().copied().filter(|actor| before.access(*actor).leaves_alone(done)).collect()
        });
        Self::awake(ready, asleep)
    }

    /// The same moment with another choice, if there is one left.
    fn next(&self) -> Option<Self> {
        let asleep = self.asleep.iter().copied().chain([self.chosen]).collect();
        Self::awake(&self.ready, asleep)
    }

    fn awake(ready: &Ready, asleep: Vec<usize>) -> Option<Self> {
        let chosen = ready.iter().map(|(actor, _)| *actor).find(|actor| !asleep.contains(actor))?;
        Some(Self { ready: ready.clone(), asleep, chosen })
    }

    fn access(&self, actor: usize) -> &Access {
        &self.ready.iter().find(|(ready, _)| *ready == actor).unwrap().1
    }
}

/// One run: it begins with these moments, and adds those that follow. Whether it came to an end that is new.
fn run<Scene: Stepped>(scene: &Scene, actors: &[Actor<Scene>], moments: &mut Vec<Moment>) -> bool {
    let turns = scene.turns();
    *turns.stages.lock().unwrap() = vec![Stage::Running; actors.len()];
    let (mut at, mut new) = (0, true);
    std::thread::scope(|scope| {
        for (actor, act) in actors.iter().enumerate() {
            scope.spawn(move || {
                let _ended = Ended(turns, actor);
                act(&Seen { scene, actor });
            });
        }
        loop {
            let ready = turns.ready();
            let Some((first, _)) = ready.first() else { return };
            if at == moments.len() && new {
                match Moment::after(moments.last(), &ready) {
                    Some(moment) => moments.push(moment),
                    None => new = false,
                }
            }
            let chosen = moments.get(at).map_or(*first, |moment| moment.chosen);
            turns.set(chosen, Stage::Running);
            at += 1;
        }
    });
    new
}

/// Tries every order, each in a scene of its own; gives how many there are.
pub(super) fn explore<Scene: Stepped>(
    scene: impl Fn() -> Scene,
    actors: &[Actor<Scene>],
    check: impl Fn(&Scene, &[usize]),
) -> u64 {
    let (mut moments, mut count) = (Vec::new(), 0);
    loop {
        let scene = scene();
        if run(&scene, actors, &mut moments) {
            check(&scene, &moments.iter().map(|moment: &Moment| moment.chosen).collect::<Vec<_>>());
            count += 1;
        }
        let other = loop {
            let Some(last) = moments.pop() else { return count };
            if let Some(other) = last.next() {
                break other;
            }
        };
        moments.push(other);
    }
}
