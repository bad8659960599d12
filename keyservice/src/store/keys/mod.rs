//! Keys in the database: all about them but their text.
//!
//! * `claim`: for whom a key may be made
//! * `lifecycle`: change, revoke, rotate, delete
//! * `import`: many keys at once, by their digests
//! * `rows`: the columns

mod claim;
mod import;
mod lifecycle;
mod rows;

use tollkeeper_contract::{EnterpriseId, KeyId, Kind, ServiceAccountId, TeamId, UserId, key_text::KeyText};

use super::{ActError, Made, Once, Refusal, Store, StoreError};
use crate::domain::{By, Issued, Key, KeyFilter, KeySeed, Moment, NewKey, require_a_future, word};
use claim::Claims;
use rows::{NewRow, existing, find, found, select};

pub use import::{Duplicate, Imported, WhyDuplicate};
pub(super) use rows::remove_with;

/// A key, and its text if it was made just now.
pub struct Minted {
    /// The key, as it was made or as it is today.
    pub key: Made<Key>,
    /// Its text, for the one answer that shows it.
    pub text: Option<KeyText>,
}

impl Minted {
    fn now(key: Key, text: KeyText) -> Self {
        Self { key: Made::Now(key), text: Some(text) }
    }

    fn before(key: Key) -> Self {
        Self { key: Made::Before(key), text: None }
    }
}

impl Store {
    /// Makes a key of random bytes, once per `once`.
    ///
    /// # Errors
    /// When there is nobody for whom it could be made, the key would never work, `once` stands for another request,
    /// or the database fails.
    pub async fn create_key(
        &self,
        key: NewKey,
        seed: KeySeed,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Minted, ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.insert_key(key, &seed, once, &by, now).await }).await
    }

    async fn insert_key(
        &self,
        key: NewKey,
        seed: &KeySeed,
        once: Option<Once>,
        by: &By,
        now: Moment,
    ) -> Result<Minted, ActError> {
        let mut change = self.change(by).await?;
        if let Some(id) = change.made_before(once.as_ref()).await? {
            let before = find(change.sql(), &id).await?;
            return before.map(|found| Minted::before(found.key)).ok_or(Refusal::MadeAndDeleted.into());
        }
        let holder = Claims::default().settle(change.sql(), key.claimant).await?;
        require_a_future(key.terms.not_before, key.terms.expires, now).map_err(Refusal::Key)?;
        let issued = Issued::compose(holder.kind(), seed);
        let row = NewRow { id: issued.id.clone(), digest: issued.digest(), holder, terms: key.terms };
        rows::insert(&mut change, &[row], now).await?;
        change.remember(once.as_ref(), issued.id.as_str(), now).await?;
        let made = existing(change.sql(), &issued.id).await?.key;
        change.tell_made("key.create", &made, now);
        change.commit().await?;
        Ok(Minted::now(made, issued.text))
    }

    /// One key.
    ///
    /// # Errors
    /// When there is no such key, or the database fails.
    pub async fn key(&self, id: &KeyId) -> Result<Key, ActError> {
        Ok(existing(&mut self.read().await?, id).await?.key)
    }

    /// Up to `limit` keys in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keys(&self, filter: &KeyFilter, after: Option<&KeyId>, limit: u32) -> Result<Vec<Key>, StoreError> {
        let query = select().then_with(" WHERE k.id > ", after.map_or("", KeyId::as_str));
        let query = query.then_with_some(" AND k.team = ", filter.team.as_ref().map(TeamId::as_str));
        let query = query.then_with_some(" AND k.enterprise = ", filter.enterprise.as_ref().map(EnterpriseId::as_str));
        let query = query.then_with_some(" AND k.user_id = ", filter.user.as_ref().map(UserId::as_str));
        let account = filter.service_account.as_ref().map(ServiceAccountId::as_str);
        let query = query.then_with_some(" AND k.service_account = ", account);
        let query = query.then_with_some(" AND k.kind = ", filter.kind.map(Kind::as_str));
        let query = query.then_with_some(" AND k.state = ", filter.state.map(word::of_key_state));
        let query = query.then_with(" ORDER BY k.id LIMIT ", limit);
        let rows = query.fetch_all(&mut self.read().await?).await?;
        rows.iter().map(|row| found(row).map(|found| found.key)).collect()
    }
}
