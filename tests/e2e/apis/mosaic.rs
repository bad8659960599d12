//! The Mosaic API.
//!
//! | what its page says | test |
//! |---|---|
//! | the domain of the server is given for a key | `a_key_is_given_out_for_a_domain` |
//! | so is the webhook URL, with HTTPS or with HTTP | `a_key_is_given_out_for_a_webhook_url_of_either_scheme` |
//! | every endpoint needs an API key in a request header | `every_endpoint_needs_a_key_in_the_header` |
//! | a misplaced key is replaced by a new one | `a_misplaced_key_is_not_shown_again_but_replaced` |
//! | a new key does not deactivate earlier ones | `a_new_key_leaves_the_earlier_ones_alone` |
//! | a key is deactivated on request | `a_key_is_deactivated_on_request` |
//! | requests need team id and key, `/api/{team_id}/{data_type}` | `a_request_names_its_own_team_in_the_path` |
//! | `Authorization = {api_key}`, `Origin = {domain}` | `the_key_stands_in_authorization_without_a_scheme_beside_its_origin` |
//! | the origin matches the domain or the webhook URL's base | `the_origin_must_match_what_was_registered` |
//! | webhook `myCoolApp.com/api/webhook`: origin `myCoolApp.com/api` | `the_printed_webhook_url_gives_the_printed_origin` |
//! | 300 requests per 5 minutes | `a_team_has_300_requests_per_5_minutes` |
//! | which averages to one request per second | `after_that_it_has_one_more_each_second` |
//! | beyond it there is a rate limit error | `beyond_the_limit_there_is_a_rate_limit_error` |
//! | the limit is subject to change | `the_limit_can_be_changed_while_it_runs` |
//! | a single tenant customer has a URL of its own | `a_single_tenant_customer_is_served_at_its_own_url` |

use std::time::Instant;

use lab::envoy::Pushed;
use reqwest::Method;
use serde_json::{Value, json};

use super::served::{Served, sentences};
use crate::{
    scene::{self, Outcome},
    tenants::{changed, id, key, made, text},
};

sentences! { Mosaic:
    a_key_is_given_out_for_a_domain
    a_key_is_given_out_for_a_webhook_url_of_either_scheme
    every_endpoint_needs_a_key_in_the_header
    a_misplaced_key_is_not_shown_again_but_replaced
    a_new_key_leaves_the_earlier_ones_alone
    a_key_is_deactivated_on_request
    a_request_names_its_own_team_in_the_path
    the_key_stands_in_authorization_without_a_scheme_beside_its_origin
    the_origin_must_match_what_was_registered
    the_printed_webhook_url_gives_the_printed_origin
    a_team_has_300_requests_per_5_minutes
    after_that_it_has_one_more_each_second
    beyond_the_limit_there_is_a_rate_limit_error
    the_limit_can_be_changed_while_it_runs
    a_single_tenant_customer_is_served_at_its_own_url
}

const ORIGIN: &str = "myCoolApp.com/api";

async fn a_key_is_given_out_for_a_domain(api: &Served) {
    let key = customer(api, json!({ "domain": "myCoolApp.com" })).await;
    assert_eq!(key["origin"], "mycoolapp.com");
    call(api, &text(&key), "myCoolApp.com").await.is_granted();
}

async fn a_key_is_given_out_for_a_webhook_url_of_either_scheme(api: &Served) {
    for url in ["https://myCoolApp.com/api/webhook", "http://myCoolApp.com/api/webhook"] {
        let key = customer(api, json!({ "webhook_url": url })).await;
        call(api, &text(&key), ORIGIN).await.is_granted();
    }
}

async fn every_endpoint_needs_a_key_in_the_header(api: &Served) {
    let key = text(&customer(api, json!({ "domain": "myCoolApp.com" })).await);
    for path in ["/api/acme/sales", "/api/acme/stock/1", "/api/globex/sales", "/api/acme"] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
            let without = api.request(method, path).header("Origin", "myCoolApp.com");
            api.send(without).await.is_refused(401, "missing_credential");
        }
    }
    let elsewhere = api.get(&format!("/api/acme/sales?api_key={key}")).header("Origin", "myCoolApp.com");
    api.send(elsewhere).await.is_refused(401, "missing_credential");
    api.send(api.get("/")).await.is_refused(403, "no_route");
}

async fn a_misplaced_key_is_not_shown_again_but_replaced(api: &Served) {
    let misplaced = customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await;
    let shown = api.edge.key_service().key(&id(&misplaced)).await.unwrap();
    assert!(!shown.to_string().contains(&text(&misplaced)));
    let new = customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await;
    assert_ne!(text(&new), text(&misplaced));
    call(api, &text(&new), ORIGIN).await.is_granted();
}

async fn a_new_key_leaves_the_earlier_ones_alone(api: &Served) {
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await));
        for key in &keys {
            call(api, key, ORIGIN).await.is_granted();
        }
    }
}

async fn a_key_is_deactivated_on_request(api: &Served) {
    let old = customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await;
    let new = customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await;
    changed(&api.edge, &format!("/v1/keys/{}", id(&old)), json!({ "state": "disabled" })).await;
    call(api, &text(&old), ORIGIN).await.is_refused(401, "key_disabled");
    call(api, &text(&new), ORIGIN).await.is_granted();
}

async fn a_request_names_its_own_team_in_the_path(api: &Served) {
    let key = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    api.edge.key_service().create_team("globex", "Globex").await.unwrap();
    let at = async |path: &str| {
        let request = api.get(path).header("Authorization", &key).header("Origin", ORIGIN);
        api.send(request).await
    };
    let own = at("/api/acme/sales").await;
    own.is_granted();
    assert_eq!(own.upstream_headers("x-auth-team"), ["acme"]);
    for other in ["/api/globex/sales", "/api/nobody/sales", "/api/ACME/sales"] {
        at(other).await.is_refused(403, "team_mismatch");
    }
    at("/api/").await.is_refused(403, "no_route");
}

async fn the_key_stands_in_authorization_without_a_scheme_beside_its_origin(api: &Served) {
    let key = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let outcome = call(api, &key, ORIGIN).await;
    outcome.is_granted();
    assert_eq!(outcome.header("x-auth-method"), "raw");
    let with = async |name: &str, value: String| {
        let request = api.get("/api/acme/sales").header("Origin", ORIGIN).header(name, value);
        api.send(request).await
    };
    with("Authorization", format!("Token {key}")).await.is_refused(401, "unsupported_scheme");
    with("Authorization", format!("Bearer {key}")).await.is_refused(401, "unsupported_scheme");
    with("x-api-key", key).await.is_refused(401, "missing_credential");
}

async fn the_origin_must_match_what_was_registered(api: &Served) {
    let of_url = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let of_domain = text(&customer(api, json!({ "domain": "myCoolApp.com" })).await);
    call(api, &of_url, "myCoolApp.com/api").await.is_granted();
    call(api, &of_domain, "myCoolApp.com").await.is_granted();
    for wrong in ["myCoolApp.com", "myCoolApp.com/api/webhook", "otherApp.com/api"] {
        call(api, &of_url, wrong).await.is_refused(403, "origin_mismatch");
    }
    for wrong in ["myCoolApp.com/api", "otherApp.com"] {
        call(api, &of_domain, wrong).await.is_refused(403, "origin_mismatch");
    }
    let without = api.get("/api/acme/sales").header("Authorization", &of_url);
    api.send(without).await.is_refused(403, "origin_mismatch");
}

async fn the_printed_webhook_url_gives_the_printed_origin(api: &Served) {
    let key = customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await;
    assert_eq!(key["origin"], "mycoolapp.com/api");
    call(api, &text(&key), "myCoolApp.com/api").await.is_granted();
}

async fn a_team_has_300_requests_per_5_minutes(api: &Served) {
    let key = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let begin = Instant::now();
    let (granted, refused) = until_refused(api, &key).await;
    let refilled = begin.elapsed().as_secs() + 1;
    assert!((300..=300 + refilled).contains(&granted), "{granted} in {refilled} s");
    assert_eq!(refused.header("ratelimit-policy"), r#""team";q=300;w=300"#);
}

async fn after_that_it_has_one_more_each_second(api: &Served) {
    let key = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let (_, refused) = until_refused(api, &key).await;
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), r#""team";r=0;t=1"#);
    let limit = std::time::Duration::from_secs(20);
    let again = async || (call(api, &key, ORIGIN).await.status() == 200).then_some(());
    api.edge.wait_until("there is one more", limit, again).await;
}

async fn beyond_the_limit_there_is_a_rate_limit_error(api: &Served) {
    let one = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let other = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    scene::limit_team(&api.edge, "acme", 3, 86_400).await;
    let (_, refused) = until_refused(api, &one).await;
    refused.is_refused(429, "quota_exhausted");
    call(api, &other, ORIGIN).await.is_refused(429, "quota_exhausted");
}

async fn the_limit_can_be_changed_while_it_runs(api: &mut Served) {
    let key = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let policy = async |api: &Served| call(api, &key, ORIGIN).await.header("ratelimit-policy");
    assert_eq!(policy(api).await, r#""team";q=300;w=300"#);
    let smaller = |filter: &mut Value| filter["quota"] = json!({ "limit": 100, "window_seconds": 300 });
    assert_eq!(api.edge.push_filter(smaller).await, Pushed::Accepted);
    assert_eq!(policy(api).await, r#""team";q=100;w=300"#);
    scene::limit_team(&api.edge, "acme", 900, 300).await;
    assert_eq!(policy(api).await, r#""team";q=900;w=300"#);
}

async fn a_single_tenant_customer_is_served_at_its_own_url(api: &Served) {
    let common = text(&customer(api, json!({ "webhook_url": "myCoolApp.com/api/webhook" })).await);
    let hosts = json!({ "id": "tenant", "name": "Tenant", "hosts": ["tenant.mosaic.example"] });
    made(&api.edge, "/v1/teams", hosts).await;
    let own = text(&key(&api.edge, json!({ "team": "tenant", "scopes": ["read"] })).await);
    let at = async |host: &str, team: &str, key: &str| {
        let request = api.get(&format!("/api/{team}/sales")).header("Host", host);
        api.send(request.header("Authorization", key).header("Origin", ORIGIN)).await
    };
    at("tenant.mosaic.example", "tenant", &own).await.is_granted();
    at("Tenant.Mosaic.example:8080", "tenant", &own).await.is_granted();
    at("api.mosaic.example", "tenant", &own).await.is_refused(403, "host_mismatch");
    at("api.mosaic.example", "acme", &common).await.is_granted();
    at("tenant.mosaic.example", "acme", &common).await.is_refused(403, "host_mismatch");
}

/// A key of the team acme, bound to an origin.
async fn customer(api: &Served, origin: Value) -> Value {
    api.edge.key_service().create_team("acme", "Acme").await.unwrap();
    key(&api.edge, json!({ "team": "acme", "scopes": ["read", "write"], "origin": origin })).await
}

/// Sends a request as the page shows it.
async fn call(api: &Served, key: &str, origin: &str) -> Outcome {
    let request = api.get("/api/acme/sales").header("Authorization", key).header("Origin", origin);
    api.send(request).await
}

/// Sends requests until one is refused; how many were not, and that one.
async fn until_refused(api: &Served, key: &str) -> (u64, Outcome) {
    for granted in 0..1000 {
        let outcome = call(api, key, ORIGIN).await;
        if outcome.status() != 200 {
            return (granted, outcome);
        }
    }
    panic!("1000 requests were granted");
}
