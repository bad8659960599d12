//! A login from what a client shows to its token: how often it may fail, and how long failing takes.
//!
//! * A failure counts for its source, and for the account if the source is a stranger there (`domain/attempts.rs`).
//! * Whoever is wrong waits for the next whole `STEP` and a little more, so that what is not known and what is wrong
//!   take the same time. A password is always hashed, also if there is nobody to compare it with.
//! * Few passwords are hashed at the same time, and few wait for it: hashing is made to be expensive. Strangers leave
//!   room to those who have logged in from where they are before.

use std::{
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, RwLock},
    thread::available_parallelism,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};
use tollkeeper_contract::{Digest, UserId};

use crate::{
    domain::{Account, Acquaintance, Attempts, HashingMemory, LoginRefusal, Mint, Moment, PasswordHash, SourceNetwork},
    edge,
    store::{Entrance, Login, LoginError, Proof, Store, StoreError, Wish},
};

/// Whoever is wrong is answered after a multiple of this time.
const STEP: Duration = Duration::from_millis(250);

/// The most that is added to it at random.
const JITTER: Duration = Duration::from_millis(50);

/// How many passwords may wait to be hashed.
const QUEUE: usize = 64;

/// How many of them may be strangers'.
const STRANGERS: usize = 48;

/// The most passwords that are hashed at the same time, whatever the machine has: 19 MiB each.
const MOST_HASHED: usize = 8;

/// Where clients log in.
pub struct Desk {
    mint: RwLock<Option<Arc<Mint>>>,
    attempts: Mutex<Attempts>,
    everybody: Lane,
    strangers: Lane,
    memory: Mutex<Vec<HashingMemory>>,
    opened: Instant,
    serving_since: Moment,
}

/// Where passwords wait to be hashed.
struct Lane {
    places: Semaphore,
    turns: Semaphore,
}

impl Lane {
    fn new(places: usize, turns: usize) -> Self {
        Self { places: Semaphore::new(places), turns: Semaphore::new(turns) }
    }

    /// Waits for a turn, unless too many wait already.
    async fn turn(&self) -> Result<[SemaphorePermit<'_>; 2], LoginFailure> {
        let place = self.places.try_acquire().map_err(|_| LoginFailure::Busy)?;
        let turn = self.turns.acquire().await.map_err(|_| LoginFailure::Busy)?;
        Ok([place, turn])
    }
}

/// What a client shows.
pub enum Shown {
    /// A key, as its digest, and perhaps what the client says its id is.
    Key {
        /// The digest of its text.
        digest: Digest,
        /// The id.
        id: Option<String>,
    },
    /// A name and a password.
    Password {
        /// The user's id, or what the client takes for one.
        username: String,
        /// The password.
        password: String,
    },
}

/// A client that wants to log in.
pub struct Visit {
    /// What it shows.
    pub shown: Shown,
    /// What it wants.
    pub wish: Wish,
    /// The address that it comes from.
    pub source: Option<IpAddr>,
}

/// Why a login led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoginFailure {
    /// The service has no signing secret.
    #[error("there is no signing secret")]
    NotConfigured,
    /// No token key that has not ended is made from the secrets of this service.
    #[error("no token key is made from the secrets of this service")]
    SecretMismatch,
    /// It failed too often; it may be tried again after this time.
    #[error("too many attempts failed")]
    TooManyAttempts(Duration),
    /// Too many passwords wait to be hashed, or too many sessions to be made.
    #[error("too many logins at the same time")]
    Busy,
    /// It was refused.
    #[error("refused: {0:?}")]
    Refused(LoginRefusal),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

impl From<LoginError> for LoginFailure {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused(refusal) => Self::Refused(refusal),
            LoginError::SecretMismatch => Self::SecretMismatch,
            LoginError::Busy => Self::Busy,
            LoginError::Failed(error) => Self::Failed(error),
        }
    }
}

/// Who failed, if this attempt does.
#[derive(Clone, Copy)]
struct Suspect {
    source: SourceNetwork,
    account: Option<Account>,
}

impl Desk {
    /// A desk that gives tokens made with `mint`, or none.
    #[must_use]
    pub fn new(mint: Option<Arc<Mint>>) -> Self {
        // Made now, so that the first attempt takes no longer than the others.
        let mut memory = HashingMemory::default();
        PasswordHash::matches_nobody(b"", &mut memory);
        let hashed = available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_HASHED);
        Self {
            mint: RwLock::new(mint),
            attempts: Mutex::new(Attempts::none()),
            everybody: Lane::new(QUEUE, hashed),
            strangers: Lane::new(STRANGERS, hashed.saturating_sub(1).max(1)),
            memory: Mutex::new(vec![memory]),
            opened: Instant::now(),
            serving_since: edge::now(),
        }
    }

    /// What tokens are made with.
    ///
    /// # Errors
    /// When the service has no signing secret.
    pub fn mint(&self) -> Result<Arc<Mint>, LoginFailure> {
        self.mint.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(LoginFailure::NotConfigured)
    }

    /// From now on tokens are made with this.
    pub fn make_with(&self, mint: Option<Arc<Mint>>) {
        *self.mint.write().unwrap_or_else(PoisonError::into_inner) = mint;
    }

    /// Lets a client in.
    ///
    /// # Errors
    /// When it is refused, has to wait, or nobody can be let in.
    pub async fn log_in(self: &Arc<Self>, store: &Store, visit: Visit) -> Result<Login, LoginFailure> {
        let began = Instant::now();
        let (desk, store) = (Arc::clone(self), store.clone());
        // A failure is counted also if the client does not stay to hear of it.
        let done = tokio::spawn(async move { desk.receive(&store, visit).await }).await;
        let done = done.map_err(|_| LoginFailure::Failed(StoreError::Interrupted))?;
        if let Err(LoginFailure::Refused(LoginRefusal::WrongCredentials)) = &done {
            sleep_until(began + whole_steps(began.elapsed()) + edge::up_to(JITTER)?).await;
        }
        done
    }

    async fn receive(&self, store: &Store, visit: Visit) -> Result<Login, LoginFailure> {
        let mint = self.mint()?;
        let source = SourceNetwork::from(visit.source.unwrap_or(Ipv4Addr::UNSPECIFIED.into()));
        let (proof, suspect) = match visit.shown {
            // A key that is right is let in whatever others at its address do; nobody guesses 160 bits.
            Shown::Key { digest, id } => (Proof::Key { digest, id }, Suspect { source, account: None }),
            Shown::Password { username, password } => self.prove(store, source, &username, password).await?,
        };
        let user = match &proof {
            Proof::Password { user, .. } => Some(user.clone()),
            Proof::Key { .. } => None,
        };
        let source_text = visit.source.map(|source| source.to_string());
        let entrance = Entrance {
            proof,
            wish: visit.wish,
            source: source_text,
            id: edge::session_id()?,
            serving_since: self.serving_since,
        };
        let entered = store.log_in(&mint, entrance, edge::now()).await;
        if let Err(LoginError::Refused(LoginRefusal::WrongCredentials)) = &entered {
            let admitted = self.admit(suspect);
            self.failed(suspect);
            admitted?;
        }
        if let (Ok(_), Some(user)) = (&entered, user)
            && let Err(error) = store.remember_source(user, source, edge::now()).await
        {
            tracing::warn!(%error, "where a user logged in from is not remembered");
        }
        Ok(entered?)
    }

    /// Compares the password with that of the user, or with that of nobody.
    async fn prove(
        &self,
        store: &Store,
        source: SourceNetwork,
        username: &str,
        password: String,
    ) -> Result<(Proof, Suspect), LoginFailure> {
        let user = UserId::parse(username).ok();
        let known = match &user {
            Some(user) => store.password_of(user, source).await?,
            None => None,
        };
        let from = known.as_ref().map_or(Acquaintance::Stranger, |known| known.from);
        let account = Account { name: Digest::of(username.as_bytes()), from };
        let suspect = Suspect { source, account: Some(account) };
        self.admit(suspect)?;
        let _among_strangers = match from {
            Acquaintance::Known => None,
            Acquaintance::Stranger => Some(self.strangers.turn().await?),
        };
        let _turn = self.everybody.turn().await?;
        // Others may have failed while this one waited.
        self.admit(suspect)?;
        let hash = known.and_then(|known| known.hash);
        match (self.matches(hash.clone(), password).await?, user, hash) {
            (true, Some(user), Some(hash)) => Ok((Proof::Password { user, hash }, suspect)),
            _ => {
                self.failed(suspect);
                Err(LoginFailure::Refused(LoginRefusal::WrongCredentials))
            }
        }
    }

    /// Whether it is the password of this hash, or of nobody's; the turn must have come.
    async fn matches(&self, hash: Option<PasswordHash>, password: String) -> Result<bool, LoginFailure> {
        let memories = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = memories().pop().unwrap_or_default();
        let compared = tokio::task::spawn_blocking(move || {
            let matches = match hash {
                Some(hash) => hash.matches(password.as_bytes(), &mut memory),
                None => {
                    PasswordHash::matches_nobody(password.as_bytes(), &mut memory);
                    false
                }
            };
            (matches, memory)
        });
        let (matches, memory) = compared.await.map_err(|_| LoginFailure::Failed(StoreError::Interrupted))?;
        memories().push(memory);
        Ok(matches)
    }

    fn admit(&self, suspect: Suspect) -> Result<(), LoginFailure> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = attempts.admit(suspect.source, suspect.account, self.opened.elapsed());
        admitted.map_err(LoginFailure::TooManyAttempts)
    }

    fn failed(&self, suspect: Suspect) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.failed(suspect.source, suspect.account, self.opened.elapsed());
    }
}

/// The first whole number of steps that is longer than `elapsed`.
fn whole_steps(elapsed: Duration) -> Duration {
    let steps = elapsed.as_millis() / STEP.as_millis() + 1;
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::whole_steps;
    use std::time::Duration;

    #[test]
    fn what_takes_longer_is_answered_a_whole_step_later() {
        for (elapsed, answered) in [(0, 250), (1, 250), (249, 250), (250, 500), (600, 750)] {
            assert_eq!(whole_steps(Duration::from_millis(elapsed)), Duration::from_millis(answered));
        }
    }
}
