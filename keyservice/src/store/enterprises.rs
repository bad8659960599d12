//! Enterprises in the database.

use tollkeeper_contract::{
    Digest, EnterpriseId,
    page::{Cursor, Table},
};

use super::{
    ActError, Refusal, Store, StoreError,
    change::Change,
    kept::Kept,
    row,
    sessions::{self, Ended, Ending},
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{Enterprise, EnterpriseChange, EnterpriseFilter, Moment, Name, NewEnterprise, Thing, word};

impl Store {
    /// Up to `limit` enterprises in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enterprises(
        &self,
        filter: &EnterpriseFilter,
        after: Option<&EnterpriseId>,
        limit: u32,
    ) -> Result<Vec<Enterprise>, StoreError> {
        let query = select().then_with(" WHERE e.id > ", after.map_or("", EnterpriseId::as_str));
        let query = query.then_with_some(" AND e.state = ", filter.state.map(word::of_tenant_state));
        let query = query.then_with(" ORDER BY e.id LIMIT ", limit);
        query.fetch_all(&mut self.read().await?).await?.iter().map(enterprise).collect()
    }
}

impl Kept for Enterprise {
    type Id = EnterpriseId;
    type New = NewEnterprise;
    type Change = EnterpriseChange;

    fn id_of(new: &NewEnterprise) -> &EnterpriseId {
        &new.id
    }

    fn after(&self, wanted: EnterpriseChange) -> Self {
        wanted.applied_to(self)
    }

    async fn find(on: &mut Connection, id: &str) -> Result<Option<Self>, StoreError> {
        select().then_with(" WHERE e.id = ", id).fetch_optional(on).await?.map(|row| enterprise(&row)).transpose()
    }

    async fn insert(new: &NewEnterprise, change: &mut Change<'_>, now: Moment) -> Result<(), ActError> {
        let (limit, window) = row::quota_columns(new.quota);
        let insert = sql("INSERT INTO enterprises (id, digest, name, state, quota_limit, quota_window, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)");
        let insert = insert.bind(new.id.as_str()).bind(&cursor(&new.id).digest).bind(new.name.as_str());
        let insert = insert.bind(word::of_tenant_state(new.state)).bind(limit).bind(window).bind(now);
        insert.execute(change.sql()).await?;
        Ok(change.publish(cursor(&new.id)).await?)
    }

    async fn update(&self, _: &Self, change: &mut Change<'_>, _: Moment) -> Result<(), ActError> {
        let (limit, window) = row::quota_columns(self.quota);
        let update =
            sql("UPDATE enterprises SET name = $2, state = $3, quota_limit = $4, quota_window = $5 WHERE id = $1");
        let update = update.bind(self.id.as_str()).bind(self.name.as_str());
        let update = update.bind(word::of_tenant_state(self.state)).bind(limit).bind(window);
        update.execute(change.sql()).await?;
        Ok(change.publish(cursor(&self.id)).await?)
    }

    async fn remove(&self, change: &mut Change<'_>, now: Moment) -> Result<Ended, ActError> {
        must_be_empty(change.sql(), &self.id).await?;
        sql("DELETE FROM enterprises WHERE id = $1").bind(self.id.as_str()).execute(change.sql()).await?;
        change.withdraw(cursor(&self.id), now).await?;
        // An enterprise of the same id may be made before their tokens end.
        let why = Some("its enterprise was deleted");
        Ok(sessions::end(change, Ending::OfEnterprise(&self.id), why, now).await?)
    }
}

async fn must_be_empty(on: &mut Connection, id: &EnterpriseId) -> Result<(), ActError> {
    for (what, count) in [
        (Thing::Team, "SELECT COUNT(*) AS count FROM teams WHERE enterprise = $1"),
        (Thing::ServiceAccount, "SELECT COUNT(*) AS count FROM service_accounts WHERE enterprise = $1"),
    ] {
        let count = row::unsigned(&sql(count).bind(id.as_str()).fetch_one(on).await?, "count")?;
        if count > 0 {
            return Err(Refusal::StillHas { owner: Thing::Enterprise, what, count }.into());
        }
    }
    Ok(())
}

fn select() -> Statement {
    sql("SELECT e.id, e.name, e.state, e.quota_limit, e.quota_window, e.created_at, p.revision
         FROM enterprises e JOIN published p ON p.table_code = 6 AND p.digest = e.digest")
}

fn enterprise(from: &Row) -> Result<Enterprise, StoreError> {
    Ok(Enterprise {
        id: row::parsed(from, "id", EnterpriseId::parse)?,
        name: row::parsed(from, "name", Name::parse)?,
        state: row::word(from, "state", word::tenant_state)?,
        quota: row::quota(from)?,
        created_at: row::moment(from, "created_at")?,
        revision: row::unsigned(from, "revision")?,
    })
}

fn cursor(id: &EnterpriseId) -> Cursor {
    Cursor { table: Table::Enterprises, digest: Digest::of(id.as_str().as_bytes()) }
}
