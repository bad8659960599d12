//! Service accounts in the database. Nodes do not see them, only their keys.

use tollkeeper_contract::{EnterpriseId, KeyId, ServiceAccountId, TeamId};

use super::{
    ActError, Refusal, Store, StoreError,
    change::Change,
    kept::{Kept, existing},
    keys, row,
    sessions::Ended,
    sql::{Connection, Row, Statement, sql},
};
use crate::domain::{
    AccountOwner, Enterprise, Moment, Name, NewServiceAccount, ServiceAccount, ServiceAccountChange,
    ServiceAccountFilter, Team, Thing,
};

impl Store {
    /// Up to `limit` service accounts in the order of their ids, behind the id `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn service_accounts(
        &self,
        filter: &ServiceAccountFilter,
        after: Option<&ServiceAccountId>,
        limit: u32,
    ) -> Result<Vec<ServiceAccount>, StoreError> {
        let query = select().then_with(" WHERE a.id > ", after.map_or("", ServiceAccountId::as_str));
        let query = query.then_with_some(" AND a.team = ", filter.team.as_ref().map(TeamId::as_str));
        let query = query.then_with_some(" AND a.enterprise = ", filter.enterprise.as_ref().map(EnterpriseId::as_str));
        let query = query.then_with(" ORDER BY a.id LIMIT ", limit);
        query.fetch_all(&mut self.read().await?).await?.iter().map(account).collect()
    }
}

impl Kept for ServiceAccount {
    type Id = ServiceAccountId;
    type New = NewServiceAccount;
    type Change = ServiceAccountChange;

    fn id_of(new: &NewServiceAccount) -> &ServiceAccountId {
        &new.id
    }

    fn after(&self, wanted: ServiceAccountChange) -> Self {
        wanted.applied_to(self)
    }

    async fn find(on: &mut Connection, id: &str) -> Result<Option<Self>, StoreError> {
        select().then_with(" WHERE a.id = ", id).fetch_optional(on).await?.map(|row| account(&row)).transpose()
    }

    async fn insert(new: &NewServiceAccount, change: &mut Change<'_>, now: Moment) -> Result<(), ActError> {
        match &new.owner {
            AccountOwner::Team(team) => existing::<Team>(change.sql(), team).await.map(|_| ())?,
            AccountOwner::Enterprise(owner) => existing::<Enterprise>(change.sql(), owner).await.map(|_| ())?,
        }
        let insert =
            sql("INSERT INTO service_accounts (id, team, enterprise, name, created_at) VALUES ($1, $2, $3, $4, $5)");
        let insert = insert.bind(new.id.as_str()).bind(new.owner.team().map(TeamId::as_str));
        let insert = insert.bind(new.owner.enterprise().map(EnterpriseId::as_str)).bind(new.name.as_str());
        insert.bind(now).execute(change.sql()).await?;
        Ok(())
    }

    async fn update(&self, _: &Self, change: &mut Change<'_>, _: Moment) -> Result<(), ActError> {
        let update = sql("UPDATE service_accounts SET name = $2 WHERE id = $1").bind(self.id.as_str());
        update.bind(self.name.as_str()).execute(change.sql()).await?;
        Ok(())
    }

    async fn remove(&self, change: &mut Change<'_>, now: Moment) -> Result<Ended, ActError> {
        let count = sql("SELECT COUNT(*) AS count FROM keys WHERE service_account = $1 AND state <> 'revoked'");
        let count = row::unsigned(&count.bind(self.id.as_str()).fetch_one(change.sql()).await?, "count")?;
        if count > 0 {
            return Err(Refusal::StillHas { owner: Thing::ServiceAccount, what: Thing::Key, count }.into());
        }
        keys::remove_with(change, self, "service_account", now).await?;
        sql("DELETE FROM service_accounts WHERE id = $1").bind(self.id.as_str()).execute(change.sql()).await?;
        Ok(Ended::default())
    }
}

fn select() -> Statement {
    sql("SELECT a.id, a.team, a.enterprise, a.name, a.created_at, k.id AS key_id
         FROM service_accounts a LEFT JOIN keys k
              ON k.service_account = a.id AND k.superseded_by IS NULL AND k.state <> 'revoked'")
}

fn account(from: &Row) -> Result<ServiceAccount, StoreError> {
    let team = row::maybe_parsed(from, "team", TeamId::parse)?.map(AccountOwner::Team);
    let enterprise = row::maybe_parsed(from, "enterprise", EnterpriseId::parse)?.map(AccountOwner::Enterprise);
    Ok(ServiceAccount {
        id: row::parsed(from, "id", ServiceAccountId::parse)?,
        owner: team.or(enterprise).ok_or_else(|| row::corrupt("service_accounts.team", "there is no owner"))?,
        name: row::parsed(from, "name", Name::parse)?,
        key: row::maybe_parsed(from, "key_id", KeyId::parse)?,
        created_at: row::moment(from, "created_at")?,
    })
}
