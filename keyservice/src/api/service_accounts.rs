//! `/v1/service-accounts`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use tollkeeper_contract::{EnterpriseId, ServiceAccountId, TeamId};

use super::{
    App,
    body::{field, settable},
    fields::required,
    problem::Problem,
    query::{Params, cut},
    tenants::Served,
    wire::{
        NewServiceAccountBody, ServiceAccountChangeBody, ServiceAccountList, ServiceAccountMade, ServiceAccountView,
    },
};
use crate::domain::{
    AccountOwner, Name, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter, Thing,
};

impl Served for ServiceAccount {
    const CREATE: &'static str = "POST /v1/service-accounts";
    const NAMED: &'static [Thing] = &[Thing::Team, Thing::Enterprise];
    type NewBody = NewServiceAccountBody;
    type ChangeBody = ServiceAccountChangeBody;
    type View = ServiceAccountView;
    type MadeView = ServiceAccountMade;

    fn parse_id(text: &str) -> Option<ServiceAccountId> {
        ServiceAccountId::parse(text).ok()
    }

    fn read_new(body: NewServiceAccountBody) -> Result<NewServiceAccount, Problem> {
        let id = field("id", ServiceAccountId::parse(&required("id", body.id)?))?;
        let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
        let owner = match (body.team, body.enterprise) {
            (Some(team), None) => AccountOwner::Team(field("team", TeamId::parse(&team))?),
            (None, Some(id)) => AccountOwner::Enterprise(field("enterprise", EnterpriseId::parse(&id))?),
            (None, None) => return Err(Problem::field("team", "is missing; or send enterprise instead")),
            (Some(_), Some(_)) => return Err(Problem::field("enterprise", "must not be there beside team")),
        };
        Ok(NewServiceAccount { id, owner, name })
    }

    fn read_change(body: ServiceAccountChangeBody) -> Result<ServiceAccountChange, Problem> {
        Ok(ServiceAccountChange { name: settable("name", body.name, |name| Name::parse(&name))? })
    }

    fn made(service_account: ServiceAccountView, replayed: bool) -> ServiceAccountMade {
        ServiceAccountMade { service_account, replayed }
    }
}

/// `GET /v1/service-accounts`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<ServiceAccountList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "team", "enterprise"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", ServiceAccountId::parse)?;
    let filter = ServiceAccountFilter {
        team: params.maybe("team", TeamId::parse)?,
        enterprise: params.maybe("enterprise", EnterpriseId::parse)?,
    };
    let mut found = app.store.service_accounts(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut found, limit, |account| account.id.to_string());
    let service_accounts = found.into_iter().map(ServiceAccountView::from).collect();
    Ok(Json(ServiceAccountList { service_accounts, next }))
}
