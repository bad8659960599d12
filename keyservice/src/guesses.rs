//! Wrong tokens of the admin API, counted by where they come from. Whoever has shown too many waits, and is not told
//! meanwhile whether a token is right: a limit that lets a right guess pass would slow down nobody who guesses.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Attempts, SourceNetwork};

/// Wrong tokens of the last minutes, apart from logins that failed.
pub struct Guesses {
    attempts: Mutex<Attempts>,
    since: Instant,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unopened {
    /// It is wrong.
    Wrong,
    /// It was not looked at, and none from there is for so long.
    Waits(Duration),
}

impl Guesses {
    /// Nobody has been wrong yet.
    #[must_use]
    pub fn none() -> Self {
        Self { attempts: Mutex::new(Attempts::none()), since: Instant::now() }
    }

    /// What a token that comes from there opens, which `open` knows.
    ///
    /// # Errors
    /// When it opens nothing, or too many wrong ones came from there lately.
    pub fn look<T>(&self, source: Option<IpAddr>, open: impl FnOnce() -> Option<T>) -> Result<T, Unopened> {
        self.look_at(self.since.elapsed(), source, open)
    }

    /// One token at a time: of many that are shown at once, no more are looked at than of as many one after the other.
    fn look_at<T>(
        &self,
        now: Duration,
        source: Option<IpAddr>,
        open: impl FnOnce() -> Option<T>,
    ) -> Result<T, Unopened> {
        let source = SourceNetwork::from(source.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.admit(source, None, now).map_err(Unopened::Waits)?;
        open().ok_or_else(|| {
            attempts.failed(source, None, now);
            Unopened::Wrong
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Guesses, Unopened};
    use std::{net::IpAddr, time::Duration};

    const START: Duration = Duration::from_secs(1000);

    #[test]
    fn whoever_waits_learns_nothing_and_is_heard_again_when_they_were_told() {
        let guesses = Guesses::none();
        let source = Some(IpAddr::from([192, 0, 2, 1]));
        let shown = |now, is_right: bool| guesses.look_at(now, source, || is_right.then_some(()));
        for _ in 0..20 {
            assert_eq!(shown(START, true), Ok(()), "it is no guess, and forgives none");
            assert_eq!(shown(START, false), Err(Unopened::Wrong));
        }
        let Err(Unopened::Waits(wait)) = shown(START, true) else { panic!("a right guess is let in") };
        // Who goes on meanwhile does not wait for longer.
        assert_eq!(shown(START, false), Err(Unopened::Waits(wait)));
        assert_eq!(shown(START + wait / 2, true), Err(Unopened::Waits(wait - wait / 2)));
        assert_eq!(shown(START + wait, true), Ok(()));
        assert_eq!(shown(START + wait, false), Err(Unopened::Wrong));
        assert!(matches!(shown(START + wait, true), Err(Unopened::Waits(_))));
        assert_eq!(guesses.look_at(START, Some(IpAddr::from([192, 0, 2, 2])), || Some(())), Ok(()));
    }
}
