//! An edge, everybody whose credentials a class needs, and two witnesses behind it.

use std::collections::BTreeSet;
use std::time::Duration;

use lab::edge::{Edge, Setup};
use lab::raw::Kept;
use lab::witness::Witness;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tollkeeper_contract::token::Parts;

use super::bytes::Names;
use crate::connections::connections_by_worker;
use crate::scene::{self, adopt};
use crate::tenants::{enterprise, enterprise_key, key, made, service_account, text, user};

/// How Envoy is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// As `envoy/edge.yaml` is.
    Shipped,
    /// As it is when it is not told to normalise paths.
    Plain,
    /// It passes trailers on, in both directions.
    Trailers,
    /// It allows upgrades.
    Upgrades,
    /// It takes long and many headers.
    Wide,
    /// As `envoy/apis/bearer-login.yaml` is.
    Login,
}

/// Everything that a class needs.
pub(super) struct Stage {
    pub(super) edge: Edge,
    pub(super) upstream: Witness,
    pub(super) login: Witness,
    pub(super) names: Names,
    /// One to each worker.
    workers: Vec<Kept>,
}

impl Stage {
    /// Sets it up for those whose `{name}` stands in `wanted`.
    pub(super) async fn new(kind: Kind, wanted: &str) -> Self {
        let (upstream, login) = (Witness::start().await.unwrap(), Witness::start().await.unwrap());
        let (to_upstream, to_login) = (upstream.address(), login.address());
        let edge = Edge::synced_start(|setup| {
            configured(setup, kind).bootstrap(move |bootstrap| {
                bootstrap.cluster("upstream", to_upstream)?;
                if bootstrap.has_cluster("login") {
                    bootstrap.cluster("login", to_login)?;
                }
                bootstrap.edit(|bootstrap| edit(bootstrap, kind));
                Ok(())
            })
        })
        .await;
        let names = cast(&edge, wanted).await;
        let workers = to_every_worker(&edge).await;
        let mut stage = Self { edge, upstream, login, names, workers };
        assert_eq!(stage.workers_that_refuse().await, 0, "a valid request is refused before anything is tried");
        stage.upstream.take();
        stage
    }

    /// How many workers refuse a valid request.
    pub(super) async fn workers_that_refuse(&mut self) -> usize {
        let key = &self.names["key"];
        let request = format!(
            "GET /api/acme/valid HTTP/1.1\r\nhost: edge\r\nx-nonce: valid\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        let mut refused = 0;
        for worker in &mut self.workers {
            let answer = worker.answer(request.as_bytes()).await.ok();
            refused += usize::from(answer.is_none_or(|answer| answer.status != 200));
        }
        refused
    }

    pub(super) fn workers(&self) -> usize {
        self.workers.len()
    }

    /// How many VMs have trapped.
    pub(super) fn vm_traps(&self) -> usize {
        self.edge.vm_traps()
    }

    /// What became of the modules, unless none was stopped or loaded anew.
    pub(super) async fn harm(&self) -> Option<String> {
        if self.edge.stat("wasm.tollkeeper.vm_reload").await != Some(0) {
            return Some("a module was loaded anew".to_owned());
        }
        let log = self.edge.envoy_log();
        let bad = log.lines().find(|line| ["[error]", "[critical]"].iter().any(|level| line.contains(level)));
        bad.map(str::to_owned)
    }
}

fn configured(setup: Setup, kind: Kind) -> Setup {
    if kind == Kind::Login {
        return setup.file("apis/bearer-login.yaml");
    }
    let settings = json!({
        "unmatched": "refuse",
        "quota": { "limit": 1_000_000, "window_seconds": 1 },
        "routes": [
            { "path": "/healthz", "access": "public" },
            { "path": "/public/...", "access": "public" },
            { "path": "/api/{team}/..." },
            { "path": "/own/..." },
        ],
    });
    setup.filter(move |filter| adopt(filter, settings))
}

fn edit(bootstrap: &mut Value, kind: Kind) {
    if kind == Kind::Trailers {
        let upstream = bootstrap.pointer_mut("/static_resources/clusters/0").expect("a cluster");
        assert_eq!(upstream["name"], "upstream");
        upstream["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
            },
        });
    }
    let manager = scene::connection_manager(bootstrap);
    // What never comes to its end is not to be waited for.
    adopt(
        manager,
        json!({ "request_timeout": "0.5s", "request_headers_timeout": "0.5s", "delayed_close_timeout": "0.05s" }),
    );
    match kind {
        Kind::Shipped | Kind::Login => {}
        Kind::Plain => {
            let manager = manager.as_object_mut().expect("the connection manager");
            for setting in ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"] {
                manager.remove(setting).expect(setting);
            }
            manager.insert("normalize_path".to_owned(), json!(false));
        }
        Kind::Trailers => manager["http_protocol_options"] = json!({ "enable_trailers": true }),
        Kind::Upgrades => {
            manager["upgrade_configs"] = json!([{ "upgrade_type": "websocket" }, { "upgrade_type": "CONNECT" }]);
            manager["http2_protocol_options"]["allow_connect"] = json!(true);
        }
        Kind::Wide => {
            manager["max_request_headers_kb"] = json!(512);
            manager["common_http_protocol_options"]["max_headers_count"] = json!(2000);
        }
    }
}

/// Makes everybody who is wanted.
async fn cast(edge: &Edge, wanted: &str) -> Names {
    let is_wanted = |name: &str| wanted.contains(&format!("{{{name}}}"));
    let mut names = Names::new();
    if ["enterprise", "acting"].iter().any(|name| is_wanted(name)) {
        enterprise(edge, "umbrella", &["acme", "globex"]).await;
        enterprise(edge, "other", &["initech"]).await;
        names.insert("enterprise".to_owned(), enterprise_key(edge, "umbrella").await);
    }
    let own = edge.new_key("acme", json!({ "scopes": ["read", "write"] })).await;
    names.insert("id".to_owned(), own.id);
    names.insert("key".to_owned(), own.key);
    for (name, team, fields) in [
        ("reader", "acme", json!({ "scopes": ["read"] })),
        ("other", "globex", json!({ "scopes": ["read", "write"] })),
        ("bound", "acme", json!({ "scopes": ["read"], "origin": { "domain": "app.example" } })),
        ("revoked", "acme", json!({ "scopes": ["read"] })),
    ] {
        if is_wanted(name) {
            let made = edge.new_key(team, fields).await;
            if name == "revoked" {
                let revoked = edge.key_service().revoke_key(&made.id).await.unwrap();
                edge.serves(revoked["revision"].as_u64().unwrap()).await;
            }
            names.insert(name.to_owned(), made.key);
        }
    }
    if is_wanted("hosted") {
        made(edge, "/v1/teams", json!({ "id": "hosted", "name": "Hosted", "hosts": ["hosted.example"] })).await;
        names.insert("hosted".to_owned(), text(&key(edge, json!({ "team": "hosted", "scopes": ["read"] })).await));
    }
    if is_wanted("service") {
        names.insert("service".to_owned(), text(&service_account(edge, "robot", "acme").await));
    }
    if is_wanted("personal") {
        user(edge, "alice", "acme", &["read"]).await;
        names.insert("personal".to_owned(), text(&key(edge, json!({ "user": "alice" })).await));
    }
    for (name, of) in [("session", "key"), ("acting", "enterprise")] {
        if is_wanted(name) {
            names.insert(name.to_owned(), session(edge, &names[of]).await);
        }
    }
    if let Some(token) = names.get("session").cloned() {
        let parts = Parts::split(token.as_bytes()).unwrap();
        names.insert("kid".to_owned(), parts.header.kid);
        for (name, part) in ["header", "claims", "signature"].iter().zip(token.split('.')) {
            names.insert((*name).to_owned(), part.to_owned());
        }
    }
    names
}

/// A token for a key, once the filter takes it.
async fn session(edge: &Edge, key: &str) -> String {
    let request = edge.key_service().request(Method::POST, "/auth/login").json(&json!({ "api_key": key }));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    edge.wait_until("the token is taken", Duration::from_secs(20), async || {
        let answer = edge.get("/api/acme/valid").header("x-nonce", "valid").bearer_auth(&token).send().await.ok()?;
        (answer.status() == 200).then_some(())
    })
    .await;
    token
}

/// Connections of which each reaches another worker, and all of them every worker. The kernel chooses.
async fn to_every_worker(edge: &Edge) -> Vec<Kept> {
    let mut counts = connections_by_worker(edge).await;
    let (mut reached, mut connections) = (BTreeSet::new(), Vec::new());
    for _ in 0..240 {
        let mut connection = Kept::open(edge.address()).await.unwrap();
        connection.answer(b"GET /healthz HTTP/1.1\r\nhost: edge\r\n\r\n").await.unwrap();
        let after = connections_by_worker(edge).await;
        let worker = after.iter().find(|(worker, count)| counts[*worker] < **count).expect("a worker has taken it").0;
        if reached.insert(worker.clone()) {
            connections.push(connection);
        }
        counts = after;
        if reached.len() == counts.len() {
            return connections;
        }
    }
    panic!("240 connections do not reach every worker: {counts:?}");
}
