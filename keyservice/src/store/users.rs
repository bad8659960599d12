//! Users in the database.

use tollkeeper_contract::{
    Digest, Scopes, TeamId, UserId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::Change,
    keys, row,
    sessions::{self, Ending},
    sql::{Connection, Row, Statement, sql},
    teams, telling,
};
use crate::domain::{By, Moment, Name, NewUser, PasswordHash, Thing, User, UserChange, UserFilter, word};

impl Store {
    /// Makes a user, once per `once`.
    ///
    /// # Errors
    /// When a user of that id exists, there is no such team, `once` stands for another request, or the database fails.
    pub async fn create_user(
        &self,
        user: NewUser,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Made<User>, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            if let Some(id) = change.made_before(once.as_ref()).await? {
                let before = find(change.sql(), &id).await?;
                return before.map(Made::Before).ok_or(Refusal::MadeAndDeleted.into());
            }
            if find(change.sql(), user.id.as_str()).await?.is_some() {
                return Err(Refusal::Exists(Thing::User).into());
            }
            teams::existing(change.sql(), &user.team).await?;
            insert(&mut change, &user, now).await?;
            change.publish(cursor(&user.id)).await?;
            change.remember(once.as_ref(), user.id.as_str(), now).await?;
            let made = existing(change.sql(), &user.id).await?;
            change.tell_made("user.create", &made, now);
            change.commit().await?;
            Ok(Made::Now(made))
        })
        .await
    }

    /// One user.
    ///
    /// # Errors
    /// When there is no such user, or the database fails.
    pub async fn user(&self, id: &UserId) -> Result<User, ActError> {
        existing(&mut self.read().await?, id).await
    }

    /// Up to `limit` users in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users(
        &self,
        filter: &UserFilter,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let query = select().then_with(" WHERE u.id > ", after.map_or("", UserId::as_str));
        let query = query.then_with_some(" AND u.team = ", filter.team.as_ref().map(TeamId::as_str));
        let query = query.then_with_some(" AND u.state = ", filter.state.map(word::of_tenant_state));
        let query = query.then_with(" ORDER BY u.id LIMIT ", limit);
        query.fetch_all(&mut self.read().await?).await?.iter().map(user).collect()
    }

    /// Changes a user: what the user's keys and sessions can do follows. What changes nothing takes no revision.
    ///
    /// # Errors
    /// When there is no such user, or the database fails.
    pub async fn change_user(&self, id: UserId, wanted: UserChange, by: By, now: Moment) -> Result<User, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            let after = wanted.applied_to(&before);
            if after == before {
                return Ok(before);
            }
            let update = sql("UPDATE users SET name = $2, state = $3, permissions = $4 WHERE id = $1");
            let update = update.bind(id.as_str()).bind(after.name.as_str()).bind(word::of_tenant_state(after.state));
            update.bind(after.permissions.as_str()).execute(change.sql()).await?;
            change.publish(cursor(&id)).await?;
            change.tell_changed("user.change", &before, &after, now);
            let changed = existing(change.sql(), &id).await?;
            change.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Sets the password of a user, or takes it away. Nodes do not see it.
    ///
    /// # Errors
    /// When there is no such user, or the database fails.
    pub async fn set_password(
        &self,
        id: UserId,
        hash: Option<PasswordHash>,
        by: By,
        now: Moment,
    ) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let user = existing(change.sql(), &id).await?;
            let word = if hash.is_some() { "set" } else { "cleared" };
            let update = sql("UPDATE users SET password_hash = $2 WHERE id = $1").bind(id.as_str());
            update.bind(hash.as_ref().map(PasswordHash::expose)).execute(change.sql()).await?;
            // Whoever knew the old one may have used it: their sessions and their addresses go with it.
            let why = Some("the password was changed");
            let ended = sessions::end(&mut change, Ending::ByPasswordOf(&id), why, now).await?;
            sql("DELETE FROM known_sources WHERE user_id = $1").bind(id.as_str()).execute(change.sql()).await?;
            let told = telling::about("user.password", &user).with("password", word);
            change.audit(ended.told_in(told), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }

    /// Deletes a user with all the user's keys.
    ///
    /// # Errors
    /// When there is no such user, or the database fails.
    pub async fn delete_user(&self, id: UserId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            keys::remove_with(&mut change, &before, "user_id", now).await?;
            // Their user is gone, but somebody of the same name may be made before their tokens end.
            let ended = sessions::end(&mut change, Ending::OfUser(&id), Some("its user was deleted"), now).await?;
            sql("DELETE FROM users WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
            change.withdraw(cursor(&id), now).await?;
            change.audit(ended.told_in(telling::gone("user.delete", &before)), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

async fn insert(change: &mut Change<'_>, user: &NewUser, now: Moment) -> Result<(), StoreError> {
    let insert = sql("INSERT INTO users (id, digest, team, name, state, permissions, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let insert = insert.bind(user.id.as_str()).bind(&cursor(&user.id).digest).bind(user.team.as_str());
    let insert = insert.bind(user.name.as_str()).bind(word::of_tenant_state(user.state));
    insert.bind(user.permissions.as_str()).bind(now).execute(change.sql()).await?;
    Ok(())
}

/// The user, or the refusal of what was to be done with the user.
pub(super) async fn existing(on: &mut Connection, id: &UserId) -> Result<User, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::User).into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<User>, StoreError> {
    select().then_with(" WHERE u.id = ", id).fetch_optional(on).await?.map(|row| user(&row)).transpose()
}

fn select() -> Statement {
    sql("SELECT u.id, u.team, u.name, u.state, u.permissions, u.password_hash, u.created_at, p.revision
         FROM users u JOIN published p ON p.table_code = 3 AND p.digest = u.digest")
}

fn user(from: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row::parsed(from, "id", UserId::parse)?,
        team: row::parsed(from, "team", TeamId::parse)?,
        name: row::parsed(from, "name", Name::parse)?,
        state: row::word(from, "state", word::tenant_state)?,
        permissions: row::parsed(from, "permissions", Scopes::parse)?,
        has_password: from.maybe_text("password_hash")?.is_some(),
        created_at: row::moment(from, "created_at")?,
        revision: row::unsigned(from, "revision")?,
    })
}

fn cursor(id: &UserId) -> Cursor {
    Cursor { table: Table::Users, digest: Digest::of(id.as_str().as_bytes()) }
}
