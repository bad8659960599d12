//! `/v1/teams`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde::Deserialize;
use tollkeeper_contract::{InvalidQuota, Quota, TeamId, TenantState};

use super::{
    App, Id,
    body::{Object, Sent, field, patch, settable},
    by::Asked,
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{TeamList, TeamMade, TeamView},
};
use crate::{
    domain::{Name, NewTeam, Patch, TeamChange, word},
    edge,
    store::Made,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTeamBody {
    id: Option<String>,
    name: Option<String>,
    state: Option<String>,
    quota: Option<Object<QuotaBody>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaBody {
    limit: Option<u64>,
    window_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamChangeBody {
    #[serde(default, deserialize_with = "patch")]
    name: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    state: Patch<String>,
    #[serde(default, deserialize_with = "patch")]
    quota: Patch<Object<QuotaBody>>,
}

/// `POST /v1/teams`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewTeamBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/teams", sent.digest)?;
    let made = app.store.create_team(new_team(sent.value)?, once, by, edge::now()).await?;
    Ok(match made {
        Made::Now(team) => once::made(TeamMade { team: team.into(), replayed: false }),
        Made::Before(team) => once::replayed(TeamMade { team: team.into(), replayed: true }),
    })
}

/// `GET /v1/teams`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<TeamList>, Problem> {
    let params = Params::read(&uri, &["limit", "after"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", TeamId::parse)?;
    let mut teams = app.store.teams(after.as_ref(), limit + 1).await?;
    let next = cut(&mut teams, limit, |team| team.id.to_string());
    Ok(Json(TeamList { teams: teams.into_iter().map(TeamView::from).collect(), next }))
}

/// `GET /v1/teams/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<TeamView>, Problem> {
    Ok(Json(app.store.team(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/teams/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<TeamChangeBody>,
) -> Result<Json<TeamView>, Problem> {
    let wanted = team_change(sent.value)?;
    Ok(Json(app.store.change_team(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `DELETE /v1/teams/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete_team(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no team id is the id of no team.
fn known_form(id: &str) -> Result<TeamId, Problem> {
    TeamId::parse(id).map_err(|_| Problem::unknown_team())
}

fn new_team(body: NewTeamBody) -> Result<NewTeam, Problem> {
    let id = body.id.ok_or_else(|| Problem::field("id", "is missing"))?;
    let id = field("id", TeamId::parse(&id))?;
    let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
    let state = field("state", body.state.map_or(Ok(TenantState::Active), |state| team_state(&state)))?;
    let quota = body.quota.map(quota).transpose()?;
    Ok(NewTeam { id, name, state, quota })
}

fn team_change(body: TeamChangeBody) -> Result<TeamChange, Problem> {
    Ok(TeamChange {
        name: settable("name", body.name, |name| Name::parse(&name))?,
        state: settable("state", body.state, |state| team_state(&state))?,
        quota: match body.quota {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(body) => Patch::Set(quota(body)?),
        },
    })
}

fn team_state(text: &str) -> Result<TenantState, &'static str> {
    word::tenant_state(text).ok_or("must be active or disabled")
}

fn quota(Object(body): Object<QuotaBody>) -> Result<Quota, Problem> {
    let number = |name: &str, value: Option<u64>, rule| {
        let value = value.ok_or_else(|| Problem::field(name, "is missing"))?;
        // Every number that is too great breaks the same rule as 0.
        u32::try_from(value).map_err(|_| Problem::field(name, rule))
    };
    let limit = number("quota.limit", body.limit, InvalidQuota::Limit)?;
    let window = number("quota.window_seconds", body.window_seconds, InvalidQuota::Window)?;
    Quota::new(limit, window).map_err(|rule| match rule {
        InvalidQuota::Limit => Problem::field("quota.limit", rule),
        InvalidQuota::Window => Problem::field("quota.window_seconds", rule),
    })
}
