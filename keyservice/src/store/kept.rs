//! What enterprises, teams, users and service accounts have in common: each is made once, found, changed and deleted
//! by an id that somebody chose for it.

use std::fmt::Display;

use super::{
    ActError, Made, Once, Refusal, Store, StoreError, change::Change, sessions::Ended, sql::Connection, telling,
};
use crate::domain::{By, Moment, Told};

/// A thing that is kept under an id that somebody chose for it.
pub trait Kept: Told + PartialEq + Sized + Send + Sync + 'static {
    /// Its id.
    type Id: Display + Send + Sync + 'static;
    /// What it is made of.
    type New: Send + Sync + 'static;
    /// What is to change about it.
    type Change: Send + Sync + 'static;

    /// The id of one that is to be made.
    fn id_of(new: &Self::New) -> &Self::Id;

    /// It after a change.
    fn after(&self, wanted: Self::Change) -> Self;

    /// The one of that id.
    fn find(on: &mut Connection, id: &str) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send;

    /// Inserts and publishes one, if what it names exists.
    fn insert(
        new: &Self::New,
        change: &mut Change<'_>,
        now: Moment,
    ) -> impl Future<Output = Result<(), ActError>> + Send;

    /// Writes and publishes it as it is now, if what it names exists.
    fn update(
        &self,
        before: &Self,
        change: &mut Change<'_>,
        now: Moment,
    ) -> impl Future<Output = Result<(), ActError>> + Send;

    /// Deletes and withdraws it with all that goes with it, if nothing that stays belongs to it; says which sessions
    /// ended with it.
    fn remove(&self, change: &mut Change<'_>, now: Moment) -> impl Future<Output = Result<Ended, ActError>> + Send;
}

impl Store {
    /// Makes one, once per `once`.
    ///
    /// # Errors
    /// When there is one of that id, it names what does not exist or is taken, `once` stands for another request, or the
    /// database fails.
    pub async fn create<T: Kept>(
        &self,
        new: T::New,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Made<T>, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            if let Some(id) = change.made_before(once.as_ref()).await? {
                let before = T::find(change.sql(), &id).await?;
                return before.map(Made::Before).ok_or(Refusal::MadeAndDeleted.into());
            }
            let id = T::id_of(&new);
            if T::find(change.sql(), &id.to_string()).await?.is_some() {
                return Err(Refusal::Exists(T::THING).into());
            }
            T::insert(&new, &mut change, now).await?;
            change.remember(once.as_ref(), &id.to_string(), now).await?;
            let made = existing::<T>(change.sql(), id).await?;
            change.tell_made(format!("{}.create", T::THING), &made, now);
            change.commit().await?;
            Ok(Made::Now(made))
        })
        .await
    }

    /// The one of that id.
    ///
    /// # Errors
    /// When there is none, or the database fails.
    pub async fn get<T: Kept>(&self, id: &T::Id) -> Result<T, ActError> {
        existing(&mut self.read().await?, id).await
    }

    /// Changes one. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is none, it would name what does not exist or is taken, or the database fails.
    pub async fn alter<T: Kept>(&self, id: T::Id, wanted: T::Change, by: By, now: Moment) -> Result<T, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before: T = existing(change.sql(), &id).await?;
            let after = before.after(wanted);
            if after == before {
                return Ok(before);
            }
            after.update(&before, &mut change, now).await?;
            change.tell_changed(format!("{}.change", T::THING), &before, &after, now);
            let changed = existing(change.sql(), &id).await?;
            change.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Deletes one with what goes with it: keys that are revoked, a user's with all keys.
    ///
    /// # Errors
    /// When there is none, something that stays belongs to it, or the database fails.
    pub async fn delete<T: Kept>(&self, id: T::Id, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before: T = existing(change.sql(), &id).await?;
            let ended = before.remove(&mut change, now).await?;
            change.audit(ended.told_in(telling::gone(format!("{}.delete", T::THING), &before)), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

/// The one of that id, or the refusal of what was to be done with it.
pub(super) async fn existing<T: Kept>(on: &mut Connection, id: &T::Id) -> Result<T, ActError> {
    T::find(on, &id.to_string()).await?.ok_or(Refusal::NoSuch(T::THING).into())
}
