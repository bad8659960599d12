//! What is served over HTTP: the admin API under `/v1`, the node API under `/node/v1`, and what operators look at.

mod audit;
mod auth;
mod body;
mod by;
mod document;
mod enterprises;
mod fields;
mod fleet;
mod health;
mod keys;
mod leases;
mod limits;
mod login;
mod node;
mod oauth;
mod observe;
mod once;
mod pairs;
#[doc(hidden)]
pub mod probe;
mod problem;
mod query;
mod refusal;
mod service_accounts;
mod sessions;
mod source;
mod teams;
mod tenants;
mod token_keys;
mod users;
pub mod wire;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, Path, Request},
    http::{HeaderName, HeaderValue, header, request::Parts},
    middleware::{Next, from_fn, from_fn_with_state, map_response},
    response::Response,
    routing::{delete, get, post, put},
};
use tokio::sync::watch;
use tollkeeper_contract::{SERVICE_HEADER, SERVICE_NAME, page::NodeTokens};

use crate::{
    census::Census,
    domain::{AdminTokens, Enterprise, ServiceAccount, Team, TrustedProxies, User},
    guesses::Guesses,
    login::Desk,
    metrics::Metrics,
    nodes::Nodes,
    quota::Quotas,
    store::Store,
};
use problem::Problem;

pub use by::ACTOR_HEADER;
pub use document::DOCUMENT;

/// The tokens that open the two APIs; no two are the same.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Open `/v1`, each as far as its role goes.
    pub admin: AdminTokens,
    /// Open `/node/v1` to those who show what is derived from one, and seal its pages.
    pub node: NodeTokens,
}

/// All that requests share.
pub struct App {
    /// The database.
    pub store: Store,
    /// Who may call, at present.
    pub tokens: watch::Receiver<Arc<Tokens>>,
    /// Who was wrong about that lately.
    pub guesses: Guesses,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: TrustedProxies,
    /// Where clients log in.
    pub desk: Arc<Desk>,
    /// What is counted.
    pub metrics: Metrics,
    /// Who called lately.
    pub nodes: Arc<Nodes>,
    /// How many there are.
    pub census: Census,
    /// What the fleet may spend.
    pub quotas: Arc<Quotas>,
    /// Becomes true when the program is asked to end.
    pub stopping: watch::Receiver<bool>,
}

impl App {
    /// Who may call.
    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.borrow())
    }
}

/// Every route of the service.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .nest("/v1", admin_routes(&app))
        .nest("/node/v1", node_routes(&app))
        .merge(public_routes())
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(document::json))
        .route("/docs", get(document::html))
        .fallback(async || Problem::unknown_route())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .layer(from_fn_with_state(app.clone(), observe::observe))
        .layer(map_response(mark))
        .with_state(app)
}

fn admin_routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/enterprises", get(enterprises::list).post(tenants::create::<Enterprise>))
        .route(
            "/enterprises/{id}",
            get(tenants::show::<Enterprise>).patch(tenants::change::<Enterprise>).delete(tenants::delete::<Enterprise>),
        )
        .route("/teams", get(teams::list).post(tenants::create::<Team>))
        .route("/teams/{id}", get(tenants::show::<Team>).patch(tenants::change::<Team>).delete(tenants::delete::<Team>))
        .route("/users", get(users::list).post(tenants::create::<User>))
        .route("/users/{id}", get(tenants::show::<User>).patch(tenants::change::<User>).delete(tenants::delete::<User>))
        .route("/users/{id}/password", put(users::set_password))
        .route("/service-accounts", get(service_accounts::list).post(tenants::create::<ServiceAccount>))
        .route(
            "/service-accounts/{id}",
            get(tenants::show::<ServiceAccount>)
                .patch(tenants::change::<ServiceAccount>)
                .delete(tenants::delete::<ServiceAccount>),
        )
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", get(keys::show).patch(keys::change).delete(keys::delete))
        .route("/keys/import", post(keys::import))
        .route("/keys/{id}/revoke", post(keys::revoke))
        .route("/keys/{id}/rotate", post(keys::rotate))
        .route("/sessions", get(sessions::list))
        .route("/sessions/{id}", get(sessions::show))
        .route("/sessions/{id}/revoke", post(sessions::revoke))
        .route("/sessions/revoke", post(sessions::revoke_all))
        .route("/limits", get(limits::show).put(limits::set))
        .route("/fleet", get(fleet::list))
        .route("/fleet/{node}", delete(fleet::forget))
        .route("/token-keys", get(token_keys::list).post(token_keys::create))
        .route("/audit", get(audit::list))
        .fallback(async || Problem::unknown_route())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .layer(from_fn_with_state(app.clone(), fleet::wait))
        .layer(from_fn_with_state(app.clone(), auth::by_role))
        .layer(from_fn(no_store))
}

/// What anybody may call, through Envoy.
fn public_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/auth/login", post(login::log_in))
        .route("/oauth/token", post(oauth::token))
        .route("/oauth/introspect", post(oauth::introspect))
        .route("/oauth/revoke", post(oauth::revoke))
        .layer(from_fn(no_store))
        .route("/.well-known/jwks.json", get(token_keys::jwks))
}

fn node_routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/snapshot", get(node::snapshot))
        .route("/changes", get(node::changes))
        .route("/ledger", post(node::ledger))
        .route("/leases", post(leases::ask))
        .fallback(async || Problem::unknown_route())
        .method_not_allowed_fallback(async || Problem::wrong_method())
        .layer(from_fn_with_state(app.clone(), auth::nodes_only))
        .layer(from_fn(no_store))
}

/// Marks an answer as the service's own: Envoy answers failed calls itself.
async fn mark(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(SERVICE_HEADER), HeaderValue::from_static(SERVICE_NAME));
    response
}

/// Keeps answers, one of which shows a key, out of every cache.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The id in a path, as it was sent.
struct Id(String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // The only text that does not arrive is one that is no UTF-8, which no id is.
        let path = Path::from_request_parts(parts, state).await.map_err(|_| Problem::unknown_route())?;
        Ok(Self(path.0))
    }
}
