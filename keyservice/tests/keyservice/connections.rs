//! Who may connect, with what certificate, how many at a time, and for how long without a word.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use lab::authority::{Authority, LAB};
use reqwest::{Method, StatusCode};
use rustix::process::Signal;

use crate::harness::{ADMIN_TOKEN, Folder, Service, eventually, program, refusal, serve_in};

fn lab_authority() -> &'static Authority {
    LAB.as_ref().unwrap()
}

/// A service that shows the certificate in its folder.
async fn with_tls(folder: Folder) -> Service {
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_TLS_CERTIFICATE", "tls.crt").env("TOLLKEEPER_TLS_KEY", "tls.key");
    let mut service = Service::start_as(command, folder).await;
    service.url = service.url.replace("http://", "https://");
    service
}

fn folder_with(authority: &Authority) -> Folder {
    let folder = Folder::new();
    authority.certificate(&["127.0.0.1"]).unwrap().write_to(folder.path()).unwrap();
    folder
}

/// The status of a request on a connection of its own, or why there is none.
async fn fresh(service: &Service) -> Result<StatusCode, String> {
    let client = lab::http::client().unwrap().build().unwrap();
    let answer = client.get(format!("{}/healthz", service.url)).send().await;
    answer.map(|answer| answer.status()).map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn with_a_certificate_the_service_speaks_tls_and_nothing_else() {
    let service = with_tls(folder_with(lab_authority())).await;
    service.team("acme").await;
    assert_eq!(service.get("/v1/teams/acme").await.status, 200);
    let plain = service.url.replace("https://", "http://");
    assert!(lab::http::client().unwrap().build().unwrap().get(format!("{plain}/healthz")).send().await.is_err());
    let log = service.log();
    assert!(log.contains("a TLS handshake failed"), "{log}");
    assert!(!log.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_after_a_hangup_and_connections_live_on() {
    let stranger = Authority::new("a stranger").unwrap();
    let service = with_tls(folder_with(lab_authority())).await;
    service.team("acme").await;

    stranger.certificate(&["127.0.0.1"]).unwrap().write_to(service.folder.path()).unwrap();
    assert_eq!(fresh(&service).await, Ok(StatusCode::OK), "nothing is read again unasked");
    service.signal(Signal::HUP);
    let refused = eventually("new connections are shown the new certificate", async || fresh(&service).await.err());
    assert!(refused.await.contains("UnknownIssuer"));
    assert_eq!(service.get("/v1/teams/acme").await.status, 200, "the connection from before");

    // What cannot be used changes nothing.
    fs::write(service.folder.path().join("tls.key"), "no key at all").unwrap();
    service.signal(Signal::HUP);
    eventually("the log says so", async || {
        service.log().contains("certificates and tokens stay as they were").then_some(())
    })
    .await;
    assert!(fresh(&service).await.unwrap_err().contains("UnknownIssuer"));

    lab_authority().certificate(&["127.0.0.1"]).unwrap().write_to(service.folder.path()).unwrap();
    service.signal(Signal::HUP);
    eventually("the mended certificate is shown", async || fresh(&service).await.ok()).await;
}

#[tokio::test]
async fn files_that_are_missing_or_do_not_fit_are_named() {
    let started = |folder: &Folder, settings: &[(&str, &str)]| {
        let mut command = serve_in(folder);
        command.envs(settings.iter().copied());
        refusal(command)
    };
    let both = [("TOLLKEEPER_TLS_CERTIFICATE", "tls.crt"), ("TOLLKEEPER_TLS_KEY", "tls.key")];
    let folder = Folder::new();
    let (code, said) = started(&folder, &both);
    assert!(code != 0 && said.contains("TOLLKEEPER_TLS_CERTIFICATE: cannot read tls.crt: "), "{code} {said}");

    lab_authority().certificate(&["127.0.0.1"]).unwrap().write_to(folder.path()).unwrap();
    let (code, said) = started(&folder, &both[..1]);
    assert!(code == 2 && said.contains("--tls-key"), "{code} {said}");

    let other = lab_authority().certificate(&["127.0.0.1"]).unwrap();
    fs::write(folder.path().join("tls.key"), other.key).unwrap();
    let (code, said) = started(&folder, &both);
    assert!(code != 0 && said.contains("the key must be that of the first certificate"), "{code} {said}");

    fs::write(folder.path().join("tls.crt"), "nothing\n").unwrap();
    let (code, said) = started(&folder, &both);
    assert!(code != 0 && said.contains("there is no certificate in tls.crt"), "{code} {said}");
}

#[tokio::test]
async fn callers_show_a_certificate_of_their_own_where_that_is_asked_for() {
    let folder = folder_with(lab_authority());
    fs::write(folder.path().join("clients.crt"), Authority::new("callers").unwrap().pem()).unwrap();
    let mut command = serve_in(&folder);
    command
        .env("TOLLKEEPER_TLS_CERTIFICATE", "tls.crt")
        .env("TOLLKEEPER_TLS_KEY", "tls.key")
        .env("TOLLKEEPER_TLS_CLIENT_CA", "clients.crt");
    let mut service = Service::start_as(command, folder).await;
    service.url = service.url.replace("http://", "https://");
    assert!(fresh(&service).await.is_err());
    eventually("the log says why", async || service.log().contains("peer sent no certificates").then_some(())).await;
}

#[tokio::test]
async fn commands_trust_the_authority_that_they_are_told_of_and_no_other() {
    let service = with_tls(folder_with(lab_authority())).await;
    let listed = |authority: &Authority| {
        let file = service.folder.path().join("ca.crt");
        fs::write(&file, authority.pem()).unwrap();
        let mut command = program();
        command.args(["teams", "list", "--url", &service.url]).env("TOLLKEEPER_ADMIN_TOKEN", ADMIN_TOKEN);
        refusal({
            command.env("TOLLKEEPER_CA_FILE", file);
            command
        })
    };
    assert_eq!(listed(lab_authority()), (0, String::new()));
    let (code, said) = listed(&Authority::new("a stranger").unwrap());
    assert!(code == 3 && said.contains("UnknownIssuer"), "{code} {said}");
}

/// Reads until the service closes the connection.
fn rest(mut connection: &TcpStream) -> usize {
    let mut rest = Vec::new();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection.read_to_end(&mut rest).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_too_little_for_too_long_is_cut_off_and_makes_room() {
    let folder = Folder::new();
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_MAX_CONNECTIONS", "3").env("TOLLKEEPER_HEAD_SECONDS", "1");
    let service = Service::start_as(command, folder).await;
    let address = service.url.trim_start_matches("http://");
    let slow: Vec<_> = (0..3)
        .map(|_| {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ").unwrap();
            connection
        })
        .collect();
    // There is no place for this one until one of them is cut off.
    assert_eq!(service.bare(Method::GET, "/healthz").send().await.unwrap().status(), 200);
    slow.iter().for_each(|connection| {
        rest(connection);
    });
    let log = service.log();
    assert!(log.contains("there are as many connections as TOLLKEEPER_MAX_CONNECTIONS allows"), "{log}");
}
