//! `/v1/keys`.
//!
//! * `terms`: bodies that say what a key may do, and for whom it is
//! * `lifecycle`: change, revoke, rotate, delete
//! * `import`: many keys at once

mod import;
mod lifecycle;
mod terms;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use tollkeeper_contract::{EnterpriseId, KeyId, ServiceAccountId, TeamId, UserId};

use super::{
    App, Id,
    body::Sent,
    by::Asked,
    once,
    problem::Problem,
    query::{NoParams, Params, cut},
    wire::{KeyList, KeyMade, KeyView, NewKeyBody},
};
use crate::{
    domain::{KeyFilter, KeySeed, NewKey, Thing, word},
    edge,
    store::{ActError, Made, Minted},
};

pub(super) use import::{import, import_key};
pub(super) use lifecycle::{change, delete, key_change, revoke, rotate};

/// What a key can be refused for that stands in a body.
const NAMED: [Thing; 3] = [Thing::Team, Thing::ServiceAccount, Thing::User];

/// `POST /v1/keys`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Asked(by): Asked,
    headers: HeaderMap,
    sent: Sent<NewKeyBody>,
) -> Result<Response, Problem> {
    let once = once::once(&headers, "POST /v1/keys", sent.digest)?;
    let key = new_key(sent.value)?;
    let minted = app.store.create_key(key, seed()?, once, by, edge::now()).await;
    Ok(shown_once(minted.map_err(|error: ActError| Problem::naming(error, &NAMED))?))
}

/// `GET /v1/keys`
pub(super) async fn list(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<KeyList>, Problem> {
    let known = ["limit", "after", "team", "enterprise", "user", "service_account", "kind", "state"];
    let params = Params::read(&uri, &known)?;
    let limit = params.limit()?;
    let after = params.maybe("after", KeyId::parse)?;
    let filter = KeyFilter {
        team: params.maybe("team", TeamId::parse)?,
        enterprise: params.maybe("enterprise", EnterpriseId::parse)?,
        user: params.maybe("user", UserId::parse)?,
        service_account: params.maybe("service_account", ServiceAccountId::parse)?,
        kind: params.maybe("kind", terms::kind)?,
        state: params.maybe("state", |text| word::key_state(text).ok_or("must be active, disabled or revoked"))?,
    };
    let mut keys = app.store.keys(&filter, after.as_ref(), limit + 1).await?;
    let next = cut(&mut keys, limit, |key| key.id.to_string());
    Ok(Json(KeyList { keys: keys.into_iter().map(KeyView::from).collect(), next }))
}

/// `GET /v1/keys/{id}`
pub(super) async fn show(State(app): State<Arc<App>>, Id(id): Id, _: NoParams) -> Result<Json<KeyView>, Problem> {
    Ok(Json(app.store.key(&known_form(&id)?).await?.into()))
}

/// What is no key id is the id of no key.
fn known_form(id: &str) -> Result<KeyId, Problem> {
    KeyId::parse(id).map_err(|_| Problem::unknown(Thing::Key))
}

fn seed() -> Result<KeySeed, Problem> {
    edge::key_seed().map_err(|error| Problem::no_randomness(&error))
}

/// The one answer that shows a key.
fn shown_once(Minted { key, text }: Minted) -> Response {
    match key {
        Made::Now(key) => {
            let text = text.map(|text| text.expose().to_owned());
            once::made(KeyMade { view: key.into(), key: text, replayed: false })
        }
        Made::Before(key) => once::replayed(KeyMade { view: key.into(), key: None, replayed: true }),
    }
}

pub(super) fn new_key(body: NewKeyBody) -> Result<NewKey, Problem> {
    let claim = terms::Claim {
        kind: body.kind,
        team: body.team,
        service_account: body.service_account,
        user: body.user,
        subject: body.subject,
    };
    let claimant = claim.read()?;
    let terms = terms::Terms {
        name: body.name,
        scopes: body.scopes,
        state: body.state,
        not_before: body.not_before,
        expires: body.expires,
        origin: body.origin,
    };
    Ok(NewKey { terms: terms.read(&claimant)?, claimant })
}
