//! How far an import is: a bar on a terminal, a line now and then elsewhere, nothing where a program reads.

use std::{
    fmt,
    io::{IsTerminal, Write, stderr},
};

use indicatif::{HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};

use crate::cli::output::Output;

/// How many keys between two lines.
const EVERY: usize = 10_000;

/// How far an import is, on standard error.
pub(super) enum Progress {
    Bar(ProgressBar),
    Lines { done: usize, all: usize },
    Silent,
}

impl Progress {
    pub(super) fn new(all: usize, output: Output) -> Self {
        match output {
            Output::Json => Self::Silent,
            Output::Text if stderr().is_terminal() => {
                let bar = ProgressBar::new(u64::try_from(all).unwrap_or(u64::MAX));
                let form = "{wide_bar} {human_pos} of {human_len} keys, {rate}, {eta} left";
                let style = ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar());
                let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
                    // What cannot be written is not shown.
                    let _ = out.write_str(&rate(state.per_sec()));
                };
                Self::Bar(bar.with_style(style.with_key("rate", rate)))
            }
            Output::Text => Self::Lines { done: 0, all },
        }
    }

    pub(super) fn add(&mut self, count: usize) {
        match self {
            Self::Bar(bar) => bar.inc(u64::try_from(count).unwrap_or(u64::MAX)),
            Self::Lines { done, all } => {
                let before = *done;
                *done += count;
                if before / EVERY != *done / EVERY {
                    // Nobody is left to tell when this fails.
                    let _ = writeln!(stderr(), "{done} of {all} keys");
                }
            }
            Self::Silent => {}
        }
    }

    pub(super) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How fast it goes, in whole numbers.
fn rate(per_second: f64) -> String {
    format!("{:.0}/s", HumanFloatCount(per_second))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_is_a_whole_number() {
        assert_eq!(super::rate(1859.064), "1,859/s");
        assert_eq!(super::rate(0.7), "1/s");
    }
}
