//! Users in the database.

use tollkeeper_contract::{
    Digest, Scopes, TeamId, UserId,
    page::{Cursor, Table},
};

use super::{
    ActError, Store, StoreError,
    change::Change,
    kept::{Kept, existing},
    keys, row,
    sessions::{self, Ended, Ending},
    sql::{Connection, Row, Statement, sql},
    telling,
};
use crate::domain::{By, Moment, Name, NewUser, PasswordHash, Team, User, UserChange, UserFilter, word};

impl Store {
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
            let user: User = existing(change.sql(), &id).await?;
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
}

impl Kept for User {
    type Id = UserId;
    type New = NewUser;
    type Change = UserChange;

    fn id_of(new: &NewUser) -> &UserId {
        &new.id
    }

    fn after(&self, wanted: UserChange) -> Self {
        wanted.applied_to(self)
    }

    async fn find(on: &mut Connection, id: &str) -> Result<Option<Self>, StoreError> {
        select().then_with(" WHERE u.id = ", id).fetch_optional(on).await?.map(|row| user(&row)).transpose()
    }

    async fn insert(new: &NewUser, change: &mut Change<'_>, now: Moment) -> Result<(), ActError> {
        existing::<Team>(change.sql(), &new.team).await?;
        let insert = sql("INSERT INTO users (id, digest, team, name, state, permissions, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)");
        let insert = insert.bind(new.id.as_str()).bind(&cursor(&new.id).digest).bind(new.team.as_str());
        let insert = insert.bind(new.name.as_str()).bind(word::of_tenant_state(new.state));
        insert.bind(new.permissions.as_str()).bind(now).execute(change.sql()).await?;
        Ok(change.publish(cursor(&new.id)).await?)
    }

    /// What the user's keys and sessions can do follows.
    async fn update(&self, _: &Self, change: &mut Change<'_>, _: Moment) -> Result<(), ActError> {
        let update = sql("UPDATE users SET name = $2, state = $3, permissions = $4 WHERE id = $1");
        let update = update.bind(self.id.as_str()).bind(self.name.as_str()).bind(word::of_tenant_state(self.state));
        update.bind(self.permissions.as_str()).execute(change.sql()).await?;
        Ok(change.publish(cursor(&self.id)).await?)
    }

    async fn remove(&self, change: &mut Change<'_>, now: Moment) -> Result<Ended, ActError> {
        keys::remove_with(change, self, "user_id", now).await?;
        // Their user is gone, but somebody of the same name may be made before their tokens end.
        let ended = sessions::end(change, Ending::OfUser(&self.id), Some("its user was deleted"), now).await?;
        sql("DELETE FROM users WHERE id = $1").bind(self.id.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(&self.id), now).await?;
        Ok(ended)
    }
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
