//! `/v1/teams`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use tollkeeper_contract::{EnterpriseId, HostName, TeamId, TenantState};

use super::{
    App, Id,
    body::{Sent, clearable, field, settable},
    by::Asked,
    fields::{quota, quota_patch, required, tenant_state},
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{NewTeamBody, TeamChangeBody, TeamList, TeamMade, TeamView},
};
use crate::{
    domain::{HostList, Name, NewTeam, Patch, Team, TeamChange, TeamFilter, Thing},
    edge,
    store::{ActError, Made},
};

/// `POST /v1/teams`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewTeamBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/teams", sent.digest)?;
    let made = app.store.create::<Team>(new_team(sent.value)?, once, by, edge::now()).await.map_err(refused)?;
    Ok(match made {
        Made::Now(team) => once::made(TeamMade { team: team.into(), replayed: false }),
        Made::Before(team) => once::replayed(TeamMade { team: team.into(), replayed: true }),
    })
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

/// `GET /v1/teams/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<TeamView>, Problem> {
    Ok(Json(app.store.get::<Team>(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/teams/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<TeamChangeBody>,
) -> Result<Json<TeamView>, Problem> {
    let wanted = team_change(sent.value)?;
    let changed = app.store.alter::<Team>(known_form(&id)?, wanted, by, edge::now()).await.map_err(refused)?;
    Ok(Json(changed.into()))
}

/// `DELETE /v1/teams/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete::<Team>(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no team id is the id of no team.
fn known_form(id: &str) -> Result<TeamId, Problem> {
    TeamId::parse(id).map_err(|_| Problem::unknown(Thing::Team))
}

/// The enterprise stands in the body: the path exists.
fn refused(error: ActError) -> Problem {
    Problem::naming(error, &[Thing::Enterprise])
}

fn new_team(body: NewTeamBody) -> Result<NewTeam, Problem> {
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

fn team_change(body: TeamChangeBody) -> Result<TeamChange, Problem> {
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

fn hosts(list: &[String]) -> Result<HostList, Problem> {
    let host = |(index, host): (usize, &String)| field(&format!("hosts[{index}]"), HostName::parse(host));
    field("hosts", HostList::new(list.iter().enumerate().map(host).collect::<Result<Vec<_>, _>>()?))
}
