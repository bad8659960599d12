//! Teams in the database.

use tollkeeper_contract::{
    Digest, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::{Change, Entry},
    keys, row,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{By, Counted, Moment, Name, NewTeam, Team, TeamChange, word};

impl Store {
    /// Makes a team, once per `once`.
    ///
    /// # Errors
    /// When a team of that id exists, `once` stands for another request, or the database fails.
    pub async fn create_team(
        &self,
        team: NewTeam,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Made<Team>, ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.insert_team(&team, once, &by, now).await }).await
    }

    async fn insert_team(
        &self,
        team: &NewTeam,
        once: Option<Once>,
        by: &By,
        now: Moment,
    ) -> Result<Made<Team>, ActError> {
        let mut change = self.change(by).await?;
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
        change.audit(entry("team.create", &team.id), now);
        let made = existing(change.sql(), &team.id).await?;
        change.commit().await?;
        Ok(Made::Now(made))
    }

    /// One team.
    ///
    /// # Errors
    /// When there is no such team, or the database fails.
    pub async fn team(&self, id: &TeamId) -> Result<Team, ActError> {
        existing(&mut self.read().await?, id).await
    }

    /// Up to `limit` teams in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams(&self, after: Option<&TeamId>, limit: u32) -> Result<Vec<Team>, StoreError> {
        let query = select().then_with(" WHERE t.id > ", after.map_or("", TeamId::as_str));
        let rows = query.then_with(" ORDER BY t.id LIMIT ", limit).fetch_all(&mut self.read().await?).await?;
        rows.iter().map(team).collect()
    }

    /// Changes a team. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such team, or the database fails.
    pub async fn change_team(&self, id: TeamId, wanted: TeamChange, by: By, now: Moment) -> Result<Team, ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.update_team(&id, wanted, &by, now).await }).await
    }

    async fn update_team(&self, id: &TeamId, wanted: TeamChange, by: &By, now: Moment) -> Result<Team, ActError> {
        let mut change = self.change(by).await?;
        let before = existing(change.sql(), id).await?;
        let after = wanted.applied_to(&before);
        if after == before {
            return Ok(before);
        }
        let (limit, window) = quota_columns(after.quota);
        let update = sql("UPDATE teams SET name = $2, state = $3, quota_limit = $4, quota_window = $5 WHERE id = $1");
        let update = update.bind(id.as_str()).bind(after.name.as_str()).bind(word::of_tenant_state(after.state));
        update.bind(limit).bind(window).execute(change.sql()).await?;
        change.publish(cursor(id)).await?;
        change.audit(entry("team.change", id), now);
        let changed = existing(change.sql(), id).await?;
        change.commit().await?;
        Ok(changed)
    }

    /// Deletes a team and its revoked keys.
    ///
    /// # Errors
    /// When there is no such team, it still has a key that is not revoked, or the database fails.
    pub async fn delete_team(&self, id: TeamId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move { store.remove_team(&id, &by, now).await }).await
    }

    async fn remove_team(&self, id: &TeamId, by: &By, now: Moment) -> Result<(), ActError> {
        let mut change = self.change(by).await?;
        existing(change.sql(), id).await?;
        let live = keys::count_not_revoked(change.sql(), id).await?;
        if live > 0 {
            return Err(Refusal::TeamHasKeys(live).into());
        }
        keys::remove_of_team(&mut change, id, now).await?;
        sql("DELETE FROM teams WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(id), now).await?;
        change.audit(entry("team.delete", id), now);
        change.commit().await?;
        Ok(())
    }
}

async fn insert(change: &mut Change<'_>, team: &NewTeam, now: Moment) -> Result<(), StoreError> {
    let (limit, window) = quota_columns(team.quota);
    let insert = sql("INSERT INTO teams (id, digest, name, state, quota_limit, quota_window, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let insert = insert.bind(team.id.as_str()).bind(&cursor(&team.id).digest);
    let insert = insert.bind(team.name.as_str()).bind(word::of_tenant_state(team.state)).bind(limit).bind(window);
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

/// The team, or the refusal of what was to be done with it.
pub(super) async fn existing(on: &mut Connection, id: &TeamId) -> Result<Team, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuchTeam.into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<Team>, StoreError> {
    select().then_with(" WHERE t.id = ", id).fetch_optional(on).await?.map(|row| team(&row)).transpose()
}

fn select() -> Statement {
    sql("SELECT t.id, t.name, t.state, t.quota_limit, t.quota_window, t.created_at, t.granted, t.limited,
                t.last_used_at, p.revision
         FROM teams t JOIN published p ON p.table_code = 1 AND p.digest = t.digest")
}

fn team(from: &Row) -> Result<Team, StoreError> {
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

fn entry(action: &'static str, id: &TeamId) -> Entry {
    Entry::new(action, "team", id.as_str()).of_team(id)
}

fn cursor(id: &TeamId) -> Cursor {
    Cursor { table: Table::Teams, digest: Digest::of(id.as_str().as_bytes()) }
}
