//! `/v1/enterprises`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use tollkeeper_contract::{EnterpriseId, TenantState};

use super::{
    App, Id,
    body::{Sent, field, settable},
    by::Asked,
    fields::{quota, quota_patch, required, tenant_state},
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{EnterpriseChangeBody, EnterpriseList, EnterpriseMade, EnterpriseView, NewEnterpriseBody},
};
use crate::{
    domain::{Enterprise, EnterpriseChange, EnterpriseFilter, Name, NewEnterprise, Thing},
    edge,
    store::Made,
};

/// `POST /v1/enterprises`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewEnterpriseBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/enterprises", sent.digest)?;
    let made = app.store.create::<Enterprise>(new_enterprise(sent.value)?, once, by, edge::now()).await?;
    Ok(match made {
        Made::Now(made) => once::made(EnterpriseMade { enterprise: made.into(), replayed: false }),
        Made::Before(made) => once::replayed(EnterpriseMade { enterprise: made.into(), replayed: true }),
    })
}

/// `GET /v1/enterprises`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<EnterpriseList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "state"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", EnterpriseId::parse)?;
    let filter = EnterpriseFilter { state: params.maybe("state", tenant_state)? };
    let mut found = app.store.enterprises(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut found, limit, |enterprise| enterprise.id.to_string());
    Ok(Json(EnterpriseList { enterprises: found.into_iter().map(EnterpriseView::from).collect(), next }))
}

/// `GET /v1/enterprises/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<EnterpriseView>, Problem> {
    Ok(Json(app.store.get::<Enterprise>(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/enterprises/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<EnterpriseChangeBody>,
) -> Result<Json<EnterpriseView>, Problem> {
    let wanted = EnterpriseChange {
        name: settable("name", sent.value.name, |name| Name::parse(&name))?,
        state: settable("state", sent.value.state, |state| tenant_state(&state))?,
        quota: quota_patch(sent.value.quota)?,
    };
    Ok(Json(app.store.alter::<Enterprise>(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `DELETE /v1/enterprises/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete::<Enterprise>(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no enterprise id is the id of no enterprise.
fn known_form(id: &str) -> Result<EnterpriseId, Problem> {
    EnterpriseId::parse(id).map_err(|_| Problem::unknown(Thing::Enterprise))
}

fn new_enterprise(body: NewEnterpriseBody) -> Result<NewEnterprise, Problem> {
    let id = field("id", EnterpriseId::parse(&required("id", body.id)?))?;
    let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
    let state = field("state", body.state.map_or(Ok(TenantState::Active), |state| tenant_state(&state)))?;
    Ok(NewEnterprise { id, name, state, quota: body.quota.map(quota).transpose()? })
}
