//! Requests that wait for something to be lent to their account: at each tick it is looked once per account whether there
//! is news, and only then they are judged again, the oldest first.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
};

use crate::{lease::Patience, principal::Account, table::KeyTable, time::Monotonic};

use super::{host::HostSharedData, stream::Stream};

/// The requests of one configuration in one VM that wait.
#[derive(Default)]
pub(super) struct Waiting {
    queues: RefCell<BTreeMap<Account, VecDeque<Waiter>>>,
}

struct Waiter {
    /// Gone when the client has given up.
    stream: Weak<Stream>,
    /// Since when it waits, and when it must be decided.
    since: Monotonic,
    until: Monotonic,
}

/// What comes of judging a request again.
pub(super) enum Again {
    /// It is decided, and goes on or is answered.
    Decided,
    /// It goes on waiting.
    Waits,
}

impl Waiting {
    /// This request waits from `since` on, until `until` at the latest.
    pub(super) fn join(&self, account: Account, stream: &Rc<Stream>, since: Monotonic, until: Monotonic) {
        if let Ok(mut queues) = self.queues.try_borrow_mut() {
            let waiter = Waiter { stream: Rc::downgrade(stream), since, until };
            queues.entry(account).or_default().push_back(waiter);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queues.try_borrow().is_ok_and(|queues| queues.is_empty())
    }

    /// Judges again whoever has news or no time left; `soon` is when it will be looked again.
    pub(super) fn look_after(&self, table: &KeyTable<'_, HostSharedData>, soon: Monotonic) {
        let queues = self.queues.try_borrow_mut().map(|mut queues| std::mem::take(&mut *queues)).unwrap_or_default();
        for (account, waiters) in queues {
            // Whoever cannot look lets the judgement say what is wrong.
            let has_news = table.has_news(&account).unwrap_or(true);
            let left = serve(waiters, has_news, soon);
            if let (false, Ok(mut queues)) = (left.is_empty(), self.queues.try_borrow_mut()) {
                queues.insert(account, left);
            }
        }
    }
}

/// Judges those in turn that may be decided now; gives those that go on waiting.
fn serve(waiters: VecDeque<Waiter>, mut has_news: bool, soon: Monotonic) -> VecDeque<Waiter> {
    let mut left = VecDeque::new();
    for waiter in waiters {
        let Some(stream) = waiter.stream.upgrade() else { continue };
        let patience = if waiter.until < soon { Patience::Over(waiter.since) } else { Patience::Left };
        if !has_news && patience == Patience::Left {
            left.push_back(waiter);
            continue;
        }
        if let Again::Waits = stream.judge_again(patience) {
            // What was lent is used up, and the next answer is on its way.
            has_news = false;
            left.push_back(waiter);
        }
    }
    left
}
