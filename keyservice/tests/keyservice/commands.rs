//! The commands, as somebody types them.

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{ADMIN_TOKEN, Service, program, text};

pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn typed(url: &str, token: &str, line: &[&str]) -> Done {
    let mut command = program();
    command.args(line).env("TOLLKEEPER_URL", url).env("TOLLKEEPER_ADMIN_TOKEN", token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let read = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code().unwrap(), out: read(output.stdout), err: read(output.stderr) }
}

pub(crate) async fn done(service: &Service, line: &[&str]) -> String {
    let done = typed(&service.url, ADMIN_TOKEN, line).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{line:?}");
    done.out
}

pub(crate) async fn json(service: &Service, line: &[&str]) -> Value {
    serde_json::from_str(&done(service, &[line, &["--json"]].concat()).await).unwrap()
}

#[tokio::test]
async fn teams_are_made_listed_changed_and_deleted() {
    let service = Service::start().await;
    let line = ["teams", "create", "acme", "--name", "Acme Ltd", "--limit", "300", "--window", "60"];
    assert!(done(&service, &line).await.contains("quota    300 per 60 s"));
    let listed = done(&service, &["teams", "list"]).await;
    assert!(listed.starts_with("ID    NAME      STATE   QUOTA         GRANTED"), "{listed}");
    assert!(listed.contains("acme  Acme Ltd  active  300 per 60 s  0"), "{listed}");
    let changed = json(&service, &["teams", "set", "acme", "--default-quota", "--state", "disabled"]).await;
    assert_eq!((&changed["quota"], text(&changed, "state")), (&Value::Null, "disabled"));
    assert_eq!(json(&service, &["teams", "show", "acme"]).await, changed);
    assert_eq!(done(&service, &["teams", "delete", "acme"]).await, "team acme is deleted\n");
    assert_eq!(json(&service, &["teams", "list"]).await["teams"], Value::Array(vec![]));
}

#[tokio::test]
async fn keys_are_made_listed_changed_revoked_and_deleted() {
    let service = Service::start().await;
    service.team("acme").await;
    let line = ["keys", "create", "--team", "acme", "--scope", "read", "--scope", "write", "--expires", "90d"];
    let made = json(&service, &line).await;
    let id = text(&made, "id");
    assert!(text(&made, "key").starts_with("tk_live_app_"));
    assert!(made["expires"].is_string());
    let listed = done(&service, &["keys", "list", "--team", "acme", "--state", "active"]).await;
    assert!(listed.contains(id) && listed.contains("read write"), "{listed}");
    assert!(!listed.contains("tk_live_"), "{listed}");
    let line = ["keys", "set", id, "--expires", "never", "--scope", "read", "--subject", "ci"];
    let changed = json(&service, &line).await;
    assert_eq!((&changed["expires"], &changed["scopes"]), (&Value::Null, &serde_json::json!(["read"])));
    assert_eq!(json(&service, &["keys", "set", id, "--subject", ""]).await["subject"], Value::Null);
    let revoked = json(&service, &["keys", "revoke", id, "--reason", "leaked"]).await;
    assert_eq!((text(&revoked, "state"), text(&revoked, "revoke_reason")), ("revoked", "leaked"));
    assert_eq!(json(&service, &["keys", "show", id]).await, revoked);
    assert_eq!(done(&service, &["keys", "delete", id]).await, format!("key {id} is deleted\n"));
}

#[tokio::test]
async fn a_new_key_is_written_with_the_note_that_it_is_shown_once() {
    let service = Service::start().await;
    service.team("acme").await;
    let out = done(&service, &["keys", "create", "--team", "acme", "--scope", "read"]).await;
    assert!(out.starts_with("key      tk_live_app_"), "{out}");
    assert!(out.ends_with("The key is shown this once: keep it now.\n"), "{out}");
}

#[tokio::test]
async fn everything_can_be_listed() {
    let service = Service::for_logins().await;
    for group in ["enterprises", "teams", "users", "service-accounts", "keys", "sessions", "token-keys"] {
        done(&service, &[group, "list"]).await;
    }
    assert!(done(&service, &["token-keys", "list"]).await.contains("HS256"));
}

#[tokio::test]
async fn lists_go_on_where_a_page_ends() {
    let service = Service::start().await;
    // A few at a time: each waits for the disk, and none may wait too long for its turn.
    for some in (0..1001).collect::<Vec<_>>().chunks(8) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in some {
            let body = serde_json::json!({ "id": format!("team-{number:0>4}") });
            tasks.spawn(crate::harness::answer(service.admin(reqwest::Method::POST, "/v1/teams").json(&body)));
        }
        tasks.join_all().await;
    }
    let listed = json(&service, &["teams", "list"]).await;
    assert_eq!(listed["teams"].as_array().unwrap().len(), 1001);
    assert_eq!(done(&service, &["teams", "list"]).await.lines().count(), 1002);
}

#[tokio::test]
async fn a_refusal_says_why_and_ends_with_1() {
    let service = Service::start().await;
    for (line, expected) in [
        (["teams", "show", "nobody"].as_slice(), "there is no team of that id"),
        (&["keys", "create", "--team", "nobody", "--scope", "read"], "there is no team of that id"),
        (&["keys", "create", "--team", "a", "--scope", "a b"], "scopes: a scope is 1 to 64"),
        (&["keys", "delete", "nothing"], "there is no key of that id"),
    ] {
        let done = typed(&service.url, ADMIN_TOKEN, line).await;
        assert_eq!((done.code, done.out.as_str()), (1, ""), "{line:?}: {}", done.err);
        assert!(done.err.contains(expected), "{line:?}: {}", done.err);
    }
    let wrong = typed(&service.url, "another-token-of-length", &["keys", "list"]).await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("TOLLKEEPER_ADMIN_TOKEN") && !wrong.err.contains("another-token"), "{}", wrong.err);
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for line in [
        ["teams", "create", "acme", "--limit", "300"].as_slice(),
        &["teams", "set", "acme"],
        &["keys", "create", "--team", "acme"],
        &["keys", "set", "abc", "--expires", "tomorrow"],
        &["keys", "show", "a/b"],
        &["nothing"],
    ] {
        let done = typed("http://127.0.0.1:9", ADMIN_TOKEN, line).await;
        assert_eq!(done.code, 2, "{line:?}: {}", done.err);
    }
    for url in ["ftp://127.0.0.1:9", "127.0.0.1:9", "nonsense"] {
        let done = typed(url, ADMIN_TOKEN, &["keys", "list"]).await;
        assert_eq!(done.code, 2, "{}", done.err);
        assert!(done.err.contains("TOLLKEEPER_URL"), "{}", done.err);
    }
    let short = typed("http://127.0.0.1:9", "short", &["keys", "list"]).await;
    assert_eq!(short.code, 2);
    assert!(short.err.contains("TOLLKEEPER_ADMIN_TOKEN: a token is at least 16"), "{}", short.err);
}

#[tokio::test]
async fn a_key_typed_instead_of_its_id_is_not_shown() {
    let done = typed("http://127.0.0.1:9", ADMIN_TOKEN, &["keys", "revoke", "tk_live_app_a_secret_00000000"]).await;
    assert_eq!(done.code, 2);
    assert!(!done.err.contains("secret"), "{}", done.err);
    assert!(done.err.contains("not the key"), "{}", done.err);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named_with_its_variable() {
    // A port that was just free: nothing listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let done = typed(&url, ADMIN_TOKEN, &["keys", "list"]).await;
    assert_eq!(done.code, 3);
    assert!(done.err.contains(&url) && done.err.contains("TOLLKEEPER_URL"), "{}", done.err);
    assert!(done.err.contains("refused"), "{}", done.err);
}

#[tokio::test]
async fn the_token_may_come_from_a_file() {
    let service = Service::start().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{ADMIN_TOKEN}\n")).unwrap();
    let mut command = program();
    command.args(["teams", "list"]).env("TOLLKEEPER_URL", &service.url).env("TOLLKEEPER_ADMIN_TOKEN_FILE", &file);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}
