//! Teams in the database.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection, sqlite::SqliteRow};
use tollkeeper_contract::{
    Digest, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::{Change, MAX_ROWS_PER_CHANGE},
    keys, row,
};
use crate::domain::{Counted, Moment, Name, NewTeam, Team, TeamChange, word};

/// Whether the last of a team's records is gone.
enum Removal {
    Done,
    Unfinished,
}

impl Store {
    /// Makes a team, once per `once`.
    ///
    /// # Errors
    /// When a team of that id exists, `once` stands for another request, or the database fails.
    pub async fn create_team(&self, team: NewTeam, once: Option<Once>, now: Moment) -> Result<Made<Team>, ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.insert_team(&team, once, now).await }).await
    }

    async fn insert_team(&self, team: &NewTeam, once: Option<Once>, now: Moment) -> Result<Made<Team>, ActError> {
        let mut change = self.change().await?;
        if let Some(id) = change.made_before(once.as_ref()).await? {
            let before = find(change.sql(), &id).await?;
            return before.map(Made::Before).ok_or(Refusal::MadeAndDeleted.into());
        }
        if find(change.sql(), team.id.as_str()).await?.is_some() {
            return Err(Refusal::TeamExists.into());
        }
        insert(&mut change, team, now).await?;
        change.publish(cursor(&team.id)).await?;
        change.remember(once.as_ref(), team.id.as_str(), now).await?;
        let made = existing(change.sql(), &team.id).await?;
        change.commit().await?;
        Ok(Made::Now(made))
    }

    /// One team.
    ///
    /// # Errors
    /// When there is no such team, or the database fails.
    pub async fn team(&self, id: &TeamId) -> Result<Team, ActError> {
        existing(&mut *self.read().await?, id).await
    }

    /// Up to `limit` teams in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams(&self, after: Option<&TeamId>, limit: u32) -> Result<Vec<Team>, StoreError> {
        let mut query = select();
        query.push(" WHERE t.id > ").push_bind(after.map_or("", TeamId::as_str));
        query.push(" ORDER BY t.id LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&mut *self.read().await?).await?;
        rows.iter().map(team).collect()
    }

    /// Changes a team. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such team, or the database fails.
    pub async fn change_team(&self, id: TeamId, wanted: TeamChange) -> Result<Team, ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.update_team(&id, wanted).await }).await
    }

    async fn update_team(&self, id: &TeamId, wanted: TeamChange) -> Result<Team, ActError> {
        let mut change = self.change().await?;
        let before = existing(change.sql(), id).await?;
        let after = wanted.applied_to(&before);
        if after == before {
            return Ok(before);
        }
        let (limit, window) = quota_columns(after.quota);
        let update =
            sqlx::query("UPDATE teams SET name = $2, state = $3, quota_limit = $4, quota_window = $5 WHERE id = $1");
        let update = update.bind(id.as_str()).bind(after.name.as_str()).bind(word::of_tenant_state(after.state));
        update.bind(limit).bind(window).execute(change.sql()).await?;
        change.publish(cursor(id)).await?;
        let changed = existing(change.sql(), id).await?;
        change.commit().await?;
        Ok(changed)
    }

    /// Deletes a team and its revoked keys.
    ///
    /// # Errors
    /// When there is no such team, it still has a key that is not revoked, or the database fails.
    pub async fn delete_team(&self, id: TeamId, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            // One change touches a bounded number of rows, so very many revoked keys go in several.
            while let Removal::Unfinished = store.remove_team(&id, now).await? {}
            Ok(())
        })
        .await
    }

    async fn remove_team(&self, id: &TeamId, now: Moment) -> Result<Removal, ActError> {
        let mut change = self.change().await?;
        existing(change.sql(), id).await?;
        let live = keys::count_not_revoked(change.sql(), id).await?;
        if live > 0 {
            return Err(Refusal::TeamHasKeys(live).into());
        }
        let room = MAX_ROWS_PER_CHANGE - 1;
        let removed = keys::remove_of_team(&mut change, id, room, now).await?;
        if removed == room {
            change.commit().await?;
            return Ok(Removal::Unfinished);
        }
        sqlx::query("DELETE FROM teams WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(id), now).await?;
        change.commit().await?;
        Ok(Removal::Done)
    }
}

async fn insert(change: &mut Change<'_>, team: &NewTeam, now: Moment) -> Result<(), StoreError> {
    let (limit, window) = quota_columns(team.quota);
    let insert = sqlx::query(
        "INSERT INTO teams (id, digest, name, state, quota_limit, quota_window, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    );
    let insert = insert.bind(team.id.as_str()).bind(cursor(&team.id).digest.as_bytes().to_vec());
    let insert = insert.bind(team.name.as_str()).bind(word::of_tenant_state(team.state)).bind(limit).bind(window);
    insert.bind(row::integer(now.unix())?).execute(change.sql()).await?;
    Ok(())
}

/// The team, or the refusal of what was to be done with it.
pub(super) async fn existing(sql: &mut SqliteConnection, id: &TeamId) -> Result<Team, ActError> {
    find(sql, id.as_str()).await?.ok_or(Refusal::NoSuchTeam.into())
}

async fn find(sql: &mut SqliteConnection, id: &str) -> Result<Option<Team>, StoreError> {
    let mut query = select();
    query.push(" WHERE t.id = ").push_bind(id);
    query.build().fetch_optional(sql).await?.map(|row| team(&row)).transpose()
}

fn select() -> QueryBuilder<Sqlite> {
    QueryBuilder::new(
        "SELECT t.id, t.name, t.state, t.quota_limit, t.quota_window, t.created_at, t.granted, t.limited,
                t.last_used_at, p.revision
         FROM teams t JOIN published p ON p.table_code = 1 AND p.digest = t.digest",
    )
}

fn team(from: &SqliteRow) -> Result<Team, StoreError> {
    let used: Counted = row::counted(from)?;
    Ok(Team {
        id: row::parsed(from, "id", TeamId::parse)?,
        name: row::parsed(from, "name", Name::parse)?,
        state: row::word(from, "state", word::tenant_state)?,
        quota: row::quota(from)?,
        created_at: row::moment(from, "created_at")?,
        revision: row::unsigned(from, "revision")?,
        used,
    })
}

fn quota_columns(quota: Option<tollkeeper_contract::Quota>) -> (Option<u32>, Option<u32>) {
    (quota.map(|quota| quota.limit().get()), quota.map(|quota| quota.window().get()))
}

fn cursor(id: &TeamId) -> Cursor {
    Cursor { table: Table::Teams, digest: Digest::of(id.as_str().as_bytes()) }
}
