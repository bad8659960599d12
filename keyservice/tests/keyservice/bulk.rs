//! Many keys at once: imports and exports by command.

use std::{fmt::Write, time::Instant};

use keyservice::store::Database;
use serde_json::Value;
use tollkeeper_contract::Digest;

use super::commands::{done, typed};
use crate::harness::{ADMIN_TOKEN, Service, eventually};

fn digest(number: usize) -> String {
    Digest::of(format!("imported-{number}").as_bytes()).to_hex()
}

fn csv(numbers: impl Iterator<Item = usize>) -> String {
    let mut text = "digest,team,scopes,name\n".to_owned();
    for number in numbers {
        writeln!(text, "{},acme,read write,key {number}", digest(number)).unwrap();
    }
    text
}

fn write(service: &Service, name: &str, text: &str) -> String {
    let path = service.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn very_many_keys_are_imported_with_import_speed_measured() {
    let service = Service::start().await;
    service.team("acme").await;
    let (database, count) = match service.folder.database() {
        Database::Sqlite(_) => ("SQLite", 100_000),
        Database::Postgres(_) => ("PostgreSQL", 10_000),
    };
    let file = write(&service, "keys.csv", &csv(0..count));
    let began = Instant::now();
    let imported = typed(&service.url, ADMIN_TOKEN, &["keys", "import", &file]).await;
    let seconds = began.elapsed().as_secs_f64();
    println!("measured: {count} keys imported by command into {database} in {seconds:.1} s");
    let expected = format!("imported {count}, duplicates 0\n");
    assert_eq!((imported.code, imported.out), (0, expected), "{}", imported.err);
    assert_eq!(imported.err.lines().last(), Some(format!("{count} of {count} keys").as_str()));
    assert_eq!(service.get("/v1/teams/acme").await.ok()["id"], "acme");
}

#[tokio::test]
async fn duplicates_are_told_with_their_lines_and_never_merged() {
    let service = Service::start().await;
    service.team("acme").await;
    let first = write(&service, "first.csv", &csv(0..3));
    assert_eq!(done(&service, &["keys", "import", &first]).await, "imported 3, duplicates 0\n");
    let before = done(&service, &["keys", "export"]).await;
    let again = write(&service, "again.csv", &csv([3, 1, 3].into_iter()).replace("read write", "admin"));
    let told = typed(&service.url, ADMIN_TOKEN, &["keys", "import", &again]).await;
    let expected = format!(
        "line 3: {} is there already\nline 4: {} stands in the file before\nimported 1, duplicates 2\n",
        digest(1),
        digest(3)
    );
    assert_eq!((told.code, told.out), (1, expected));
    assert!(told.err.contains("--skip-duplicates"), "{}", told.err);
    let after = done(&service, &["keys", "export"]).await;
    assert!(before.lines().all(|key| after.contains(key)), "{before}{after}");
    assert_eq!(after.lines().count(), 4);
    let skipped = done(&service, &["keys", "import", &again, "--skip-duplicates"]).await;
    assert!(skipped.ends_with("imported 0, duplicates 3\n"), "{skipped}");
}

#[tokio::test]
async fn json_lines_are_imported_and_a_mistake_is_told_with_its_line() {
    let service = Service::start().await;
    service.team("acme").await;
    let line = |number, rest: &str| {
        format!("{{\"digest\":\"{}\",\"team\":\"acme\",\"scopes\":[\"read\"]{rest}}}\n", digest(number))
    };
    let bound = line(1, ",\"origin\":{\"webhook_url\":\"https://myCoolApp.com/api/webhook\"}");
    let file = write(&service, "keys.jsonl", &format!("{}\n{bound}", line(0, "")));
    assert_eq!(done(&service, &["keys", "import", &file]).await, "imported 2, duplicates 0\n");
    assert!(done(&service, &["keys", "export"]).await.contains("\"origin\":\"mycoolapp.com/api\""));
    let wrong = write(&service, "wrong.jsonl", &format!("{}\n{}", line(2, ""), line(3, ",\"expires\":\"soon\"")));
    let refused = typed(&service.url, ADMIN_TOKEN, &["keys", "import", &wrong, "--json"]).await;
    assert_eq!(refused.code, 1);
    let problem: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(problem["field"], "keys[1].expires");
    assert!(problem["detail"].as_str().unwrap().starts_with("line 3: "), "{problem}");
    assert_eq!(done(&service, &["keys", "export"]).await.lines().count(), 2);
}

#[tokio::test]
async fn an_export_holds_everything_but_keys_and_digests() {
    let service = Service::start().await;
    service.team("acme").await;
    let file = write(&service, "keys.csv", &csv(0..2));
    done(&service, &["keys", "import", &file]).await;
    let exported = done(&service, &["keys", "export", "--format", "csv", "--team", "acme"]).await;
    assert!(exported.starts_with("id,kind,team,enterprise,service_account,user,name,"), "{exported}");
    assert_eq!(exported.lines().count(), 3);
    assert!(exported.contains(",application,acme,,,,key 1,,read write,active,,,,"), "{exported}");
    assert!(!exported.contains(&digest(0)), "{exported}");
}

#[tokio::test]
async fn duplicates_that_were_expected_are_counted_and_the_first_ten_listed() {
    let service = Service::start().await;
    service.team("acme").await;
    let file = write(&service, "keys.csv", &csv(0..25));
    done(&service, &["keys", "import", &file]).await;
    let skipped = done(&service, &["keys", "import", &file, "--skip-duplicates"]).await;
    assert_eq!(skipped.lines().filter(|line| line.ends_with("is there already")).count(), 10);
    assert!(skipped.ends_with("\n… and 15 more\nimported 0, duplicates 25\n"), "{skipped}");
}

#[tokio::test]
async fn a_line_that_is_not_utf_8_is_told_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, line) in [
        ("keys.jsonl", &b"{\"digest\":\"00\"}\n\n{\"name\":\"caf\xe9\"}\n"[..], "line 3 is not UTF-8"),
        ("keys.csv", b"digest,team,scopes\n00,acme,read\n00,acm\xff,read\n", "line 3 is not UTF-8"),
        ("head.csv", b"dig\xffst\n", "line 1 is not UTF-8"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let told = typed("http://127.0.0.1:9", ADMIN_TOKEN, &["keys", "import", path.to_str().unwrap()]).await;
        assert_eq!(told.code, 2, "{}", told.err);
        assert!(told.err.contains(line), "{}", told.err);
    }
}

#[tokio::test]
async fn an_import_whose_service_ends_says_how_far_it_came_and_how_to_go_on() {
    for flags in [[].as_slice(), &["--json"]] {
        let service = Service::start().await;
        service.team("acme").await;
        let file = write(&service, "keys.csv", &csv(0..20_000));
        let url = service.url.clone();
        let line: Vec<_> = ["keys", "import", &file].into_iter().chain(flags.iter().copied()).collect();
        let (told, ()) = tokio::join!(typed(&url, ADMIN_TOKEN, &line), async {
            eventually("some keys are imported", async || (service.revision().await > 10).then_some(())).await;
            service.signal(rustix::process::Signal::KILL);
        });
        assert_eq!(told.code, 3, "{}{}", told.out, told.err);
        let imported = told.err.split("(").find_map(|part| part.split_once(" keys are imported, and perhaps those"));
        let imported: u64 = imported.unwrap_or_else(|| panic!("{}", told.err)).0.parse().unwrap();
        assert!(imported >= 1000 && imported.is_multiple_of(1000), "{}", told.err);
        assert!(told.err.contains("start again with --skip-duplicates"), "{}", told.err);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_wrong_usage() {
    for (line, expected) in [
        (["keys", "import", "/nowhere/keys.csv"].as_slice(), "cannot read /nowhere/keys.csv"),
        (&["keys", "import", "keys.txt"], "--format"),
    ] {
        let done = typed("http://127.0.0.1:9", ADMIN_TOKEN, line).await;
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains(expected), "{}", done.err);
    }
}
