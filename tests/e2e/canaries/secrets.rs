//! Secrets beside keys: what a login gives, passwords, and the tokens of the installation. Each is used as it should be, and
//! shown wherever somebody might by mistake.

use std::iter;

use lab::edge::{Edge, Setup};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tollkeeper_contract::page::NodeToken;

use super::{MARK, visits};
use crate::{
    faults::with_tokens,
    scene::{Style, connection_manager},
    tenants,
};

/// So much of a secret is looked for: none is shorter, and nobody may see the half of one either.
const SEEN: usize = 24;

/// What came of it.
pub(super) struct Shown {
    /// What must not be found: of each secret its beginning, of a token that of its signature.
    pub(super) marks: Vec<String>,
    /// All that was answered, without the tokens where they are given.
    pub(super) answers: Vec<u8>,
    /// How often one was shown.
    pub(super) count: usize,
}

/// Lets Envoy pass logins on to the key service.
pub(super) fn with_logins(setup: Setup) -> Setup {
    const PATHS: [&str; 4] = ["/auth/login", "/oauth/token", "/oauth/introspect", "/oauth/revoke"];
    let public = |path: &str| json!({ "path": path, "methods": ["POST"], "access": "public" });
    with_tokens(setup)
        .filter(move |filter| filter["routes"].as_array_mut().expect("routes").extend(PATHS.map(public)))
        .bootstrap(|bootstrap| {
            bootstrap.edit(|config| {
                let routes = &mut connection_manager(config)["route_config"]["virtual_hosts"][0]["routes"];
                let to_service = |path| json!({ "match": { "path": path }, "route": { "cluster": "keyservice" } });
                routes.as_array_mut().expect("routes").splice(..0, PATHS.map(to_service));
            });
            Ok(())
        })
}

/// Logs in through Envoy in every way, uses what that gives, and shows it and the installation's tokens to Envoy and to the key
/// service in every way that there is, good or bad. `given` are tokens that somebody else was given.
pub(super) async fn shown(edge: &Edge, service: &str, given: Vec<String>) -> Shown {
    let mut answers = Vec::new();
    let mut tokens = logged_in(edge, &mut answers).await;
    for token in &tokens {
        tenants::becomes(edge, "", async || crate::scene::send(edge, edge.get("/api/acme/x").bearer_auth(token)).await)
            .await;
    }
    tokens.extend(given);
    let of_installation = edge.tokens();
    let node = NodeToken::parse(of_installation.node.expose()).unwrap().shown().to_owned();
    let installation = [&of_installation.admin, &of_installation.node, &of_installation.signing];
    let secrets = installation.map(|secret| secret.expose().to_owned()).into_iter().chain([node]).chain(tokens.clone());
    let secrets: Vec<_> = secrets.collect();

    let mut count = secrets.len() * (visits::WAYS + 1);
    for secret in &secrets {
        // A public route is not looked at, and this upstream tells whatever comes to it.
        told(edge.get(&format!("/healthz?api_key={secret}"))).await;
        for request in to_envoy(edge, secret) {
            count += 1;
            answers.extend(told(request).await);
        }
    }
    let each = secrets.iter().flat_map(|secret| iter::repeat_n(secret.clone(), visits::WAYS));
    let (none, told) = visits::shown(service, each).await;
    assert!(none.is_empty(), "none of them is a key");
    answers.extend(told);
    // A token's signature is what makes it one: the rest is told to whoever may see sessions.
    let marks = secrets.iter().map(|secret| secret.rsplit('.').next().unwrap()[..SEEN].to_owned()).collect();
    Shown { marks, answers, count }
}

/// The tokens that are given for a password, for a key, and for a client's secret; and a try with a wrong password.
async fn logged_in(edge: &Edge, answers: &mut Vec<u8>) -> Vec<String> {
    tenants::user(edge, "ann", "acme", &["read"]).await;
    let password = format!("{MARK}-password");
    edge.key_service().put("/v1/users/ann/password", &json!({ "password": password })).await.unwrap();
    let client = tenants::service_account(edge, "robot", "acme").await;
    let (id, secret) = (tenants::id(&client), tenants::text(&client));
    let login = |body: Value| edge.request(Method::POST, "/auth/login").json(&body);
    let form = |body| {
        let request = edge.request(Method::POST, "/oauth/token");
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let wrong = login(json!({ "username": "ann", "password": format!("{password}-and-more") }));
    answers.extend(told(wrong).await);
    answers.extend(told(edge.get("/api/acme/x").basic_auth("ann", Some(&password))).await);
    let mut tokens = Vec::new();
    for request in [
        login(json!({ "username": "ann", "password": password })),
        login(json!({ "api_key": secret, "session_id": "of-a-key" })),
        login(json!({ "client_id": id, "client_secret": secret, "session_id": "of-a-client" })),
        form("grant_type=client_credentials&session_id=of-a-form".to_owned()).basic_auth(id, Some(secret)),
    ] {
        let (token, rest) = visits::parted(told(request).await);
        tokens.push(token.expect("a token is given"));
        answers.extend(rest);
    }
    tokens
}

/// Requests through Envoy that show it: as each style does, in a cookie, in a query, altered, and to the key service.
fn to_envoy(edge: &Edge, secret: &str) -> Vec<RequestBuilder> {
    let get = || edge.get("/api/acme/x");
    let styles = Style::ALL.map(|style| {
        let (name, value) = style.header(secret);
        get().header(name, value)
    });
    let form = |path, body: String| {
        let request = edge.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        request.body(body)
    };
    let others = [
        get().basic_auth("ann", Some(secret)),
        get().header("cookie", format!("token={secret}")),
        get().header("x-delegate-account-id", secret),
        get().bearer_auth(format!("{secret}A")),
        edge.get(&format!("/api/acme/x?access_token={secret}")),
        form("/oauth/introspect", format!("token={secret}")).bearer_auth(secret),
        form("/auth/login", format!("api_key={secret}")),
    ];
    styles.into_iter().chain(others).collect()
}

async fn told(request: RequestBuilder) -> Vec<u8> {
    let answer = request.send().await.unwrap();
    let mut told = format!("{:?}", answer.headers()).into_bytes();
    told.extend_from_slice(&answer.bytes().await.unwrap());
    told
}
