//! `/v1/service-accounts`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use tollkeeper_contract::{EnterpriseId, ServiceAccountId, TeamId};

use super::{
    App, Id,
    body::{Sent, field, settable},
    by::Asked,
    fields::required,
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{
        NewServiceAccountBody, ServiceAccountChangeBody, ServiceAccountList, ServiceAccountMade, ServiceAccountView,
    },
};
use crate::{
    domain::{
        AccountOwner, Name, NewServiceAccount, ServiceAccount, ServiceAccountChange, ServiceAccountFilter, Thing,
    },
    edge,
    store::{ActError, Made},
};

/// `POST /v1/service-accounts`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewServiceAccountBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/service-accounts", sent.digest)?;
    let account = new_account(sent.value)?;
    let made = app.store.create::<ServiceAccount>(account, once, by, edge::now()).await.map_err(refused)?;
    Ok(match made {
        Made::Now(made) => once::made(ServiceAccountMade { service_account: made.into(), replayed: false }),
        Made::Before(made) => once::replayed(ServiceAccountMade { service_account: made.into(), replayed: true }),
    })
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

/// `GET /v1/service-accounts/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<ServiceAccountView>, Problem> {
    Ok(Json(app.store.get::<ServiceAccount>(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/service-accounts/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<ServiceAccountChangeBody>,
) -> Result<Json<ServiceAccountView>, Problem> {
    let wanted = ServiceAccountChange { name: settable("name", sent.value.name, |name| Name::parse(&name))? };
    Ok(Json(app.store.alter::<ServiceAccount>(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `DELETE /v1/service-accounts/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete::<ServiceAccount>(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no service account id is the id of no service account.
fn known_form(id: &str) -> Result<ServiceAccountId, Problem> {
    ServiceAccountId::parse(id).map_err(|_| Problem::unknown(Thing::ServiceAccount))
}

/// The owner stands in the body: the path exists.
fn refused(error: ActError) -> Problem {
    Problem::naming(error, &[Thing::Team, Thing::Enterprise])
}

fn new_account(body: NewServiceAccountBody) -> Result<NewServiceAccount, Problem> {
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
