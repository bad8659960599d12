//! What becomes of a key: changed, revoked, replaced, deleted; and what ends with it.

use tollkeeper_contract::{KeyId, TeamId};

use super::{
    super::{
        ActError, Once, Refusal, Store, StoreError,
        change::Change,
        row,
        sessions::{self, Ended, Ending},
        sql::sql,
        telling,
    },
    Minted,
    rows::{self, Found, NewRow, existing, find},
};
use crate::domain::{By, Issued, Key, KeyChange, KeySeed, Moment, Revocation, Rotation};

impl Store {
    /// Changes a key. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such key, it cannot be changed so, or the database fails.
    pub async fn change_key(&self, id: KeyId, wanted: KeyChange, by: By, now: Moment) -> Result<Key, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let Found { key: before, digest } = existing(change.sql(), &id).await?;
            let after = wanted.applied_to(&before).map_err(Refusal::Key)?;
            if after == before {
                return Ok(before);
            }
            rows::update(&mut change, &after, digest).await?;
            change.tell_changed("key.change", &before, &after, now);
            let changed = existing(change.sql(), &id).await?.key;
            change.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Revokes a key for good. A key that is revoked already stays as it is, but may become known as compromised.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn revoke_key(&self, id: KeyId, wanted: Revocation, by: By, now: Moment) -> Result<Key, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let Found { key: before, digest } = existing(change.sql(), &id).await?;
            let after = wanted.applied_to(&before, now);
            if after == before {
                return Ok(before);
            }
            rows::update(&mut change, &after, digest).await?;
            let ended = end_sessions(&mut change, &after, now).await?;
            change.audit(ended.told_in(telling::changed("key.revoke", &before, &after)), now);
            let revoked = existing(change.sql(), &id).await?.key;
            change.commit().await?;
            Ok(revoked)
        })
        .await
    }

    /// Puts a new key in the place of one, once per `once`; the old one ends with the overlap.
    ///
    /// # Errors
    /// When there is no such key, it is revoked or was replaced before, the new one would never be valid, `once` stands
    /// for another request, or the database fails.
    pub async fn rotate_key(
        &self,
        id: KeyId,
        rotation: Rotation,
        seed: KeySeed,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Minted, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            if let Some(id) = change.made_before(once.as_ref()).await? {
                let before = find(change.sql(), &id).await?;
                return before.map(|found| Minted::before(found.key)).ok_or(Refusal::MadeAndDeleted.into());
            }
            let Found { key: old, digest } = existing(change.sql(), &id).await?;
            let terms = rotation.terms(&old, now).map_err(Refusal::Key)?;
            let issued = Issued::compose(old.holder.kind(), &seed);
            // First the old one: an account never has two keys, not even for a moment.
            let superseded = rotation.applied_to(&old, issued.id.clone(), now);
            rows::update(&mut change, &superseded, digest).await?;
            let row = NewRow { id: issued.id.clone(), digest: issued.digest(), holder: old.holder.clone(), terms };
            rows::insert(&mut change, &[row], now).await?;
            let ended = match superseded.revoked_at {
                Some(_) => end_sessions(&mut change, &superseded, now).await?,
                None => Ended::default(),
            };
            change.remember(once.as_ref(), issued.id.as_str(), now).await?;
            let made = existing(change.sql(), &issued.id).await?.key;
            change.audit(ended.told_in(telling::changed("key.rotate", &old, &superseded)), now);
            change.tell_made("key.create", &made, now);
            change.commit().await?;
            Ok(Minted::now(made, issued.text))
        })
        .await
    }

    /// Deletes a key: nodes know it no longer.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn delete_key(&self, id: KeyId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let found = existing(change.sql(), &id).await?;
            rows::remove(&mut change, &found, now).await?;
            let ended = end_sessions(&mut change, &found.key, now).await?;
            change.audit(ended.told_in(telling::gone("key.delete", &found.key)), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Ends the sessions made with a key that ends, if somebody else has the key or its team wants it so. Otherwise they
/// go on until their tokens end.
async fn end_sessions(change: &mut Change<'_>, key: &Key, now: Moment) -> Result<Ended, StoreError> {
    if !key.compromised && !team_revokes_sessions(change, key.holder.team()).await? {
        return Ok(Ended::default());
    }
    let reason = if key.compromised { "its key was compromised" } else { "its key ended" };
    sessions::end(change, Ending::OfKey(&key.id), Some(reason), now).await
}

async fn team_revokes_sessions(change: &mut Change<'_>, team: Option<&TeamId>) -> Result<bool, StoreError> {
    let Some(team) = team else { return Ok(false) };
    let query = sql("SELECT revoke_sessions FROM teams WHERE id = $1").bind(team.as_str());
    row::flag(&query.fetch_one(change.sql()).await?, "revoke_sessions")
}
