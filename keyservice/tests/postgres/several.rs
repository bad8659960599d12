//! Several services on one database work as one.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};
use tollkeeper_contract::{Digest, page::Rest, token::Parts};

use crate::{
    harness::{Folder, Service, answer, eventually, serve_in, text},
    replica::Replica,
};

/// One more service on the database of `first`.
async fn beside(first: &Service) -> Service {
    beside_in(Folder::new(), first).await
}

async fn beside_in(folder: Folder, first: &Service) -> Service {
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_DATABASE", first.folder.database.setting());
    Service::start_as(command, folder).await
}

#[tokio::test]
async fn a_change_through_one_service_reaches_the_node_of_another_within_a_second() {
    let here = Service::start().await;
    let there = beside(&here).await;
    here.team("acme").await;
    let (mut replica, _) = Replica::snapshot(&there).await;
    replica.catch_up(&there).await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let change = async {
            let key = here.key("acme").await;
            (key, Instant::now())
        };
        // The node waits at the one service while the change is made through the other.
        let ((key, changed), heard) = tokio::join!(change, async {
            replica.follow(&there, 20).await.unwrap();
            Instant::now()
        });
        assert!(replica.key(text(&key, "key")).is_some());
        took.push(heard.saturating_duration_since(changed));
    }
    took.sort();
    println!("a change through another service arrives after its answer: p50 {:?}, max {:?}", took[10], took[19]);
    assert!(took[19] < Duration::from_secs(10), "that was the long poll's end, or the fallback");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_while_many_write_through_several_services() {
    let services = {
        let first = Service::start().await;
        let (second, third) = tokio::join!(beside(&first), beside(&first));
        [first, second, third]
    };
    let write = async |service: &Service, team: &str| {
        service.team(team).await;
        for _ in 0..20 {
            let id = text(&service.key(team).await, "id").to_owned();
            service.post(&format!("/v1/keys/{id}/revoke"), json!({})).await.ok();
        }
    };
    let read = async |service: &Service| {
        let mut replica = Replica::default();
        while replica.revision < 3 * 41 {
            replica.follow(service, 20).await.unwrap();
        }
        replica
    };
    let [first, second, third] = &services;
    let (.., one, two, three) =
        tokio::join!(write(first, "a"), write(second, "b"), write(third, "c"), read(first), read(second), read(third));
    let (truth, _) = Replica::snapshot(first).await;
    assert_eq!((truth.revision, truth.records.len()), (3 * 41, 3 * 21));
    for replica in [one, two, three] {
        assert_eq!(replica.records, truth.records);
    }
}

/// A transaction of somebody else who writes as a service does, and has not committed.
struct HeldOpen {
    connection: PgConnection,
    revision: i64,
}

impl HeldOpen {
    /// Takes the next revision for a new team, and stays.
    async fn writing(service: &Service, team: &str) -> Self {
        let mut connection = service.folder.database.connect().await;
        sqlx::query("BEGIN").execute(&mut connection).await.unwrap();
        let taken = sqlx::query("UPDATE service SET revision = revision + 1 RETURNING revision");
        let revision: i64 = taken.fetch_one(&mut connection).await.unwrap().get(0);
        let digest = Digest::of(team.as_bytes()).as_bytes().to_vec();
        let insert =
            sqlx::query("INSERT INTO teams (id, digest, name, state, created_at) VALUES ($1, $2, $1, 'active', 1)");
        insert.bind(team).bind(&digest).execute(&mut connection).await.unwrap();
        let publish = sqlx::query("INSERT INTO published (table_code, digest, revision) VALUES (1, $1, $2)");
        publish.bind(&digest).bind(revision).execute(&mut connection).await.unwrap();
        sqlx::query("SELECT pg_notify('tollkeeper_changes', $1)")
            .bind(revision.to_string())
            .execute(&mut connection)
            .await
            .unwrap();
        Self { connection, revision }
    }

    async fn end(mut self, how: &'static str) {
        sqlx::query(how).execute(&mut self.connection).await.unwrap();
    }
}

/// Until a writer waits for the lock that somebody else holds.
async fn a_writer_waits(service: &Service) {
    let mut connection = service.folder.database.connect().await;
    eventually("a writer waits", async || {
        let waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query(waiting).fetch_optional(&mut connection).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_change_that_commits_late_is_not_skipped_although_others_want_to_commit_before_it() {
    let here = Service::start().await;
    let there = beside(&here).await;
    here.team("first").await;
    let (mut replica, _) = Replica::snapshot(&there).await;
    let late = HeldOpen::writing(&here, "late").await;
    let overtaking = async { there.team("overtaking").await };
    let meanwhile = async {
        a_writer_waits(&here).await;
        // Neither is there to be seen, and no reader is told that it has come as far as either.
        for _ in 0..5 {
            assert_eq!(replica.follow(&there, 0).await, Ok(Rest::Done));
            assert_eq!((replica.revision, replica.records.len()), (1, 1));
        }
        assert_eq!(late.revision, 2);
        late.end("COMMIT").await;
    };
    let (made, ()) = tokio::join!(overtaking, meanwhile);
    assert_eq!(made["revision"], 3);
    replica.catch_up(&there).await;
    assert_eq!(replica.revision, 3);
    assert!(replica.team("late").is_some() && replica.team("overtaking").is_some());
}

#[tokio::test]
async fn a_revision_that_is_rolled_back_is_given_to_the_next_change() {
    let service = Service::start().await;
    let given_up = HeldOpen::writing(&service, "given-up").await;
    let (made, ()) = tokio::join!(service.team("next"), async {
        a_writer_waits(&service).await;
        given_up.end("ROLLBACK").await;
    });
    assert_eq!(made["revision"], 1);
    let (replica, _) = Replica::snapshot(&service).await;
    assert_eq!((replica.revision, replica.records.len()), (1, 1));
}

#[tokio::test]
async fn a_writer_that_never_ends_makes_others_answer_busy_and_leaves_nothing_half_written() {
    let service = Service::start().await;
    let stuck = HeldOpen::writing(&service, "stuck").await;
    service.post("/v1/teams", json!({ "id": "acme" })).await.refused(503, "storage_busy");
    service.get("/v1/teams/acme").await.refused(404, "unknown_team");
    stuck.end("ROLLBACK").await;
    assert_eq!(service.team("acme").await["revision"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_start_at_once_on_an_empty_database_migrate_it_once() {
    let folder = Folder::new();
    let start = async || {
        let own = Folder::new();
        let mut command = serve_in(&own);
        command.env("TOLLKEEPER_DATABASE", folder.database.setting());
        Service::start_as(command, own).await
    };
    let services: [Service; 4] = tokio::join!(start(), start(), start(), start()).into();
    let mut connection = folder.database.connect().await;
    let done = sqlx::query("SELECT version FROM _sqlx_migrations ORDER BY version");
    let done: Vec<i64> =
        done.fetch_all(&mut connection).await.unwrap().iter().map(|migration| migration.get(0)).collect();
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/migrations/postgres");
    let files = i64::try_from(std::fs::read_dir(files).unwrap().count()).unwrap();
    assert_eq!(done, (1..=files).collect::<Vec<_>>());
    connection.close().await.unwrap();
    for (number, service) in services.iter().enumerate() {
        assert_eq!(service.team(&format!("t{number}")).await["revision"], number + 1);
    }
    for service in services {
        assert_eq!(service.stop().await.0.code(), Some(0));
    }
}

#[tokio::test]
async fn changes_still_arrive_when_the_connection_that_listens_is_killed() {
    let here = Service::start().await;
    let there = beside(&here).await;
    let mut killer = here.folder.database.connect().await;
    let mut replica = Replica::default();
    for round in 0..5 {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let killed = eventually("they listen", async || {
            let killed = sqlx::query(kill).fetch_all(&mut killer).await.unwrap();
            (!killed.is_empty()).then_some(killed.len())
        })
        .await;
        assert!(killed <= 2);
        let began = Instant::now();
        let team = format!("t{round}");
        let (_, followed) = tokio::join!(here.team(&team), replica.follow(&there, 20));
        followed.unwrap();
        println!("a change right after the listener's end took {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(15), "that was the long poll's end");
        assert_eq!(replica.records.len(), round + 1);
    }
}

#[tokio::test]
async fn a_repeated_request_is_replayed_by_another_service() {
    let here = Service::start().await;
    let there = beside(&here).await;
    here.team("acme").await;
    let create = async |service: &Service| {
        let request = service.admin(reqwest::Method::POST, "/v1/keys").header("idempotency-key", "once");
        crate::harness::answer(request.json(&json!({ "team": "acme", "scopes": [] }))).await
    };
    let (first, second) = tokio::join!(create(&here), create(&there));
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first.body["id"], second.body["id"]);
    assert_ne!(first.body["replayed"], second.body["replayed"]);
}

#[tokio::test]
async fn a_change_waits_for_nodes_that_call_another_service() {
    let here = Service::start().await;
    let there = beside(&here).await;
    let (mut replica, _) = Replica::snapshot(&there).await;
    // The node says how far it is to the other service, which this one hears of from the database.
    replica.follow(&there, 0).await.unwrap();
    eventually("the node is known here", async || {
        let fleet = here.get("/v1/fleet").await.ok();
        (fleet["nodes"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let (made, ()) = tokio::join!(here.post("/v1/teams?wait=20", json!({ "id": "acme" })), async {
        replica.follow(&there, 20).await.unwrap();
        replica.follow(&there, 0).await.unwrap();
    });
    let fleet = made.created()["fleet"].clone();
    println!("a change reached a node of another service, and was known to have, after {} ms", fleet["waited_ms"]);
    assert_eq!((&fleet["reached"], &fleet["nodes"]), (&json!(true), &json!(1)));
}

/// The token that a login with the key gives.
async fn log_in(service: &Service, key: &str, session: &str) -> String {
    let body = json!({ "api_key": key, "session_id": session });
    let given = answer(service.bare(Method::POST, "/auth/login").json(&body)).await.ok();
    text(&given, "access_token").to_owned()
}

#[tokio::test]
async fn every_service_gives_the_same_token() {
    let here = Service::for_logins().await;
    let there = beside_in(Folder::for_logins(), &here).await;
    here.team("acme").await;
    let key = text(&here.key("acme").await, "key").to_owned();
    let log_in = async |service: &Service, session: &str| log_in(service, &key, session).await;
    assert_eq!(log_in(&here, "one after the other").await, log_in(&there, "one after the other").await);
    for session in 0..10 {
        let session = format!("at the same time {session}");
        let (one, other) = tokio::join!(log_in(&here, &session), log_in(&there, &session));
        assert_eq!(one, other);
    }
}

#[tokio::test]
async fn services_whose_secret_is_changed_one_after_the_other_let_everybody_in() {
    let here = Service::for_logins().await;
    here.team("acme").await;
    let key = text(&here.key("acme").await, "key").to_owned();
    let log_in = async |service: &Service, session: &str| log_in(service, &key, session).await;
    let kid = |token: &str| Parts::split(token.as_bytes()).unwrap().header.kid;
    let before = log_in(&here, "before").await;
    let folder = Folder::new();
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_DATABASE", here.folder.database.setting());
    command.env("TOLLKEEPER_SIGNING_SECRET", "the-next-secret-of-the-tests-0123456789-0123456");
    let there = Service::start_as(command, folder).await;
    let mut tokens = vec![before.clone()];
    for round in 0..2 {
        let (old, new) = (log_in(&here, "a name").await, log_in(&there, "a name").await);
        assert_eq!((kid(&old) == kid(&before), kid(&new) == kid(&before)), (true, false), "round {round}");
        tokens.extend([old, new]);
    }
    for token in &tokens {
        for service in [&here, &there] {
            let asking = service.bare(Method::POST, "/oauth/introspect").bearer_auth(token).form(&[("token", token)]);
            assert_eq!(answer(asking).await.ok()["active"], true);
        }
    }
}
