//! A window that never holds more than its limit: a record of what was spent, as nodes keep one for themselves.
//!
//! Spent tokens come back a whole window after they were spent. Those spent within a 64th of the window are one run and
//! come back together, with the last of them: late, never early.

use serde::{Deserialize, Serialize};

/// Into how many parts a window is divided for runs.
const PARTS: u64 = 64;

/// Where the sum of a run stops: far above every limit.
const MOST_SPENT: u64 = 1 << 40;

/// What was spent in the window that ends now.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Runs {
    /// When the newest run began.
    pub(super) since: u64,
    /// The oldest first; their ends rise.
    pub(super) runs: Vec<Run>,
}

/// Tokens that were spent close together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// When the last of them was spent.
    pub(super) end: u64,
    pub(super) spent: u64,
}

impl Runs {
    /// At a time that is not before any that was spent at.
    pub(super) fn spend(&mut self, tokens: u64, at: u64, window: u64) {
        if tokens == 0 {
            return;
        }
        match self.prolong(at, window) {
            Some(newest) => newest.spent = newest.spent.saturating_add(tokens).min(MOST_SPENT),
            None => {
                self.since = at;
                self.runs.push(Run { end: at, spent: tokens.min(MOST_SPENT) });
            }
        }
    }

    /// Prolongs the newest run up to `at`, if it may be so long.
    pub(super) fn prolong(&mut self, at: u64, window: u64) -> Option<&mut Run> {
        let newest = self.runs.last_mut().filter(|_| at.saturating_sub(self.since) < window / PARTS)?;
        newest.end = at;
        Some(newest)
    }

    /// Prolongs the newest run as far as it can still become, if something is spent from `now` on.
    pub(super) fn prolong_to_end(&mut self, now: u64, window: u64) {
        let end = self.since.saturating_add(window / PARTS).saturating_sub(1);
        if let Some(newest) = self.runs.last_mut().filter(|_| now <= end) {
            newest.end = newest.end.max(end);
        }
    }

    /// Takes back what was counted as spent at a time whose run is still there.
    pub(super) fn credit(&mut self, tokens: u64, spent_at: u64) {
        if let Some(run) = self.runs.iter_mut().find(|run| run.end >= spent_at) {
            run.spent = run.spent.saturating_sub(tokens);
        }
    }

    /// Forgets what was spent more than a window ago; gives the end of the last run that was.
    pub(super) fn forget(&mut self, now: u64, window: u64) -> Option<u64> {
        // One millisecond more than the window: clocks are cut to milliseconds.
        let is_over = |run: &Run| now.saturating_sub(run.end) > window;
        let last = self.runs.iter().rfind(|run| is_over(run)).map(|run| run.end);
        self.runs.retain(|run| !is_over(run));
        last
    }

    pub(super) fn spent(&self) -> u64 {
        self.runs.iter().map(|run| run.spent).sum()
    }

    /// When so many of the tokens have come back.
    pub(super) fn time_of(&self, mut tokens: u64, window: u64) -> u64 {
        let mut at = 0;
        for run in &self.runs {
            if tokens == 0 {
                break;
            }
            tokens = tokens.saturating_sub(run.spent);
            at = run.end.saturating_add(window).saturating_add(1);
        }
        at
    }
}
