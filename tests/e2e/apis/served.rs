//! An API as it is served by one of the files.

use std::time::Duration;

use lab::{bootstrap::Bootstrap, edge::Edge};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::scene::{self, Outcome};

/// Serves all four.
const ALL: &str = "apis/all.yaml";

/// One of the four.
#[derive(Clone, Copy, Debug)]
pub(super) enum Api {
    Mosaic,
    Mezmo,
    BearerLogin,
    Mindset,
}

/// An API, served.
pub(super) struct Served {
    pub(super) edge: Edge,
    api: Api,
    prefix: &'static str,
}

/// What a login answered.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

/// A test for each sentence, which holds on the API's own file and, from the beginning, on the file with all four.
macro_rules! sentences {
    ($api:ident: $($sentence:ident)*) => {
        mod alone_and_beside_the_others {
            $(
                #[tokio::test]
                async fn $sentence() {
                    let mut api = $crate::apis::served::Api::$api.alone().await;
                    super::$sentence(&mut api).await;
                    println!("beside the others:");
                    api.stand_beside_the_others().await;
                    super::$sentence(&mut api).await;
                }
            )*
        }
    };
}
pub(super) use sentences;

impl Api {
    /// Served from its own file.
    pub(super) async fn alone(self) -> Served {
        let file = match self {
            Self::Mosaic => "apis/mosaic.yaml",
            Self::Mezmo => "apis/mezmo.yaml",
            Self::BearerLogin => "apis/bearer-login.yaml",
            Self::Mindset => "apis/mindset.yaml",
        };
        let edge = Edge::synced_start(|setup| {
            setup.file(file).drains_within(Duration::from_secs(1)).bootstrap(|bootstrap| {
                add_login(bootstrap);
                Ok(())
            })
        })
        .await;
        Served { edge, api: self, prefix: "" }
    }
}

/// The file with all four needs a cluster that not all of the others have, and Envoy is given clusters only at its start.
fn add_login(bootstrap: &mut Bootstrap) {
    if bootstrap.has_cluster("login") {
        return;
    }
    let (mut login, mut all) = (Value::Null, Bootstrap::of_file(ALL).unwrap());
    all.edit(|all| login = cluster(all, "login").take());
    bootstrap.edit(|own| {
        let key_service = cluster(own, "keyservice");
        for place in ["/connect_timeout", "/load_assignment/endpoints"] {
            *login.pointer_mut(place).unwrap() = key_service.pointer(place).unwrap().clone();
        }
        own["static_resources"]["clusters"].as_array_mut().unwrap().push(login);
    });
}

fn cluster<'a>(bootstrap: &'a mut Value, name: &str) -> &'a mut Value {
    let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
    clusters.iter_mut().find(|cluster| cluster["name"] == name).unwrap()
}

impl Served {
    /// From now on it is served from the file with all four, and nothing of what was before is left.
    pub(super) async fn stand_beside_the_others(&mut self) {
        self.prefix = match self.api {
            // Its page prints its paths, which all begin with /api/.
            Api::Mosaic => "",
            Api::Mezmo => "/mezmo",
            Api::BearerLogin => "/bearer",
            Api::Mindset => "/mindset",
        };
        self.edge.begin_anew(ALL).await;
    }

    /// A GET for a path of the API.
    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A request for a path of the API.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.edge.request(method, &format!("{}{path}", self.prefix))
    }

    /// Sends a prepared request.
    pub(super) async fn send(&self, request: RequestBuilder) -> Outcome {
        scene::send(&self.edge, request).await
    }

    /// Sends a GET with one header.
    pub(super) async fn get_with(&self, path: &str, name: &str, value: &str) -> Outcome {
        self.send(self.get(path).header(name, value)).await
    }

    /// Sends a GET with a token.
    pub(super) async fn get_as(&self, token: &str) -> Outcome {
        self.get_with("/reports", "Authorization", &format!("Bearer {token}")).await
    }

    /// Logs in through Envoy with this body, byte for byte.
    pub(super) async fn log_in(&self, body: impl Into<String>) -> Login {
        let request = self.edge.request(Method::POST, "/auth/login").header("Content-Type", "application/json");
        let answer = request.body(body.into()).send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Login { status, headers, body: answer.json().await.unwrap() }
    }

    /// Logs in with a key, and waits until the filter takes the token.
    pub(super) async fn session(&self, key: &str, session_id: &str) -> String {
        let token = self.log_in(json!({ "api_key": key, "session_id": session_id }).to_string()).await.token();
        crate::tenants::becomes(&self.edge, "", async || self.get_as(&token).await).await;
        token
    }
}

impl Login {
    /// The token of a login that succeeded.
    pub(super) fn token(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.body["access_token"].as_str().unwrap().to_owned()
    }

    /// Its status and reason, if it was refused.
    pub(super) fn refusal(&self) -> (u16, &str) {
        (self.status.as_u16(), self.body["reason"].as_str().unwrap_or_default())
    }
}
