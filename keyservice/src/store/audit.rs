//! The audit log as it is read; `change` writes it.

use tollkeeper_contract::{EnterpriseId, TeamId};

use super::{
    Store, StoreError, row,
    sql::{Row, sql},
};
use crate::domain::{ActionName, AuditFilter, AuditOrder, Audited, Name, ResourceName};

impl Store {
    /// Up to `limit` entries of the audit log in that order, behind the number `after`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        order: AuditOrder,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Audited>, StoreError> {
        let query = sql(
            "SELECT seq, at, actor, source, token, action, resource, team, enterprise, detail, revision FROM audit",
        );
        let after = after.map(row::integer).transpose()?;
        let (query, order) = match order {
            AuditOrder::Oldest => (query.then_with(" WHERE seq > ", after.unwrap_or(0)), " ORDER BY seq LIMIT "),
            AuditOrder::Newest => {
                (query.then_with(" WHERE seq < ", after.unwrap_or(i64::MAX)), " ORDER BY seq DESC LIMIT ")
            }
        };
        let query = query.then_with_some(" AND actor = ", filter.actor.as_ref().map(Name::as_str));
        let query = query.then_with_some(" AND action = ", filter.action.as_ref().map(ActionName::as_str));
        let query = query.then_with_some(" AND resource = ", filter.resource.as_ref().map(ResourceName::as_str));
        let query = query.then_with_some(" AND team = ", filter.team.as_ref().map(TeamId::as_str));
        let query = query.then_with_some(" AND enterprise = ", filter.enterprise.as_ref().map(EnterpriseId::as_str));
        let query = query.then_with_some(" AND at >= ", filter.since);
        let query = query.then_with_some(" AND at < ", filter.until);
        let query = query.then_with(order, limit);
        query.fetch_all(&mut self.read().await?).await?.iter().map(audited).collect()
    }
}

fn audited(from: &Row) -> Result<Audited, StoreError> {
    let maybe = |column| Ok::<_, StoreError>(from.maybe_text(column)?.map(str::to_owned));
    Ok(Audited {
        seq: row::unsigned(from, "seq")?,
        at: row::moment(from, "at")?,
        actor: from.text("actor")?.to_owned(),
        source: maybe("source")?,
        token: maybe("token")?,
        action: from.text("action")?.to_owned(),
        resource: from.text("resource")?.to_owned(),
        team: maybe("team")?,
        enterprise: maybe("enterprise")?,
        detail: row::parsed(from, "detail", |text| serde_json::from_str(text))?,
        revision: from.maybe_integer("revision")?.map(|_| row::unsigned(from, "revision")).transpose()?,
    })
}
