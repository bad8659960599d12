//! A login in the database: the session that is there already, or a new one.

use std::sync::Arc;

use tollkeeper_contract::SessionId;

use super::{
    ActError, Proof, Store, StoreError, Wish,
    grants::granted,
    row,
    sessions::{self, Signable},
    sql::{Connection, sql},
    token_keys,
};
use crate::domain::{Grant, LoginRefusal, MOST_SESSIONS, Mint, Moment, SETTLING_SECONDS, Session, TokenKey, TokenText};

/// What a login led to.
#[derive(Debug)]
pub struct Login {
    /// The session.
    pub session: Session,
    /// Its token.
    pub token: TokenText,
    /// Whether it was there before.
    pub age: Age,
    /// What to wait for, if its key is so new that some nodes may not have it.
    pub needs: Option<Settling>,
}

/// A key on its way to the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settling {
    /// The revision that nodes need.
    pub revision: u64,
    /// When they have had the time to get it.
    pub until: Moment,
}

/// Whether a session was there before a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// The login made it.
    New,
    /// The login found it.
    Old,
}

/// Why a login led to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// It was refused.
    #[error("refused: {0:?}")]
    Refused(LoginRefusal),
    /// There is no key to sign with: those that were made from this service's secrets have ended.
    #[error("no token key that has not ended is made from the secrets of this service")]
    SecretMismatch,
    /// Too many others make sessions at this moment.
    #[error("too many logins at the same time")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Failed(#[from] StoreError),
}

impl From<ActError> for LoginError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Failed(error) => Self::Failed(error),
            // No act of a login has refusals of that sort.
            ActError::Refused(refusal) => Self::Failed(row::corrupt("a session", format_args!("{refusal:?}"))),
        }
    }
}

/// One login that is to be carried out.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// What the client shows.
    pub proof: Proof,
    /// What it wants.
    pub wish: Wish,
    /// The address that it comes from.
    pub source: Option<String>,
    /// The id of the session, if it has to be made.
    pub id: SessionId,
    /// Since when this service answers.
    pub serving_since: Moment,
}

impl Store {
    /// Gives the session that the credential has under that name, or makes one.
    ///
    /// The session that is there is given as long as its token works and says what would be granted now.
    ///
    /// # Errors
    /// When the credential is not let in, no token can be signed, or the database fails.
    pub async fn log_in(&self, mint: &Arc<Mint>, entrance: Entrance, now: Moment) -> Result<Login, LoginError> {
        let serving_since = entrance.serving_since;
        let (found, age) = self.find_or_make(mint, entrance, now).await?;
        let key = mint.key(found.key.algorithm, &found.key.kid).ok_or(LoginError::SecretMismatch)?;
        let token = key.sign(&found.session.signed);
        // While no service answered, nobody could get the key, however old it is.
        let until = found.key.created_at.max(serving_since).plus(SETTLING_SECONDS);
        let needs = match until <= now {
            true => None,
            false => {
                let revision = token_keys::revision(&mut self.read().await?, &found.key.kid).await?;
                revision.map(|revision| Settling { revision, until })
            }
        };
        Ok(Login { session: found.session, token, age, needs })
    }

    async fn find_or_make(
        &self,
        mint: &Arc<Mint>,
        entrance: Entrance,
        now: Moment,
    ) -> Result<(Signable, Age), LoginError> {
        let mut reading = self.read().await?;
        let Entered { current, grant, .. } = entered(&mut reading, mint, &entrance, now).await?;
        if let Some(found) = current {
            return Ok((found, Age::Old));
        }
        // Looked at here too, so that a flood that leads to nothing does not queue for the one writer.
        not_too_many(&mut reading, &grant, now).await?.map_err(LoginError::Refused)?;
        drop(reading);
        let _place = self.entering.try_acquire().map_err(|_| LoginError::Busy)?;
        self.make_session(mint, entrance, now).await
    }

    /// Makes the session, unless somebody else just did. Everything is looked at again: a session that is made after
    /// its key was revoked would be one that nobody revokes.
    async fn make_session(
        &self,
        mint: &Arc<Mint>,
        entrance: Entrance,
        now: Moment,
    ) -> Result<(Signable, Age), LoginError> {
        let (store, mint) = (self.clone(), Arc::clone(mint));
        let made = self.to_the_end(async move {
            let mut change = store.quiet_change().await?;
            let entered = match entered(change.sql(), &mint, &entrance, now).await {
                Ok(entered) => entered,
                Err(LoginError::Failed(error)) => return Err(error.into()),
                Err(refused) => return Ok(Err(refused)),
            };
            if let Some(found) = entered.current {
                return Ok(Ok((found, Age::Old)));
            }
            let made = begin(change.sql(), &mint, entered, &entrance, now).await?;
            change.commit().await?;
            Ok(made.map(|made| (made, Age::New)).map_err(LoginError::Refused))
        });
        made.await?
    }
}

/// Somebody who is let in.
struct Entered {
    grant: Grant,
    /// What signs new tokens.
    key: TokenKey,
    /// The session that says what is granted, if there is one.
    current: Option<Signable>,
}

async fn entered(sql: &mut Connection, mint: &Mint, entrance: &Entrance, now: Moment) -> Result<Entered, LoginError> {
    let grant = granted(sql, &entrance.proof, &entrance.wish, now).await?.map_err(LoginError::Refused)?;
    let key = token_keys::that_signs(sql, mint, now).await?.ok_or(LoginError::SecretMismatch)?;
    let current = sessions::current(sql, &grant, now).await?;
    let fits = |found: &Signable| {
        let claims = &found.session.claims;
        mint.made(&found.key) && grant.is_told_by(claims) && mint.speaks_in(claims)
    };
    Ok(Entered { current: current.filter(fits), grant, key })
}

async fn not_too_many(on: &mut Connection, grant: &Grant, now: Moment) -> Result<Result<(), LoginRefusal>, StoreError> {
    let live = sessions::live_of(on, &grant.credential, MOST_SESSIONS, now).await?;
    Ok(if live >= u64::from(MOST_SESSIONS) { Err(LoginRefusal::TooManySessions) } else { Ok(()) })
}

/// Makes the session, in place of the one that was current.
async fn begin(
    on: &mut Connection,
    mint: &Mint,
    Entered { grant, key, .. }: Entered,
    entrance: &Entrance,
    now: Moment,
) -> Result<Result<Signable, LoginRefusal>, StoreError> {
    if let Err(refusal) = not_too_many(on, &grant, now).await? {
        return Ok(Err(refusal));
    }
    let claims = mint.claims(&grant, &entrance.id, now);
    if !Mint::fits(key.algorithm, &key.kid, &claims) {
        return Ok(Err(LoginRefusal::TokenTooLong));
    }
    let replace = sql("UPDATE sessions SET current = 0 WHERE credential = $1 AND sid_digest = $2 AND current = 1");
    replace.bind(grant.credential.to_string()).bind(&grant.name_digest()).execute(on).await?;
    let session = sessions::insert(on, &grant, claims, &key.kid, entrance.source.as_deref()).await?;
    token_keys::keep_until(on, &key.kid, session.expires).await?;
    Ok(Ok(Signable { session, key }))
}
