//! Service accounts in the database. Nodes do not see them, only their keys.

use tollkeeper_contract::{EnterpriseId, KeyId, ServiceAccountId, TeamId};

use super::{
    ActError, Made, Once, Refusal, Store, StoreError,
    change::Change,
    enterprises, keys, row,
    sql::{Connection, Row, Statement, sql},
    teams,
};
use crate::domain::{
    AccountOwner, By, Moment, Name, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter,
    Thing,
};

impl Store {
    /// Makes a service account, once per `once`.
    ///
    /// # Errors
    /// When an account of that id exists, there is no such team or enterprise, `once` stands for another request, or the
    /// database fails.
    pub async fn create_service_account(
        &self,
        account: NewServiceAccount,
        once: Option<Once>,
        by: By,
        now: Moment,
    ) -> Result<Made<ServiceAccount>, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            if let Some(id) = change.made_before(once.as_ref()).await? {
                let before = find(change.sql(), &id).await?;
                return before.map(Made::Before).ok_or(Refusal::MadeAndDeleted.into());
            }
            if find(change.sql(), account.id.as_str()).await?.is_some() {
                return Err(Refusal::Exists(Thing::ServiceAccount).into());
            }
            match &account.owner {
                AccountOwner::Team(team) => teams::existing(change.sql(), team).await.map(|_| ())?,
                AccountOwner::Enterprise(owner) => enterprises::existing(change.sql(), owner).await.map(|_| ())?,
            }
            insert(&mut change, &account, now).await?;
            change.remember(once.as_ref(), account.id.as_str(), now).await?;
            let made = existing(change.sql(), &account.id).await?;
            change.tell_made("service_account.create", &made, now);
            change.commit().await?;
            Ok(Made::Now(made))
        })
        .await
    }

    /// One service account.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn service_account(&self, id: &ServiceAccountId) -> Result<ServiceAccount, ActError> {
        existing(&mut self.read().await?, id).await
    }

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

    /// Changes a service account. What leaves it as it was is not written.
    ///
    /// # Errors
    /// When there is no such account, or the database fails.
    pub async fn change_service_account(
        &self,
        id: ServiceAccountId,
        wanted: ServiceAccountChange,
        by: By,
        now: Moment,
    ) -> Result<ServiceAccount, ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            let after = wanted.applied_to(&before);
            if after == before {
                return Ok(before);
            }
            let update = sql("UPDATE service_accounts SET name = $2 WHERE id = $1").bind(id.as_str());
            update.bind(after.name.as_str()).execute(change.sql()).await?;
            change.tell_changed("service_account.change", &before, &after, now);
            change.commit().await?;
            Ok(after)
        })
        .await
    }

    /// Deletes a service account and its revoked keys.
    ///
    /// # Errors
    /// When there is no such account, it still has a key that is not revoked, or the database fails.
    pub async fn delete_service_account(&self, id: ServiceAccountId, by: By, now: Moment) -> Result<(), ActError> {
        let store = self.clone();
        self.to_the_end(async move {
            let mut change = store.change(&by).await?;
            let before = existing(change.sql(), &id).await?;
            let count = sql("SELECT COUNT(*) AS count FROM keys WHERE service_account = $1 AND state <> 'revoked'");
            let count = row::unsigned(&count.bind(id.as_str()).fetch_one(change.sql()).await?, "count")?;
            if count > 0 {
                return Err(Refusal::StillHas { owner: Thing::ServiceAccount, what: Thing::Key, count }.into());
            }
            keys::remove_with(&mut change, &before, "service_account", now).await?;
            sql("DELETE FROM service_accounts WHERE id = $1").bind(id.as_str()).execute(change.sql()).await?;
            change.tell_gone("service_account.delete", &before, now);
            change.commit().await?;
            Ok(())
        })
        .await
    }
}

async fn insert(change: &mut Change<'_>, account: &NewServiceAccount, now: Moment) -> Result<(), StoreError> {
    let insert =
        sql("INSERT INTO service_accounts (id, team, enterprise, name, created_at) VALUES ($1, $2, $3, $4, $5)");
    let insert = insert.bind(account.id.as_str()).bind(account.owner.team().map(TeamId::as_str));
    let insert = insert.bind(account.owner.enterprise().map(EnterpriseId::as_str)).bind(account.name.as_str());
    insert.bind(now).execute(change.sql()).await?;
    Ok(())
}

/// The account, or the refusal of what was to be done with it.
pub(super) async fn existing(on: &mut Connection, id: &ServiceAccountId) -> Result<ServiceAccount, ActError> {
    find(on, id.as_str()).await?.ok_or(Refusal::NoSuch(Thing::ServiceAccount).into())
}

async fn find(on: &mut Connection, id: &str) -> Result<Option<ServiceAccount>, StoreError> {
    select().then_with(" WHERE a.id = ", id).fetch_optional(on).await?.map(|row| account(&row)).transpose()
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
