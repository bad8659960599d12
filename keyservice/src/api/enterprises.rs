//! `/v1/enterprises`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use tollkeeper_contract::{EnterpriseId, TenantState};

use super::{
    App,
    body::{field, settable},
    fields::{quota, quota_patch, required, tenant_state},
    problem::Problem,
    query::{Params, cut},
    tenants::Served,
    wire::{EnterpriseChangeBody, EnterpriseList, EnterpriseMade, EnterpriseView, NewEnterpriseBody},
};
use crate::domain::{Enterprise, EnterpriseChange, EnterpriseFilter, Name, NewEnterprise, Thing};

impl Served for Enterprise {
    const CREATE: &'static str = "POST /v1/enterprises";
    const NAMED: &'static [Thing] = &[];
    type NewBody = NewEnterpriseBody;
    type ChangeBody = EnterpriseChangeBody;
    type View = EnterpriseView;
    type MadeView = EnterpriseMade;

    fn parse_id(text: &str) -> Option<EnterpriseId> {
        EnterpriseId::parse(text).ok()
    }

    fn read_new(body: NewEnterpriseBody) -> Result<NewEnterprise, Problem> {
        let id = field("id", EnterpriseId::parse(&required("id", body.id)?))?;
        let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
        let state = field("state", body.state.map_or(Ok(TenantState::Active), |state| tenant_state(&state)))?;
        Ok(NewEnterprise { id, name, state, quota: body.quota.map(quota).transpose()? })
    }

    fn read_change(body: EnterpriseChangeBody) -> Result<EnterpriseChange, Problem> {
        Ok(EnterpriseChange {
            name: settable("name", body.name, |name| Name::parse(&name))?,
            state: settable("state", body.state, |state| tenant_state(&state))?,
            quota: quota_patch(body.quota)?,
        })
    }

    fn made(enterprise: EnterpriseView, replayed: bool) -> EnterpriseMade {
        EnterpriseMade { enterprise, replayed }
    }
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
