//! `lab run`, which is what `make run` starts, as its user sees it.
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use lab::poll::wait_until;
use lab::port::{is_free, local, reserve};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

struct Run {
    child: Child,
    output: PathBuf,
}

impl Run {
    fn start(directory: &Path, ports: [u16; 4]) -> Self {
        Self::start_with(directory, ports, &[])
    }

    fn start_with(directory: &Path, ports: [u16; 4], arguments: &[&str]) -> Self {
        let output = directory.join("output");
        let file = File::create(&output).unwrap();
        let [port, admin, key_service, upstream] = ports.map(|port| port.to_string());
        let child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("run")
            .args(arguments)
            .current_dir(directory)
            .env("TOLLKEEPER_PORT", port)
            .env("TOLLKEEPER_ADMIN_PORT", admin)
            .env("TOLLKEEPER_KEYSERVICE_PORT", key_service)
            .env("TOLLKEEPER_UPSTREAM_PORT", upstream)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    async fn ready(&mut self) -> String {
        let ready = wait_until("lab run is ready", LIMIT, async || {
            let text = self.text();
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended: {text}");
            text.contains("Ctrl-C stops everything").then_some(text)
        });
        ready.await.unwrap()
    }

    async fn ended(&mut self) -> ExitStatus {
        wait_until("lab run has ended", LIMIT, async || self.child.try_wait().unwrap()).await.unwrap()
    }

    async fn interrupted(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.ended().await
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Asked, not killed: killed at once, it could not stop what it has started.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

fn free_ports() -> [u16; 4] {
    [(); 4].map(|()| reserve().unwrap().port())
}

fn curl_lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

fn client() -> reqwest::Client {
    lab::http::client().unwrap().build().unwrap()
}

/// What the printed line `curl -i URL -H 'NAME: VALUE'`, perhaps with `-d 'BODY'`, is answered with.
async fn answer_to(line: &str) -> (u16, String) {
    let url = line.split(' ').nth(2).unwrap();
    let mut quoted = line.split('\'').skip(1).step_by(2);
    let (name, value) = quoted.next().unwrap().split_once(": ").unwrap();
    let request = match quoted.next() {
        Some(body) => client().post(url).body(body.to_owned()),
        None => client().get(url),
    };
    let answer = request.header(name, value).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn status_of(line: &str) -> u16 {
    answer_to(line).await.0
}

#[tokio::test]
async fn every_printed_curl_line_works_and_a_second_run_prints_the_same_keys() {
    let directory = TempDir::new().unwrap();
    let ports = free_ports();
    let mut first = Run::start(directory.path(), ports);
    let printed = curl_lines(&first.ready().await);
    assert_eq!(printed.len(), 4);
    for line in &printed {
        assert_eq!(status_of(line).await, 200, "{line}");
    }
    assert!(first.interrupted().await.success(), "{}", first.text());

    let mut second = Run::start(directory.path(), ports);
    assert_eq!(curl_lines(&second.ready().await), printed);
    assert_eq!(status_of(&printed[0]).await, 200);
    assert!(second.interrupted().await.success(), "{}", second.text());
}

#[tokio::test]
async fn with_the_published_apis_every_printed_request_works_in_its_order() {
    let directory = TempDir::new().unwrap();
    let mut run = Run::start_with(directory.path(), free_ports(), &["--api", "all"]);
    let printed = curl_lines(&run.ready().await);
    assert_eq!(printed.len(), 5);
    let mut token = String::new();
    for line in printed {
        let (status, body) = answer_to(&line.replace("ACCESS_TOKEN", &token)).await;
        assert_eq!(status, 200, "{line}: {body}");
        if line.contains("/auth/login") {
            let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
            token = answer["access_token"].as_str().unwrap().to_owned();
        }
    }
    assert!(!token.is_empty());
}

#[tokio::test]
async fn tokens_and_keys_are_readable_by_their_owner_only() {
    let directory = TempDir::new().unwrap();
    let mut run = Run::start(directory.path(), free_ports());
    run.ready().await;
    for file in ["admin-token", "node-token", "signing-secret", "demo-keys.json"] {
        let mode = fs::metadata(directory.path().join(".run").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_starts() {
    let directory = TempDir::new().unwrap();
    let holder = TcpListener::bind(local(0)).unwrap();
    let taken = holder.local_addr().unwrap();
    let mut ports = free_ports();
    ports[1] = taken.port();
    let mut run = Run::start(directory.path(), ports);
    assert!(!run.ended().await.success());
    let text = run.text();
    assert!(text.contains(&taken.to_string()) && text.contains("TOLLKEEPER_ADMIN_PORT"), "{text}");
    assert!(!directory.path().join(".run").exists());
}

#[tokio::test]
async fn when_a_part_dies_the_run_says_which_and_ends_with_the_others() {
    let directory = TempDir::new().unwrap();
    let ports = free_ports();
    let mut run = Run::start(directory.path(), ports);
    run.ready().await;
    let quit = format!("http://{}/quitquitquit", local(ports[1]));
    client().post(quit).send().await.unwrap();
    assert!(!run.ended().await.success());
    let text = run.text();
    assert!(text.contains("Envoy ended by itself"), "{text}");
    for port in ports {
        assert!(is_free(local(port)), "{port} is still taken: {text}");
    }
}
