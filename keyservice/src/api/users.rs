//! `/v1/users`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use tollkeeper_contract::{TeamId, TenantState, UserId};

use super::{
    App, Id,
    body::{Sent, field, settable},
    by::Asked,
    fields::{permissions, required, tenant_state},
    once,
    problem::Problem,
    query::{Params, cut},
    wire::{NewUserBody, PasswordBody, UserChangeBody, UserList, UserMade, UserView},
};
use crate::{
    domain::{Name, NewUser, Password, PasswordHash, Patch, Thing, User, UserChange, UserFilter},
    edge,
    store::{ActError, Made},
};

/// `POST /v1/users`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewUserBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/users", sent.digest)?;
    let made = app.store.create::<User>(new_user(sent.value)?, once, by, edge::now()).await.map_err(refused)?;
    Ok(match made {
        Made::Now(user) => once::made(UserMade { user: user.into(), replayed: false }),
        Made::Before(user) => once::replayed(UserMade { user: user.into(), replayed: true }),
    })
}

/// `GET /v1/users`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<UserList>, Problem> {
    let params = Params::read(&uri, &["limit", "after", "team", "state"])?;
    let limit = params.limit()?;
    let after = params.maybe("after", UserId::parse)?;
    let filter = UserFilter { team: params.maybe("team", TeamId::parse)?, state: params.maybe("state", tenant_state)? };
    let mut users = app.store.users(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut users, limit, |user| user.id.to_string());
    Ok(Json(UserList { users: users.into_iter().map(UserView::from).collect(), next }))
}

/// `GET /v1/users/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id) -> Result<Json<UserView>, Problem> {
    Ok(Json(app.store.get::<User>(&known_form(&id)?).await?.into()))
}

/// `PATCH /v1/users/{id}`
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<UserChangeBody>,
) -> Result<Json<UserView>, Problem> {
    let wanted = UserChange {
        name: settable("name", sent.value.name, |name| Name::parse(&name))?,
        state: settable("state", sent.value.state, |state| tenant_state(&state))?,
        permissions: settable("permissions", sent.value.permissions, |list| permissions(&list))?,
    };
    Ok(Json(app.store.alter::<User>(known_form(&id)?, wanted, by, edge::now()).await?.into()))
}

/// `PUT /v1/users/{id}/password`
pub(super) async fn set_password(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<PasswordBody>,
) -> Result<StatusCode, Problem> {
    let id = known_form(&id)?;
    let hash = match sent.value.password {
        Patch::Keep => return Err(Problem::field("password", "is missing; null takes it away")),
        Patch::Clear => None,
        Patch::Set(text) => Some(hash(field("password", Password::parse(text))?).await?),
    };
    app.store.set_password(id, hash, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hashes a password away from the threads that serve requests.
async fn hash(password: Password) -> Result<PasswordHash, Problem> {
    let failed = |error: String| {
        tracing::error!(%error, "a password cannot be hashed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "hashing_failed", "the password cannot be hashed")
    };
    let salt = edge::salt().map_err(|error| failed(error.to_string()))?;
    let hashing = tokio::task::spawn_blocking(move || PasswordHash::of(&password, salt));
    hashing.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
}

/// `DELETE /v1/users/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, Id(id): Id, Asked(by): Asked) -> Result<StatusCode, Problem> {
    app.store.delete::<User>(known_form(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no user id is the id of no user.
fn known_form(id: &str) -> Result<UserId, Problem> {
    UserId::parse(id).map_err(|_| Problem::unknown(Thing::User))
}

/// The team stands in the body: the path exists.
fn refused(error: ActError) -> Problem {
    Problem::naming(error, &[Thing::Team])
}

fn new_user(body: NewUserBody) -> Result<NewUser, Problem> {
    let id = field("id", UserId::parse(&required("id", body.id)?))?;
    let name = field("name", Name::parse(body.name.as_deref().unwrap_or(id.as_str())))?;
    Ok(NewUser {
        id,
        team: field("team", TeamId::parse(&required("team", body.team)?))?,
        name,
        state: field("state", body.state.map_or(Ok(TenantState::Active), |state| tenant_state(&state)))?,
        permissions: field("permissions", permissions(&required("permissions", body.permissions)?))?,
    })
}
