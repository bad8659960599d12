//! From where users have logged in before, and the passwords that they do it with.

use tollkeeper_contract::{Digest, UserId};

use super::{ActError, Store, StoreError, row, sql::sql};
use crate::domain::{Acquaintance, Moment, PasswordHash, SourceNetwork};

/// How old a note may become before it is written again, in seconds: a login must not write each time.
const FRESH_SECONDS: u64 = 24 * 60 * 60;

/// The most sources that are remembered of one user; the oldest make room.
const MOST: u32 = 64;

/// What a password of a user is compared with.
#[derive(Debug, Clone)]
pub struct UserPassword {
    /// The hash; none if the user has no password.
    pub hash: Option<PasswordHash>,
    /// Whether the user has logged in from this source before.
    pub from: Acquaintance,
}

impl Store {
    /// What a password of the user is compared with; `None` if there is no such user.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn password_of(&self, user: &UserId, source: SourceNetwork) -> Result<Option<UserPassword>, StoreError> {
        let query = sql("SELECT u.password_hash, k.seen_at
             FROM users u LEFT JOIN known_sources k ON k.user_id = u.id AND k.source_digest = $2
             WHERE u.id = $1");
        let row = query.bind(user.as_str()).bind(&digest(user, source)).fetch_optional(&mut self.read().await?).await?;
        let Some(row) = row else { return Ok(None) };
        let seen = row.maybe_integer("seen_at")?.is_some();
        let from = if seen { Acquaintance::Known } else { Acquaintance::Stranger };
        Ok(Some(UserPassword { hash: row::maybe_parsed(&row, "password_hash", PasswordHash::parse)?, from }))
    }

    /// Notes that the user has logged in from there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remember_source(&self, user: UserId, source: SourceNetwork, now: Moment) -> Result<(), StoreError> {
        let known = digest(&user, source);
        let fresh = sql("SELECT seen_at FROM known_sources WHERE user_id = $1 AND source_digest = $2 AND seen_at > $3");
        let fresh = fresh.bind(user.as_str()).bind(&known).bind(now.minus(FRESH_SECONDS));
        if fresh.fetch_optional(&mut self.read().await?).await?.is_some() {
            return Ok(());
        }
        let store = self.clone();
        let noted = self.to_the_end(async move {
            let mut change = store.quiet_change().await?;
            // From the users themselves: one that was deleted meanwhile is known from nowhere.
            let note = sql("INSERT INTO known_sources (user_id, source_digest, seen_at)
                 SELECT id, $2, $3 FROM users WHERE id = $1
                 ON CONFLICT (user_id, source_digest) DO UPDATE SET seen_at = excluded.seen_at");
            note.bind(user.as_str()).bind(&known).bind(now).execute(change.sql()).await?;
            let forget = sql("DELETE FROM known_sources
                 WHERE user_id = $1 AND source_digest NOT IN
                     (SELECT source_digest FROM known_sources WHERE user_id = $1 ORDER BY seen_at DESC LIMIT $2)");
            forget.bind(user.as_str()).bind(MOST).execute(change.sql()).await?;
            change.commit().await?;
            Ok::<_, ActError>(())
        });
        match noted.await {
            Err(ActError::Failed(error)) => Err(error),
            Ok(()) | Err(ActError::Refused(_)) => Ok(()),
        }
    }
}

/// What stands for a source among those of one user: who reads the database does not see addresses there.
fn digest(user: &UserId, source: SourceNetwork) -> Digest {
    Digest::of(format!("{user} {source}").as_bytes())
}
