//! Teams in the database.

use tollkeeper_contract::{
    Digest, EnterpriseId, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::Change,
    enterprises, hosts, keys, row,
    sessions::{self, Ending},
    sql::{Connection, Row, Statement, sql},
    telling,
};
use crate::domain::{By, HostList, Moment, Name, NewTeam, Team, TeamChange, TeamFilter, Thing, word};

impl Store {
    /// Makes a team, once per `once`.
    ///
    /// # Errors
    /// When a team of that id exists, there is no such enterprise, a host belongs to another team, `once` stands for
    /// another request, or the database fails.
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
            return Err(Refusal::Exists(Thing::Team).into());
        }
        if let Some(enterprise) = &team.enterprise {
            enterprises::existing(change.sql(), enterprise).await?;
        }
        insert(&mut change, team, now).await?;
        change.publish(cursor(&team.id)).await?;
        hosts::replace(&mut change, &team.id, &HostList::default(), &team.hosts, now).await?;
        change.remember(once.as_ref(), team.id.as_str(), now).await?;
        let made = existing(change.sql(), &team.id).await?;
        change.tell_made("team.create", &made, now);
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
    pub async fn teams(
        &self,
        filter: &TeamFilter,
        after: Option<&TeamId>,
        limit: u32,
    ) -> Result<Vec<Team>, StoreError> {
        let query = select().then_with(" WHERE t.id > ", after.map_or("", TeamId::as_str));
        let query = query.then_with_some(" AND t.enterprise = ", filter.enterprise.as_ref().map(EnterpriseId::as_str));
        let query = query.then_with_some(" AND t.state = ", filter.state.map(word::of_tenant_state));
        let query = query.then_with(" ORDER BY t.id LIMIT ", limit);
        let mut on = self.read().await?;
        let rows = query.fetch_all(&mut on).await?;
        let mut teams = rows.iter().map(team).collect::<Result<Vec<_>, _>>()?;
        hosts::add_to(&mut on, &mut teams).await?;
        Ok(teams)
    }

    /// Changes a team. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such team or enterprise, a host belongs to another team, or the database fails.
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
        if let Some(enterprise) = &after.enterprise {
            enterprises::existing(change.sql(), enterprise).await?;
        }
        update(&mut change, &after).await?;
        change.publish(cursor(id)).await?;
        hosts::replace(&mut change, id, &before.hosts, &after.hosts, now).await?;
        change.tell_changed("team.change", &before, &after, now);
        let changed = existing(change.sql(), id).await?;
        change.commit().await?;
        Ok(changed)
    }

    /// Deletes a team, its hosts and its revoked keys.
    ///
    /// # Errors
    /// When there is no such team, it still has a key that is not revoked, a user or a service account, or the database
    /// fails.
    pub async fn delete_team(&self, id: TeamId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            must_be_empty(change.sql(), &id).await?;
            keys::remove_with(&mut change, &before, "team", now).await?;
            hosts::replace(&mut change, &id, &before.hosts, &HostList::default(), now).await?;
            sql("DELETE FROM teams WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
            change.withdraw(cursor(&id), now).await?;
            // A team of the same id may be made before their tokens end.
            let ended = sessions::end(&mut change, Ending::OfTeam(&id), Some("its team was deleted"), now).await?;
            change.audit(ended.told_in(telling::gone("team.delete", &before)), now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

async fn must_be_empty(on: &mut Connection, id: &TeamId) -> Result<(), ActError> {
    for (what, count) in [
        (Thing::Key, "SELECT COUNT(*) AS count FROM keys WHERE team = $1 AND state <> 'revoked'"),
        (Thing::User, "SELECT COUNT(*) AS count FROM users WHERE team = $1"),
        (Thing::ServiceAccount, "SELECT COUNT(*) AS count FROM service_accounts WHERE team = $1"),
    ] {
        let count = row::unsigned(&sql(count).bind(id.as_str()).fetch_one(on).await?, "count")?;
        if count > 0 {
            return Err(Refusal::StillHas { owner: Thing::Team, what, count }.into());
        }
    }
    Ok(())
}

async fn insert(change: &mut Change<'_>, team: &NewTeam, now: Moment) -> Result<(), StoreError> {
    let (limit, window) = row::quota_columns(team.quota);
    let insert = sql(
        "INSERT INTO teams (id, digest, name, state, quota_limit, quota_window, enterprise, revoke_sessions, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    let insert = insert.bind(team.id.as_str()).bind(&cursor(&team.id).digest).bind(team.name.as_str());
    let insert = insert.bind(word::of_tenant_state(team.state)).bind(limit).bind(window);
    let insert = insert.bind(team.enterprise.as_ref().map(EnterpriseId::as_str)).bind(team.revoke_sessions);
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

async fn update(change: &mut Change<'_>, team: &Team) -> Result<(), StoreError> {
    let (limit, window) = row::quota_columns(team.quota);
    let update = sql("UPDATE teams SET name = $2, state = $3, quota_limit = $4, quota_window = $5, enterprise = $6,
                revoke_sessions = $7
         WHERE id = $1");
    let update = update.bind(team.id.as_str()).bind(team.name.as_str()).bind(word::of_tenant_state(team.state));
    let update = update.bind(limit).bind(window).bind(team.enterprise.as_ref().map(EnterpriseId::as_str));
    update.bind(team.revoke_sessions).execute(change.sql()).await?;
    Ok(())
}

/// The team, or the refusal of what was to be done with it.
pub(super) async fn existing(on: &mut Connection, id: &TeamId) -> Result<Team, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::Team).into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<Team>, StoreError> {
    let found = select().then_with(" WHERE t.id = ", id).fetch_optional(on).await?;
    let Some(mut found) = found.map(|row| team(&row)).transpose()? else { return Ok(None) };
    hosts::add_to(on, std::slice::from_mut(&mut found)).await?;
    Ok(Some(found))
}

fn select() -> Statement {
    sql("SELECT t.id, t.name, t.state, t.quota_limit, t.quota_window, t.enterprise, t.revoke_sessions, t.created_at,
                t.granted, t.limited, t.last_used_at, p.revision
         FROM teams t JOIN published p ON p.table_code = 1 AND p.digest = t.digest")
}

/// A team, but for its hosts.
fn team(from: &Row) -> Result<Team, StoreError> {
    Ok(Team {
        id: row::parsed(from, "id", TeamId::parse)?,
        name: row::parsed(from, "name", Name::parse)?,
        state: row::word(from, "state", word::tenant_state)?,
        quota: row::quota(from)?,
        enterprise: row::maybe_parsed(from, "enterprise", EnterpriseId::parse)?,
        hosts: HostList::default(),
        revoke_sessions: row::flag(from, "revoke_sessions")?,
        created_at: row::moment(from, "created_at")?,
        revision: row::unsigned(from, "revision")?,
        used: row::counted(from)?,
    })
}

fn cursor(id: &TeamId) -> Cursor {
    Cursor { table: Table::Teams, digest: Digest::of(id.as_str().as_bytes()) }
}
