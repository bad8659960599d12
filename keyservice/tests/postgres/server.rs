//! The server as a service sees it: not there, too new, lost and found again.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode};
use sqlx::Connection;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tollkeeper_contract::lease::{Account, Ask};

use crate::{
    behaviours::leases::{ask, lent, question, with_teams},
    harness::{Folder, Service, eventually, program, refusal, serve_in},
    replica::Replica,
};

#[test]
fn a_service_whose_server_is_not_there_says_so_and_ends() {
    let folder = Folder::new();
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_DATABASE", format!("postgres://keeper:sesame@{address}/keys"));
    let (code, message) = refusal(command);
    assert_eq!(code, 1, "{message}");
    for part in
        [&format!("cannot use the database postgres://{address}/keys"), "TOLLKEEPER_DATABASE", "PostgreSQL runs"]
    {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("sesame") && !message.contains("keeper:"), "{message}");
}

#[test]
fn a_url_that_cannot_be_read_is_refused_without_its_password() {
    let folder = Folder::new();
    for url in ["postgres://keeper:sesame@db:port/keys", "postgres://keeper:sesame@db", "mysql://keeper:sesame@db/keys"]
    {
        let mut command = serve_in(&folder);
        command.env("TOLLKEEPER_DATABASE", url);
        let (code, message) = refusal(command);
        assert_eq!(code, 2, "{message}");
        assert!(message.contains("TOLLKEEPER_DATABASE") && !message.contains("sesame"), "{message}");
    }
    let mut command = program();
    command.args(["serve", "--help"]).env("TOLLKEEPER_DATABASE", "postgres://keeper:sesame@db/keys");
    let help = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(help.contains("TOLLKEEPER_DATABASE") && !help.contains("sesame"), "{help}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (_, folder) = Service::start().await.stop().await;
    let mut database = folder.database.connect().await;
    let newer = "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time
                 FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(newer).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let (code, message) = refusal(serve_in(&folder));
    assert_eq!(code, 1);
    assert!(message.contains("schema 99") && message.contains("newer keyservice"), "{message}");
}

/// Stands between a service and its server, and can be cut.
struct Line {
    address: SocketAddr,
    server: String,
    connections: JoinSet<()>,
}

impl Line {
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut line = Self { address, server: server.to_owned(), connections: JoinSet::new() };
        line.carry(listener);
        line
    }

    fn carry(&mut self, listener: TcpListener) {
        let server = self.server.clone();
        self.connections.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let server = server.clone();
                open.spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
    }

    /// Ends every connection; new ones are refused.
    async fn cut(&mut self) {
        self.connections.shutdown().await;
    }

    async fn mend(&mut self) {
        let listener = eventually("the port is free", async || TcpListener::bind(self.address).await.ok()).await;
        self.carry(listener);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_loses_its_server_answers_503_and_recovers_by_itself() {
    let folder = Folder::new();
    let setting = folder.database.setting();
    let (_, place) = setting.split_once('@').unwrap();
    let (server, name) = place.split_once('/').unwrap();
    let mut line = Line::to(server).await;
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_DATABASE", format!("postgres://postgres:sesame@{}/{name}", line.address));
    let service = Service::start_as(command, folder).await;
    service.team("acme").await;
    let ready = async || service.bare(Method::GET, "/readyz").send().await.unwrap().status();
    assert_eq!(ready().await, StatusCode::OK);

    line.cut().await;
    service.post("/v1/keys", serde_json::json!({ "team": "acme", "scopes": [] })).await.refused(503, "storage_busy");
    service.get("/v1/teams/acme").await.refused(503, "storage_busy");
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);

    line.mend().await;
    eventually("the service is ready again", async || (ready().await == StatusCode::OK).then_some(())).await;
    service.key("acme").await;
    // Changes that others made, or make from now on, are heard of again.
    let mut replica = Replica::default();
    replica.follow(&service, 20).await.unwrap();
    assert_eq!(replica.revision, 2);
    let log = service.log();
    assert!(log.contains(&format!("postgres://{}/{name}", line.address)), "{log}");
    assert!(!log.contains("sesame"), "{log}");
    tokio::time::timeout(Duration::from_secs(10), service.stop()).await.unwrap();
}

#[tokio::test]
async fn while_the_database_hangs_known_teams_are_lent_tokens_and_others_are_told_to_come_later() {
    let service = with_teams().await;
    lent(&service, vec![ask("acme")]).await;
    let mut somebody = service.folder.database.connect().await;
    sqlx::query("BEGIN").execute(&mut somebody).await.unwrap();
    sqlx::query("LOCK TABLE teams, enterprises IN ACCESS EXCLUSIVE MODE").execute(&mut somebody).await.unwrap();
    let spent = Ask { seq: 2, granted: 10, spent: 10, ..ask("acme") };
    let leases = lent(&service, vec![spent, ask("other")]).await;
    let teams: Vec<_> = leases.lent.iter().map(|lent| (&lent.account, lent.seq, lent.granted)).collect();
    assert_eq!(teams, [(&Account::Team("acme".into()), 2, 20)]);
    let about_other = async || {
        let sent = service.node(Method::POST, "/node/v1/leases").json(&question(vec![ask("other")]));
        sent.send().await.unwrap().status()
    };
    assert_eq!(about_other().await, StatusCode::SERVICE_UNAVAILABLE);
    sqlx::query("ROLLBACK").execute(&mut somebody).await.unwrap();
    eventually("the other team is asked about", async || (about_other().await == StatusCode::OK).then_some(())).await;
    assert_eq!(lent(&service, vec![Ask { seq: 2, ..ask("other") }]).await.lent.len(), 1);
}
