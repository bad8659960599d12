//! What an operator sees of a configuration: one fixture a mistake, with the exact message.
//!
//! `tests/config/NAME.json` is a configuration, `NAME.txt` beside it all that is wrong with it;
//! those named `good_...` have none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic that it failed")]

#[path = "config/command_line.rs"]
mod command_line;
#[path = "config/properties.rs"]
mod properties;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tollkeeper::config::{
    Access, AuthHeader, Config, FilterState, Forwarding, Promise, RateLimitHeaders, Shadow, Style,
};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort();
    assert!(paths.len() > 60, "the fixtures are there");
    paths
}

fn name(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

fn is_good(path: &Path) -> bool {
    name(path).starts_with("good_")
}

fn messages(bytes: &[u8]) -> String {
    Config::parse(bytes).map_or_else(|mistakes| format!("{mistakes}\n"), |_| String::new())
}

fn config(json: &Value) -> Config {
    Config::parse(json.to_string().as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn every_mistake_has_its_exact_message() {
    let mut differences = String::new();
    for path in fixtures() {
        let said = messages(&fs::read(&path).unwrap());
        let expected = if is_good(&path) {
            String::new()
        } else {
            fs::read_to_string(path.with_extension("txt")).unwrap_or_default()
        };
        if said != expected {
            differences += &format!("{}\n--- expected\n{expected}--- said\n{said}\n", name(&path));
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn no_message_shows_a_token_that_was_put_where_its_name_belongs() {
    let said = messages(br#"{"key_service": {"cluster": "k", "node_token_env": "s3cret-token"}}"#);
    assert!(said.contains("node_token_env") && !said.contains("s3cret"), "{said}");
}

#[test]
fn a_configuration_over_one_mebibyte_is_refused_unread() {
    let said = messages(&vec![b' '; 1024 * 1024 + 1]);
    assert_eq!(said, "configuration: is 1048577 bytes long; use at most 1048576\n");
}

#[test]
fn the_configuration_in_the_readme_is_good() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, behind) = readme.split_once("```json\n").unwrap();
    let (json, _) = behind.split_once("```").unwrap();
    assert!(Config::parse(json.as_bytes()).is_ok(), "{json}");
}

#[test]
fn what_is_not_given_has_its_documented_default() {
    let config = config(&json!({ "key_service": { "cluster": "keys" } }));
    assert_eq!(config.instance.as_str(), "default");
    assert_eq!(config.key_service.authority.as_str(), "keys");
    assert_eq!(config.key_service.node_token_env.as_str(), "TOLLKEEPER_NODE_TOKEN");
    assert_eq!(config.key_service.timeout.as_millis(), 5_000);
    assert_eq!(config.key_service.poll.as_secs(), 20);
    assert_eq!(config.key_service.max_age.as_secs(), 86_400);
    assert_eq!(config.realm.as_str(), "tollkeeper");
    assert_eq!((config.tokens.issuer.as_str(), config.tokens.audience.as_str()), ("tollkeeper", "tollkeeper"));
    assert_eq!(config.tokens.leeway, 30);
    assert_eq!((config.quotas.limit.quota.limit().get(), config.quotas.limit.quota.window().get()), (300, 300));
    assert_eq!(config.quotas.limit.promise, Promise::Bucket);
    assert_eq!(config.rate_limit_headers, RateLimitHeaders::Draft);
    assert!(config.response_headers.contains(AuthHeader::Team));
    assert_eq!(config.filter_state, FilterState::All);
    let told: Vec<_> = config.request_headers.iter().map(AuthHeader::name).collect();
    assert_eq!(told, ["x-auth-team", "x-auth-enterprise", "x-auth-delegated-team", "x-auth-key-id", "x-auth-scopes"]);

    let matched = config.routes.find(b"DELETE", b"/anything").unwrap();
    assert_eq!(matched.team, None);
    let Access::Protected(protection) = matched.access else { panic!("{:?}", matched.access) };
    assert_eq!(protection.styles.iter().collect::<Vec<_>>(), Style::ALL);
    assert_eq!(protection.forwarding, Forwarding::Remove);
    assert_eq!((protection.cost, protection.shadow), (1, Shadow::Off));
    assert_eq!(protection.scopes.for_method(b"DELETE").collect::<Vec<_>>(), ["write"]);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(protection.scopes.for_method(method.as_bytes()).eq(["read"]), "{method}");
    }
}

#[test]
fn the_first_route_that_matches_wins_and_inherits_what_it_does_not_say() {
    let config = config(&json!({
        "key_service": { "cluster": "keys" },
        "styles": ["token"],
        "forward_credential": true,
        "shadow": "quota",
        "unmatched": "refuse",
        "routes": [
            { "path": "/healthz", "methods": ["GET"], "access": "public" },
            { "path": "/api/{team}/reports", "scopes": ["reports", "audit"], "styles": ["raw"] },
            { "path": "/api/{team}/...", "forward_credential": false, "cost": 5, "shadow": "off" },
        ],
    }));
    let find = |method: &str, path: &'static str| config.routes.find(method.as_bytes(), path.as_bytes());

    assert!(matches!(find("GET", "/healthz").unwrap().access, Access::Public));
    assert!(find("POST", "/healthz").is_none());
    assert!(find("get", "/healthz").is_none());
    assert!(find("GET", "/healthz/").is_none());

    let reports = find("GET", "/api/acme/reports").unwrap();
    assert_eq!(reports.team, Some(&b"acme"[..]));
    let Access::Protected(reports) = reports.access else { panic!("protected") };
    assert!(reports.styles.contains(Style::Raw) && !reports.styles.contains(Style::Token));
    assert_eq!(reports.scopes.for_method(b"GET").collect::<Vec<_>>(), ["reports", "audit"]);
    assert_eq!(reports.forwarding, Forwarding::Forward);
    assert_eq!((reports.cost, reports.shadow), (1, Shadow::Quota));

    let other = find("PROPFIND", "/api/acme/other/").unwrap();
    assert_eq!(other.team, Some(&b"acme"[..]));
    let Access::Protected(other) = other.access else { panic!("protected") };
    assert!(other.styles.contains(Style::Token) && !other.styles.contains(Style::Raw));
    assert_eq!(other.forwarding, Forwarding::Remove);
    assert_eq!((other.cost, other.shadow), (5, Shadow::Off));
    assert_eq!(other.scopes.for_method(b"PROPFIND").collect::<Vec<_>>(), ["write"]);
}

// The schema.

/// Mistakes that a schema cannot know.
const BEYOND_A_SCHEMA: [&str; 14] = [
    "authority_not_derivable",
    "duplicate_field",
    "max_age_shorter_than_poll",
    "max_age_shorter_than_poll_and_timeout",
    "path_with_colon_parameter",
    "path_with_dot_segments",
    "path_with_early_dots",
    "path_with_star",
    "path_with_team_id",
    "path_with_two_teams",
    "public_route_with_team",
    "route_repeated",
    "route_unreachable",
    "route_unreachable_by_several",
];

#[test]
fn the_schema_for_editors_is_the_one_of_this_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/tollkeeper.schema.json");
    let committed: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(
        committed == Config::json_schema(),
        "envoy/tollkeeper.schema.json is out of date; run: cargo run --bin tollkeeper schema > envoy/tollkeeper.schema.json"
    );
}

#[test]
fn the_schema_takes_what_is_good_and_refuses_what_it_can_know_to_be_bad() {
    let schema = jsonschema::validator_for(&Config::json_schema()).unwrap();
    for path in fixtures() {
        let Ok(document) = serde_json::from_slice(&fs::read(&path).unwrap()) else {
            continue;
        };
        let errors: Vec<_> = schema.iter_errors(&document).map(|error| error.to_string()).collect();
        let expected = is_good(&path) || BEYOND_A_SCHEMA.contains(&name(&path));
        assert_eq!(errors.is_empty(), expected, "{}: {errors:?}", name(&path));
    }
}
