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
        let output = directory.join("output");
        let file = File::create(&output).unwrap();
        let [port, admin, key_service, upstream] = ports.map(|port| port.to_string());
        let child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("run")
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
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What the printed line `curl -i URL -H 'NAME: VALUE'` is answered with.
async fn status_of(line: &str) -> u16 {
    let url = line.split(' ').nth(2).unwrap();
    let (name, value) = line.split('\'').nth(1).unwrap().split_once(": ").unwrap();
    client().get(url).header(name, value).send().await.unwrap().status().as_u16()
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
