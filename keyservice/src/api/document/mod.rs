//! The description of the API (OpenAPI 3.1), made from the types that are read and written, and a page that shows it.
//!
//! * `rules`: the rules of texts and numbers
//! * `endpoint`: one endpoint, described
//! * `tenants`, `limits`, `keys`, `access`, `service`: all of them, as [`super::router`] serves them; a test compares the two
//! * `choices`: rules between the fields of a body
//! * `page`: `/docs`

mod access;
mod choices;
mod endpoint;
mod keys;
mod limits;
mod page;
pub(in crate::api) mod rules;
mod service;
mod tenants;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

use endpoint::{ADMIN, Endpoint, NODE};

/// The whole description, as `/openapi.json` gives it.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    // Only a map whose keys are no texts could not be written as JSON.
    let mut document = serde_json::to_value(described()).unwrap_or_default();
    choices::add_to(&mut document);
    document
});

static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

static PAGE: LazyLock<page::Page> = LazyLock::new(|| page::Page::of(&DOCUMENT));

/// `GET /openapi.json`
pub(super) async fn json() -> Response {
    ([(header::CONTENT_TYPE, endpoint::JSON)], TEXT.as_str()).into_response()
}

/// `GET /docs`
pub(super) async fn html() -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    let mut answer = (headers, PAGE.html.as_str()).into_response();
    if let Ok(policy) = HeaderValue::from_str(&PAGE.policy) {
        answer.headers_mut().insert(const { HeaderName::from_static("content-security-policy") }, policy);
    }
    answer
}

/// The endpoints under each heading.
fn sections() -> Vec<(&'static str, &'static str, Vec<Endpoint>)> {
    vec![
        ("enterprises", "What owns teams.", tenants::enterprises()),
        ("teams", "What owns keys and is rate-limited.", tenants::teams()),
        ("limits", "What holds for the limits of everybody.", limits::limits()),
        ("users", "Who owns personal keys, and may log in with a password.", tenants::users()),
        ("service accounts", "Programs with exactly one key each.", tenants::service_accounts()),
        ("keys", "Who may call, as whom, for what and for how long.", keys::keys()),
        ("login", "What anybody may call, through Envoy.", access::login()),
        ("sessions", "Tokens that were given out.", access::sessions()),
        ("token keys", "What signs tokens.", access::token_keys()),
        ("audit", "Who changed what, when, and from where.", keys::audit()),
        ("fleet", "Which nodes there are, and how far each has come.", service::fleet()),
        ("nodes", "What filters call.", service::nodes()),
        ("service", "What operators and their machines look at; no token needed.", service::health()),
    ]
}

fn described() -> OpenApi {
    let mut paths = PathsBuilder::new();
    let mut tags = Vec::new();
    let mut components = Components::new();
    components.security_schemes = security_schemes().into_iter().collect();
    for (tag, about, endpoints) in sections() {
        tags.push(TagBuilder::new().name(tag).description(Some(about)).build());
        for endpoint in endpoints {
            components.schemas.extend(endpoint.schemas.clone());
            let (path, method) = (endpoint.path, endpoint.method.clone());
            paths = paths.path(path, PathItem::new(method, endpoint.operation(tag)));
        }
    }
    let info = InfoBuilder::new()
        .title("tollkeeper key service")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(utoipa::openapi::License::new(env!("CARGO_PKG_LICENSE"))));
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).tags(Some(tags)).build()
}

const ABOUT: &str = "Issues, rotates, revokes and publishes API keys. Unknown fields and parameters are refused; every \
                     refusal is a problem (RFC 9457) with a stable `reason` and the `field` that causes it.";

const ROLES: &str = "A token of the admin API. Each endpoint names the role that it takes: `viewer` looks, `operator` also changes \
                     what is changed day by day, `admin` may do everything.";

fn security_schemes() -> [(String, utoipa::openapi::RefOr<SecurityScheme>); 2] {
    let bearer = |about: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        SecurityScheme::Http(scheme).into()
    };
    [
        (ADMIN.to_owned(), bearer(ROLES)),
        (NODE.to_owned(), bearer("64 hexadecimal digits that are derived from the node token; not the token itself.")),
    ]
}
