//! What the endpoints of enterprises, teams, users and service accounts have in common: one is made, shown, changed
//! and deleted by the id that somebody chose for it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{App, Id, body::Sent, by::Asked, once, problem::Problem, query::NoParams};
use crate::{
    domain::Thing,
    edge,
    store::{Kept, Made},
};

/// A thing as the admin API serves it.
pub(super) trait Served: Kept {
    /// The request that makes one.
    const CREATE: &'static str;
    /// What stands in bodies beside its own id: that it does not exist is no matter of the path.
    const NAMED: &'static [Thing];
    /// The body of a request that makes one.
    type NewBody: DeserializeOwned + Send;
    /// The body of a request that changes one.
    type ChangeBody: DeserializeOwned + Send;
    /// How it is shown.
    type View: From<Self> + Serialize;
    /// How it is shown to whoever made it.
    type MadeView: Serialize;

    /// Reads an id, if it is one.
    fn parse_id(text: &str) -> Option<Self::Id>;

    /// Reads what is to be made.
    fn read_new(body: Self::NewBody) -> Result<Self::New, Problem>;

    /// Reads what is to change.
    fn read_change(body: Self::ChangeBody) -> Result<Self::Change, Problem>;

    /// Shows it to whoever made it, or had made it with an earlier request.
    fn made(view: Self::View, replayed: bool) -> Self::MadeView;
}

/// `POST`: makes one.
pub(super) async fn create<T: Served>(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<T::NewBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, T::CREATE, sent.digest)?;
    let made = app.store.create::<T>(T::read_new(sent.value)?, once, by, edge::now()).await;
    Ok(match made.map_err(|error| Problem::naming(error, T::NAMED))? {
        Made::Now(made) => once::made(T::made(made.into(), false)),
        Made::Before(made) => once::replayed(T::made(made.into(), true)),
    })
}

/// `GET`: shows one.
pub(super) async fn show<T: Served>(
    State(app): State<Arc<App>>,
    Id(id): Id,
    _: NoParams,
) -> Result<Json<T::View>, Problem> {
    Ok(Json(app.store.get::<T>(&known_form::<T>(&id)?).await?.into()))
}

/// `PATCH`: changes one.
pub(super) async fn change<T: Served>(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
    sent: Sent<T::ChangeBody>,
) -> Result<Json<T::View>, Problem> {
    let wanted = T::read_change(sent.value)?;
    let changed = app.store.alter::<T>(known_form::<T>(&id)?, wanted, by, edge::now()).await;
    Ok(Json(changed.map_err(|error| Problem::naming(error, T::NAMED))?.into()))
}

/// `DELETE`: deletes one.
pub(super) async fn delete<T: Served>(
    State(app): State<Arc<App>>,
    Id(id): Id,
    Asked(by): Asked,
) -> Result<StatusCode, Problem> {
    app.store.delete::<T>(known_form::<T>(&id)?, by, edge::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no id is the id of nothing.
pub(super) fn known_form<T: Served>(id: &str) -> Result<T::Id, Problem> {
    T::parse_id(id).ok_or_else(|| Problem::unknown(T::THING))
}
