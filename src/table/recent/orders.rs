//! Every order in which two writers and a reader can get at shared data, with a look at what is remembered after each access.
//!
//! What an actor does follows from the answers that it gets. So it is brought to any moment by giving it the first of them again,
//! and breaks off at that moment if nothing follows: every one of these orders is also one in which somebody breaks off.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use tollkeeper_contract::{
    Digest,
    page::{Cursor, Entry, Table},
};

use super::{Recent, Records};
use crate::{
    limiter::Limit,
    shared::{Expected, HostFailure, SharedData, Swap, Value, memory::Memory},
    table::{KeyTable, Names, WriteError},
    time::Monotonic,
};

#[derive(Debug, Clone)]
enum Access {
    Get(String),
    Swap(String, Vec<u8>, Expected),
}

#[derive(Debug, Clone)]
enum Answer {
    Read(Option<Value>),
    Swapped(Swap),
}

/// Shared data that gives these answers, and fails when it has no more.
struct Replayed<'a> {
    answers: &'a [Answer],
    at: Cell<usize>,
    /// What was asked when there was no answer.
    asked: RefCell<Option<Access>>,
}

impl Replayed<'_> {
    fn answer(&self, access: Access) -> Option<Answer> {
        let answer = self.answers.get(self.at.replace(self.at.get() + 1)).cloned();
        if answer.is_none() {
            self.asked.borrow_mut().get_or_insert(access);
        }
        answer
    }
}

impl SharedData for Replayed<'_> {
    fn get(&self, name: &str) -> Result<Option<Value>, HostFailure> {
        match self.answer(Access::Get(name.to_owned())) {
            Some(Answer::Read(value)) => Ok(value),
            Some(Answer::Swapped(_)) | None => Err(HostFailure),
        }
    }

    fn swap(&self, name: &str, value: &[u8], expected: Expected) -> Result<Swap, HostFailure> {
        match self.answer(Access::Swap(name.to_owned(), value.to_vec(), expected)) {
            Some(Answer::Swapped(swap)) => Ok(swap),
            Some(Answer::Read(_)) | None => Err(HostFailure),
        }
    }
}

/// The first two write, each the key of its number; the third reads both.
const ACTORS: usize = 3;
const WRITERS: [u8; 2] = [0, 1];

fn key(writer: u8) -> Digest {
    Digest::of(&[writer])
}

fn table<'a, Shared: SharedData>(shared: &'a Shared, names: &'a Names) -> KeyTable<'a, Shared> {
    KeyTable { shared, names, limits: Limit::bucket(1, 1).into(), now: Monotonic(0) }
}

fn write(shared: &impl SharedData, writer: u8, record: &[u8]) -> Result<(), WriteError> {
    let cursor = Cursor { table: Table::Keys, digest: key(writer) };
    table(shared, &Names::new("test")).apply(&[Entry { cursor, record: Some(record) }])
}

/// One request of a VM that has this in memory.
fn request(shared: &impl SharedData, recent: &RefCell<Recent>) -> Option<[Option<Vec<u8>>; 2]> {
    let names = Names::new("test");
    let table = table(shared, &names);
    let records = Records::now(&table, recent).ok()?;
    let find = |writer| Some(records.find_key(&key(writer)).ok()?.map(|record| record.to_vec()));
    Some([find(0)?, find(1)?])
}

/// How far everybody is.
#[derive(Debug, Clone, Default)]
struct Moment {
    memory: Memory,
    answers: [Vec<Answer>; ACTORS],
    /// Whose mark was set last.
    marked: Option<usize>,
}

impl Moment {
    fn replay<T>(&self, actor: usize, act: impl FnOnce(&Replayed<'_>) -> T) -> (T, Option<Access>) {
        let replayed = Replayed { answers: &self.answers[actor], at: Cell::default(), asked: RefCell::default() };
        let outcome = act(&replayed);
        (outcome, replayed.asked.take())
    }

    fn writer(&self, writer: u8) -> (Result<(), WriteError>, Option<Access>) {
        self.replay(writer.into(), |shared| write(shared, writer, b"revoked"))
    }

    /// What the reader remembers so far, and what it would do next.
    fn reader(&self) -> (RefCell<Recent>, Option<Access>) {
        let recent = RefCell::default();
        let (_, asked) = self.replay(2, |shared| request(shared, &recent));
        (recent, asked)
    }

    /// Lets somebody do one access; `None` if it has nothing more to do.
    fn after(&self, actor: usize) -> Option<Self> {
        let access = if actor == 2 { self.reader().1 } else { self.writer(WRITERS[actor]).1 }?;
        let mut next = self.clone();
        next.answers[actor].push(match access {
            Access::Get(name) => Answer::Read(self.memory.get(&name).unwrap()),
            Access::Swap(name, value, expected) => {
                let swap = next.memory.swap(&name, &value, expected).unwrap();
                if swap == Swap::Done && name == Names::new("test").stamp() && !value.is_empty() {
                    next.marked = Some(actor);
                }
                Answer::Swapped(swap)
            }
        });
        Some(next)
    }

    /// What the next request is judged by is what stands in the shards.
    fn check(&self) {
        let remembered = request(&self.memory, &self.reader().0).unwrap();
        let stands = request(&self.memory, &RefCell::default()).unwrap();
        for writer in WRITERS {
            let (outcome, asked) = self.writer(writer);
            let ended_well = asked.is_none() && outcome.is_ok();
            let replaced = self.marked.is_some_and(|marked| marked != usize::from(writer));
            if ended_well || !replaced {
                let at = usize::from(writer);
                assert_eq!(remembered[at], stands[at], "the record of writer {writer} in {self:#?}");
            }
        }
    }
}

/// Looks at this moment and at all that can follow, each once.
fn explore(moment: &Moment, seen: &mut BTreeSet<String>) {
    if !seen.insert(format!("{moment:?}")) {
        return;
    }
    moment.check();
    for actor in 0..ACTORS {
        if let Some(next) = moment.after(actor) {
            explore(&next, seen);
        }
    }
}

#[test]
fn in_any_order_of_two_writers_whoever_ends_well_or_breaks_off_unreplaced_is_seen_by_the_next_request() {
    let (nothing, written) = (Moment::default(), Moment::default());
    WRITERS.into_iter().for_each(|writer| write(&written.memory, writer, b"active").unwrap());
    for start in [nothing, written] {
        let mut seen = BTreeSet::new();
        explore(&start, &mut seen);
        assert!(seen.len() > 1000);
    }
}
