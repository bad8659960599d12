//! Enterprises in the database.

use tollkeeper_contract::{
    Digest, EnterpriseId,
    page::{Cursor, Table},
};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::Change,
    row,
    sessions::{self, Ending},
    sql::{Connection, Row, Statement, sql},
    telling,
};
use crate::domain::{By, Enterprise, EnterpriseChange, EnterpriseFilter, Moment, Name, NewEnterprise, Thing, word};

impl Store {
    /// Makes an enterprise, once per `once`.
    ///
    /// # Errors
    /// When an enterprise of that id exists, `once` stands for another request, or the database fails.
    pub async fn create_enterprise(
        &self,
        enterprise: NewEnterprise,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Made<Enterprise>, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            if let Some(id) = change.made_before(once.as_ref()).await? {
                let before = find(change.sql(), &id).await?;
                return before.map(Made::Before).ok_or(Refusal::MadeAndDeleted.into());
            }
            if find(change.sql(), enterprise.id.as_str()).await?.is_some() {
                return Err(Refusal::Exists(Thing::Enterprise).into());
            }
            insert(&mut change, &enterprise, now).await?;
            change.publish(cursor(&enterprise.id)).await?;
            change.remember(once.as_ref(), enterprise.id.as_str(), now).await?;
            let made = existing(change.sql(), &enterprise.id).await?;
            change.tell_made("enterprise.create", &made, now);
            change.commit().await?;
            Ok(Made::Now(made))
        })
        .await
    }

    /// One enterprise.
    ///
    /// # Errors
    /// When there is no such enterprise, or the database fails.
    pub async fn enterprise(&self, id: &EnterpriseId) -> Result<Enterprise, ActError> {
        existing(&mut self.read().await?, id).await
    }

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

    /// Changes an enterprise. What leaves it as it was takes no revision.
    ///
    /// # Errors
    /// When there is no such enterprise, or the database fails.
    pub async fn change_enterprise(
        &self,
        id: EnterpriseId,
        wanted: EnterpriseChange,
        by: By,
        now: Moment,
    ) -> Result<Enterprise, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            let after = wanted.applied_to(&before);
            if after == before {
                return Ok(before);
            }
            update(&mut change, &after).await?;
            change.publish(cursor(&id)).await?;
            change.tell_changed("enterprise.change", &before, &after, now);
            let changed = existing(change.sql(), &id).await?;
            change.commit().await?;
            Ok(changed)
        })
        .await
    }

    /// Deletes an enterprise.
    ///
    /// # Errors
    /// When there is no such enterprise, it still has a team or a service account, or the database fails.
    pub async fn delete_enterprise(&self, id: EnterpriseId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            must_be_empty(change.sql(), &id).await?;
            sql("DELETE FROM enterprises WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
            change.withdraw(cursor(&id), now).await?;
            // An enterprise of the same id may be made before their tokens end.
            let why = Some("its enterprise was deleted");
            let ended = sessions::end(&mut change, Ending::OfEnterprise(&id), why, now).await?;
            change.audit(ended.told_in(telling::gone("enterprise.delete", &before)), now);
            change.commit().await?;
            Ok(())
        })
        .await
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

async fn insert(change: &mut Change<'_>, enterprise: &NewEnterprise, now: Moment) -> Result<(), StoreError> {
    let (limit, window) = row::quota_columns(enterprise.quota);
    let insert = sql("INSERT INTO enterprises (id, digest, name, state, quota_limit, quota_window, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let insert = insert.bind(enterprise.id.as_str()).bind(&cursor(&enterprise.id).digest);
    let insert = insert.bind(enterprise.name.as_str()).bind(word::of_tenant_state(enterprise.state));
    insert.bind(limit).bind(window).bind(now).execute(change.sql()).await?;
    Ok(())
}

async fn update(change: &mut Change<'_>, enterprise: &Enterprise) -> Result<(), StoreError> {
    let (limit, window) = row::quota_columns(enterprise.quota);
    let update = sql("UPDATE enterprises SET name = $2, state = $3, quota_limit = $4, quota_window = $5 WHERE id = $1");
    let update = update.bind(enterprise.id.as_str()).bind(enterprise.name.as_str());
    let update = update.bind(word::of_tenant_state(enterprise.state)).bind(limit).bind(window);
    update.execute(change.sql()).await?;
    Ok(())
}

/// The enterprise, or the refusal of what was to be done with it.
pub(super) async fn existing(on: &mut Connection, id: &EnterpriseId) -> Result<Enterprise, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::Enterprise).into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<Enterprise>, StoreError> {
    select().then_with(" WHERE e.id = ", id).fetch_optional(on).await?.map(|row| enterprise(&row)).transpose()
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
