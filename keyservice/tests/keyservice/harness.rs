//! Starts the program in a folder of its own, and ends it with the test.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use keyservice::store::Database;
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;
use tollkeeper_contract::page::NodeToken;

use crate::{database::TestDatabase, described};

pub(crate) const ADMIN_TOKEN: &str = "admin-token-of-the-tests";
pub(crate) const NODE_TOKEN: &str = "node-token-of-the-tests-0123456789-0123456789";
pub(crate) const SIGNING_SECRET: &str = "signing-secret-of-the-tests-0123456789-0123456";

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder for a service, with a database.
pub(crate) struct Folder {
    directory: TempDir,
    pub(crate) database: TestDatabase,
    environment: Vec<(&'static str, &'static str)>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), database: TestDatabase::new(), environment: Vec::new() }
    }

    /// One whose services sign tokens. Their first key is the first change.
    pub(crate) fn for_logins() -> Self {
        Self { environment: vec![("TOLLKEEPER_SIGNING_SECRET", SIGNING_SECRET)], ..Self::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The database, for this process.
    pub(crate) fn database(&self) -> Database {
        self.database.open_from(self.path())
    }
}

/// A program that runs in a folder.
pub(crate) struct Service {
    pub(crate) folder: Folder,
    pub(crate) url: String,
    child: Child,
    http: reqwest::Client,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyservice"));
    command.env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn serve_in(folder: &Folder) -> Command {
    let mut command = program();
    command
        .arg("serve")
        .current_dir(folder.path())
        .env("TOLLKEEPER_DATABASE", folder.database.setting())
        .env("TOLLKEEPER_LISTEN", "127.0.0.1:0")
        .env("TOLLKEEPER_ADDRESS_FILE", "address")
        .env("TOLLKEEPER_LOG", "debug")
        .env("TOLLKEEPER_ADMIN_TOKEN", ADMIN_TOKEN)
        .env("TOLLKEEPER_NODE_TOKEN", NODE_TOKEN)
        .envs(folder.environment.iter().copied());
    command
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_in(Folder::new()).await
    }

    /// Starts one that signs tokens.
    pub(crate) async fn for_logins() -> Self {
        Self::start_in(Folder::for_logins()).await
    }

    /// Starts with what is in the folder already.
    pub(crate) async fn start_in(folder: Folder) -> Self {
        let command = serve_in(&folder);
        Self::start_as(command, folder).await
    }

    /// Starts with a command that was made by [`serve_in`] for this folder.
    pub(crate) async fn start_as(mut command: Command, folder: Folder) -> Self {
        let address = folder.path().join("address");
        std::fs::remove_file(&address).ok();
        let log = File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let address = eventually("the service listens", async || {
            assert!(child.try_wait().unwrap().is_none(), "ended: {}", read(&folder.path().join("log")));
            std::fs::read_to_string(&address).ok()
        })
        .await;
        let http = lab::http::client().unwrap().build().unwrap();
        Self { folder, url: format!("http://{}", address.trim()), child, http }
    }

    pub(crate) fn log(&self) -> String {
        read(&self.folder.path().join("log"))
    }

    /// Asks the program to end, and waits until it has.
    pub(crate) async fn stop(mut self) -> (ExitStatus, Folder) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.ended().await;
        (status, self.leave_folder())
    }

    /// Takes the folder, to start another service in it.
    pub(crate) fn leave_folder(&mut self) -> Folder {
        std::mem::replace(&mut self.folder, Folder::new())
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the service ends", async || self.child.try_wait().unwrap()).await
    }

    /// A request without any token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).timeout(PATIENCE)
    }

    pub(crate) fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(ADMIN_TOKEN)
    }

    pub(crate) fn node(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(node_token().shown()).header("x-tollkeeper-node", "edge-1")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.admin(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        answer(self.admin(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        answer(self.admin(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        answer(self.admin(Method::DELETE, path)).await
    }

    pub(crate) async fn team(&self, id: &str) -> Value {
        self.post("/v1/teams", json!({ "id": id })).await.created()
    }

    pub(crate) async fn enterprise(&self, id: &str) -> Value {
        self.post("/v1/enterprises", json!({ "id": id })).await.created()
    }

    /// Makes a user who may read and write.
    pub(crate) async fn user(&self, id: &str, team: &str) -> Value {
        let body = json!({ "id": id, "team": team, "permissions": ["read", "write"] });
        self.post("/v1/users", body).await.created()
    }

    pub(crate) async fn account(&self, body: Value) -> Value {
        self.post("/v1/service-accounts", body).await.created()
    }

    /// Makes a key that may read.
    pub(crate) async fn key(&self, team: &str) -> Value {
        self.post("/v1/keys", json!({ "team": team, "scopes": ["read"] })).await.created()
    }

    pub(crate) async fn revision(&self) -> u64 {
        let metrics = self.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        metric(&metrics, "keyservice_revision")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn created(self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.body);
        self.body
    }

    /// The answer is a problem with this status and reason.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, reason: &str) {
        assert_eq!((self.status.as_u16(), &self.body["reason"]), (status, &json!(reason)), "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.headers["x-tollkeeper-service"], "keyservice");
        assert_eq!(self.body["status"], status);
        for text in ["type", "title", "detail"] {
            assert!(self.body[text].as_str().is_some_and(|text| !text.is_empty()), "{}", self.body);
        }
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let answer = client.execute(request).await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
    let media = headers.get("content-type").map(|media| media.to_str().unwrap());
    described::check(&method, &path, status, media, &body);
    Answer { status, headers, body }
}

/// The exit code of a program that ends by itself, and what it complains about.
pub(crate) fn refusal(mut command: Command) -> (i32, String) {
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// Asks again and again until there is something, and gives up in the end.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn node_token() -> NodeToken {
    NodeToken::parse(NODE_TOKEN).unwrap()
}

/// A field that must be a text.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
