//! Teams in the database.

use tollkeeper_contract::{
    Digest, EnterpriseId, TeamId,
    page::{Cursor, Table},
};

use super::{
    ActError, Refusal, Store, StoreError,
    change::Change,
    hosts,
    kept::{Kept, existing},
    keys, row,
    sessions::{self, Ended, Ending},
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{Enterprise, HostList, Moment, Name, NewTeam, Team, TeamChange, TeamFilter, Thing, word};

impl Store {
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
}

impl Kept for Team {
    type Id = TeamId;
    type New = NewTeam;
    type Change = TeamChange;

    fn id_of(new: &NewTeam) -> &TeamId {
        &new.id
    }

    fn after(&self, wanted: TeamChange) -> Self {
        wanted.applied_to(self)
    }

    async fn find(on: &mut Connection, id: &str) -> Result<Option<Self>, StoreError> {
        let found = select().then_with(" WHERE t.id = ", id).fetch_optional(on).await?;
        let Some(mut found) = found.map(|row| team(&row)).transpose()? else { return Ok(None) };
        hosts::add_to(on, std::slice::from_mut(&mut found)).await?;
        Ok(Some(found))
    }

    async fn insert(new: &NewTeam, change: &mut Change<'_>, now: Moment) -> Result<(), ActError> {
        must_have(change.sql(), new.enterprise.as_ref()).await?;
        let (limit, window) = row::quota_columns(new.quota);
        let insert = sql("INSERT INTO teams (id, digest, name, state, quota_limit, quota_window, enterprise,
                                revoke_sessions, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
        let insert = insert.bind(new.id.as_str()).bind(&cursor(&new.id).digest).bind(new.name.as_str());
        let insert = insert.bind(word::of_tenant_state(new.state)).bind(limit).bind(window);
        let insert = insert.bind(new.enterprise.as_ref().map(EnterpriseId::as_str)).bind(new.revoke_sessions);
        insert.bind(now).execute(change.sql()).await?;
        change.publish(cursor(&new.id)).await?;
        hosts::replace(change, &new.id, &HostList::default(), &new.hosts, now).await
    }

    async fn update(&self, before: &Self, change: &mut Change<'_>, now: Moment) -> Result<(), ActError> {
        must_have(change.sql(), self.enterprise.as_ref()).await?;
        let (limit, window) = row::quota_columns(self.quota);
        let update =
            sql("UPDATE teams SET name = $2, state = $3, quota_limit = $4, quota_window = $5, enterprise = $6,
                    revoke_sessions = $7
             WHERE id = $1");
        let update = update.bind(self.id.as_str()).bind(self.name.as_str()).bind(word::of_tenant_state(self.state));
        let update = update.bind(limit).bind(window).bind(self.enterprise.as_ref().map(EnterpriseId::as_str));
        update.bind(self.revoke_sessions).execute(change.sql()).await?;
        change.publish(cursor(&self.id)).await?;
        hosts::replace(change, &self.id, &before.hosts, &self.hosts, now).await
    }

    async fn remove(&self, change: &mut Change<'_>, now: Moment) -> Result<Ended, ActError> {
        must_be_empty(change.sql(), &self.id).await?;
        keys::remove_with(change, self, "team", now).await?;
        hosts::replace(change, &self.id, &self.hosts, &HostList::default(), now).await?;
        sql("DELETE FROM teams WHERE id = $1").bind(self.id.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(&self.id), now).await?;
        // A team of the same id may be made before their tokens end.
        Ok(sessions::end(change, Ending::OfTeam(&self.id), Some("its team was deleted"), now).await?)
    }
}

/// Refuses an enterprise that does not exist.
async fn must_have(on: &mut Connection, enterprise: Option<&EnterpriseId>) -> Result<(), ActError> {
    let Some(enterprise) = enterprise else { return Ok(()) };
    existing::<Enterprise>(on, enterprise).await.map(|_| ())
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
