//! What a change tells the audit log about the thing that it makes, alters or removes.

use std::borrow::Cow;

use super::change::{Change, Entry};
use crate::domain::{Facts, Moment, Told};

impl Change<'_> {
    /// It made this.
    pub(super) fn tell_made<T: Told>(&mut self, action: impl Into<Cow<'static, str>>, made: &T, now: Moment) {
        let detail = Facts::difference(None, Some(&made.facts()));
        self.audit(Entry { detail, ..about(action, made) }, now);
    }

    /// It altered this.
    pub(super) fn tell_changed<T: Told>(
        &mut self,
        action: impl Into<Cow<'static, str>>,
        before: &T,
        after: &T,
        now: Moment,
    ) {
        self.audit(changed(action, before, after), now);
    }
}

/// An entry about a thing that was altered.
pub(super) fn changed<T: Told>(action: impl Into<Cow<'static, str>>, before: &T, after: &T) -> Entry {
    Entry { detail: Facts::difference(Some(&before.facts()), Some(&after.facts())), ..about(action, after) }
}

/// An entry about a thing that was removed.
pub(super) fn gone<T: Told>(action: impl Into<Cow<'static, str>>, gone: &T) -> Entry {
    Entry { detail: Facts::difference(Some(&gone.facts()), None), ..about(action, gone) }
}

/// An entry about a thing, with nothing said yet.
pub(super) fn about<T: Told>(action: impl Into<Cow<'static, str>>, thing: &T) -> Entry {
    let entry = Entry::new(action, T::THING.as_str(), thing.id());
    Entry { team: thing.of_team().map(str::to_owned), enterprise: thing.of_enterprise().map(str::to_owned), ..entry }
}
