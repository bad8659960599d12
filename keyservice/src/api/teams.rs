//! `/v1/teams`.

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use tollkeeper_contract::{EnterpriseId, HostName, TeamId, TenantState};

use super::{
    App,
    body::{clearable, field, settable},
    fields::{quota, quota_patch, required, tenant_state},
    problem::Problem,
    query::{Params, cut},
    tenants::Served,
    wire::{NewTeamBody, TeamChangeBody, TeamList, TeamMade, TeamView},
};
use crate::domain::{HostList, Name, NewTeam, Patch, Team, TeamChange, TeamFilter, Thing};

impl Served for Team {
    const CREATE: &'static str = "POST /v1/teams";
    const NAMED: &'static [Thing] = &[Thing::Enterprise];
    type NewBody = NewTeamBody;
    type ChangeBody = TeamChangeBody;
    type View = TeamView;
    type MadeView = TeamMade;

    fn parse_id(text: &str) -> Option<TeamId> {
        TeamId::parse(text).ok()
    }

    fn read_new(body: NewTeamBody) -> Result<NewTeam, Problem> {
        let id = field("id", TeamId::parse(&required("id", body.id)?))?;
        let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
        Ok(NewTeam {
            name,
            state: field("state", body.state.map_or(Ok(TenantState::Active), |state| tenant_state(&state)))?,
            quota: body.quota.map(quota).transpose()?,
            enterprise: body.enterprise.map(|id| field("enterprise", EnterpriseId::parse(&id))).transpose()?,
            hosts: hosts(&body.hosts.unwrap_or_default())?,
            revoke_sessions: body.revoke_sessions.unwrap_or(false),
            id,
        })
    }

    fn read_change(body: TeamChangeBody) -> Result<TeamChange, Problem> {
        Ok(TeamChange {
            name: settable("name", body.name, |name| Name::parse(&name))?,
            state: settable("state", body.state, |state| tenant_state(&state))?,
            quota: quota_patch(body.quota)?,
            enterprise: clearable("enterprise", body.enterprise, |id| EnterpriseId::parse(&id))?,
            hosts: match body.hosts {
                Patch::Keep => None,
                Patch::Clear => return Err(Problem::field("hosts", "must not be null; an empty list gives them up")),
                Patch::Set(list) => Some(hosts(&list)?),
            },
            revoke_sessions: settable("revoke_sessions", body.revoke_sessions, Ok::<_, std::convert::Infallible>)?,
        })
    }

    fn made(team: TeamView, replayed: bool) -> TeamMade {
        TeamMade { team, replayed }
    }
}

/// `GET /v1/teams`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<TeamList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "enterprise", "state"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", TeamId::parse)?;
    let filter = TeamFilter {
        enterprise: params.maybe("enterprise", EnterpriseId::parse)?,
        state: params.maybe("state", tenant_state)?,
    };
    let mut teams = app.store.teams(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut teams, limit, |team| team.id.to_string());
    Ok(Json(TeamList { teams: teams.into_iter().map(TeamView::from).collect(), next }))
}

fn hosts(list: &[String]) -> Result<HostList, Problem> {
    let host = |(index, host): (usize, &String)| field(&format!("hosts[{index}]"), HostName::parse(host));
    field("hosts", HostList::new(list.iter().enumerate().map(host).collect::<Result<Vec<_>, _>>()?))
}
