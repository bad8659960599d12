//! `/v1/users`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri},
};
use tollkeeper_contract::{TeamId, TenantState, UserId};

use super::{
    App, Id,
    body::{Sent, field, settable},
    by::Asked,
    fields::{permissions, required, tenant_state},
    problem::Problem,
    query::{Params, cut},
    tenants::{Served, known_form},
    wire::{NewUserBody, PasswordBody, UserChangeBody, UserList, UserMade, UserView},
};
use crate::{
    domain::{Name, NewUser, Password, PasswordHash, Patch, Thing, User, UserChange, UserFilter},
    edge,
};

impl Served for User {
    const CREATE: &'static str = "POST /v1/users";
    const NAMED: &'static [Thing] = &[Thing::Team];
    type NewBody = NewUserBody;
    type ChangeBody = UserChangeBody;
    type View = UserView;
    type MadeView = UserMade;

    fn parse_id(text: &str) -> Option<UserId> {
        UserId::parse(text).ok()
    }

    fn read_new(body: NewUserBody) -> Result<NewUser, Problem> {
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

    fn read_change(body: UserChangeBody) -> Result<UserChange, Problem> {
        Ok(UserChange {
            name: settable("name", body.name, |name| Name::parse(&name))?,
            state: settable("state", body.state, |state| tenant_state(&state))?,
            permissions: settable("permissions", body.permissions, |list| permissions(&list))?,
        })
    }

    fn made(user: UserView, replayed: bool) -> UserMade {
        UserMade { user, replayed }
    }
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

/// `PUT /v1/users/{id}/password`
pub(super) async fn set_password(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<PasswordBody>,
) -> Result<StatusCode, Problem> {
    let id = known_form::<User>(&id)?;
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
