//! `/v1/audit`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use tollkeeper_contract::{EnterpriseId, TeamId};

use super::{
    App,
    problem::Problem,
    query::{Params, cut},
    wire::{AuditList, AuditView},
};
use crate::domain::{ActionName, AuditFilter, AuditOrder, Moment, Name, ResourceName};

/// `GET /v1/audit`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<AuditList>, Problem> {
    let known = ["limit", "after", "order", "actor", "action", "resource", "team", "enterprise", "since", "until"];
    let params = Params::read(&uri, &known)?;
    let limit = params.limit()?;
    let after = params.maybe("after", number)?;
    let order = params.maybe("order", |text| AuditOrder::from_name(text).ok_or("must be oldest or newest"))?;
    let filter = AuditFilter {
        actor: params.maybe("actor", Name::parse)?,
        action: params.maybe("action", ActionName::parse)?,
        resource: params.maybe("resource", ResourceName::parse)?,
        team: params.maybe("team", TeamId::parse)?,
        enterprise: params.maybe("enterprise", EnterpriseId::parse)?,
        since: params.maybe("since", Moment::parse)?,
        until: params.maybe("until", Moment::parse)?,
    };
    let mut entries = app.store.audit(&filter, order.unwrap_or_default(), after, limit + 1).await?;
    let next = cut(&mut entries, limit, |entry| entry.seq);
    Ok(Json(AuditList { entries: entries.into_iter().map(AuditView::from).collect(), next }))
}

/// The number of an entry: digits alone, and no greater than the database can count.
fn number(text: &str) -> Result<u64, &'static str> {
    let rule = "must be the number of an entry";
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).ok_or(rule)?;
    digits.parse().ok().filter(|number| i64::try_from(*number).is_ok()).ok_or(rule)
}
