//! The commands beyond teams and keys, and what all of them have in common.

use std::io::Write;

use serde_json::Value;

use super::{
    commands::{done, json, typed},
    fleet::with_lost_node,
};
use crate::harness::{ADMIN_TOKEN, Service, program, text};

#[tokio::test]
async fn enterprises_users_and_service_accounts_are_made_changed_and_deleted() {
    let service = Service::start().await;
    let enterprise = json(&service, &["enterprises", "create", "initech", "--limit", "9", "--window", "60"]).await;
    assert_eq!(enterprise["quota"]["limit"], 9);
    let team = ["teams", "create", "acme", "--enterprise", "initech", "--host", "api.acme.example"];
    assert!(done(&service, &team).await.contains("hosts       api.acme.example"));
    assert!(done(&service, &["teams", "list", "--enterprise", "initech"]).await.contains("acme"));
    assert_eq!(json(&service, &["teams", "set", "acme", "--no-hosts"]).await["hosts"], serde_json::json!([]));
    let user = json(&service, &["users", "create", "ada", "--team", "acme", "--permission", "read"]).await;
    assert_eq!(user["permissions"], serde_json::json!(["read"]));
    let account = ["service-accounts", "create", "billing", "--enterprise", "initech"];
    assert!(done(&service, &account).await.contains("enterprise  initech"));
    assert!(done(&service, &["enterprises", "set", "initech", "--default-quota"]).await.contains("quota    default"));
    let key = json(&service, &["keys", "create", "--service-account", "billing", "--scope", "read"]).await;
    assert_eq!(text(&key, "kind"), "enterprise_service_account");
    let personal = json(&service, &["keys", "create", "--user", "ada"]).await;
    assert_eq!(personal["scopes"], serde_json::json!(["*"]));
    assert!(done(&service, &["keys", "list", "--user", "ada"]).await.contains(text(&personal, "id")));
    assert_eq!(done(&service, &["users", "delete", "ada"]).await, "user ada is deleted\n");
    done(&service, &["keys", "delete", text(&key, "id")]).await;
    assert_eq!(
        done(&service, &["service-accounts", "delete", "billing"]).await,
        "service account billing is deleted\n"
    );
}

#[tokio::test]
async fn a_key_is_renamed_and_rotated() {
    let service = Service::start().await;
    service.team("acme").await;
    let id = text(&service.key("acme").await, "id").to_owned();
    assert!(done(&service, &["keys", "rename", &id, "build server"]).await.contains("build server"));
    let new = json(&service, &["keys", "rotate", &id, "--overlap", "24h"]).await;
    assert!(text(&new, "key").starts_with("tk_live_app_"));
    let old = json(&service, &["keys", "show", &id]).await;
    assert_eq!(old["superseded_by"], new["id"]);
    assert!(old["expires"].is_string());
}

#[tokio::test]
async fn a_password_comes_from_a_file_or_from_standard_input() {
    let service = Service::start().await;
    service.team("acme").await;
    done(&service, &["users", "create", "ada", "--team", "acme"]).await;
    let file = service.folder.path().join("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let told = done(&service, &["users", "password", "ada", "--file", file.to_str().unwrap()]).await;
    assert_eq!(told, "user ada has a new password\n");
    assert_eq!(json(&service, &["users", "show", "ada"]).await["has_password"], true);
    let told = done(&service, &["users", "password", "ada", "--none"]).await;
    assert_eq!(told, "user ada has no password any more\n");
    let mut command = program();
    command.args(["users", "password", "ada", "--stdin"]).env("TOLLKEEPER_URL", &service.url);
    command.env("TOLLKEEPER_ADMIN_TOKEN", ADMIN_TOKEN).stdin(std::process::Stdio::piped());
    let typing = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"battery staple").unwrap();
        child.wait().unwrap()
    });
    assert!(typing.await.unwrap().success());
    assert_eq!(json(&service, &["users", "show", "ada"]).await["has_password"], true);
}

#[tokio::test]
async fn the_audit_log_is_shown_and_filtered() {
    let service = Service::start().await;
    service.team("acme").await;
    service.key("acme").await;
    let listed = done(&service, &["audit", "--team", "acme"]).await;
    assert!(listed.starts_with("SEQ  AT"), "{listed}");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let entries = json(&service, &["audit", "--action", "team.create"]).await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1, "{entries}");
    done(&service, &["enterprises", "create", "umbrella"]).await;
    let newest = json(&service, &["audit", "--order", "newest", "--limit", "2"]).await;
    let numbers: Vec<_> = newest["entries"].as_array().unwrap().iter().map(|entry| &entry["seq"]).collect();
    assert_eq!(numbers, [3, 2]);
    let of_enterprise = done(&service, &["audit", "--enterprise", "umbrella"]).await;
    assert!(of_enterprise.contains("enterprise.create") && of_enterprise.lines().count() == 2, "{of_enterprise}");
}

#[tokio::test]
async fn whoever_types_is_named_in_the_audit_log() {
    let service = Service::start().await;
    done(&service, &["teams", "create", "a", "--actor", "Jörg (console)"]).await;
    let mut command = program();
    command.args(["teams", "create", "b"]).env("TOLLKEEPER_ACTOR", "ada").env("TOLLKEEPER_URL", &service.url);
    command.env("TOLLKEEPER_ADMIN_TOKEN", ADMIN_TOKEN);
    assert!(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().status.success());
    for (actor, team) in [("Jörg (console)", "team:a"), ("ada", "team:b")] {
        let found = json(&service, &["audit", "--actor", actor]).await;
        assert_eq!((text(&found["entries"][0], "resource"), &found["entries"][1]), (team, &Value::Null));
    }
    for bad in ["admin", "session:1", ""] {
        let refused = typed(&service.url, ADMIN_TOKEN, &["teams", "create", "c", "--actor", bad]).await;
        assert_eq!(refused.code, 2, "{bad:?}: {}", refused.err);
    }
}

#[tokio::test]
async fn errors_are_problems_where_answers_are_json() {
    let service = Service::start().await;
    let refused = typed(&service.url, ADMIN_TOKEN, &["teams", "show", "nobody", "--json"]).await;
    let problem: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!((refused.code, text(&problem, "reason"), &problem["status"]), (1, "unknown_team", &404.into()));
    let away = typed("http://127.0.0.1:9", ADMIN_TOKEN, &["teams", "list", "--json"]).await;
    let problem: Value = serde_json::from_str(&away.err).unwrap();
    assert_eq!((away.code, text(&problem, "reason")), (3, "unreachable"));
}

#[tokio::test]
async fn a_name_and_password_in_the_address_are_not_shown_again() {
    for url in ["http://ada:hunter2@127.0.0.1:9", "http://ada:hun/ter2@127.0.0.1:9/", "ada:hunter2@127.0.0.1"] {
        let refused = typed(url, ADMIN_TOKEN, &["teams", "list"]).await;
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(!refused.err.contains("hun") && refused.err.contains("127.0.0.1"), "{}", refused.err);
    }
}

#[tokio::test]
async fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = typed("http://127.0.0.1:9", ADMIN_TOKEN, &["completions", shell]).await;
        assert_eq!(script.code, 0, "{}", script.err);
        assert!(script.out.contains("service-accounts"), "{shell}");
    }
}

#[tokio::test]
async fn a_command_that_waits_says_how_long_or_names_the_nodes_that_are_behind() {
    let service = Service::start().await;
    service.team("acme").await;
    let told = done(&service, &["teams", "set", "acme", "--limit", "9", "--window", "60", "--wait"]).await;
    assert!(told.contains("0 live nodes serve revision 2 after "), "{told}");
    service.node(reqwest::Method::GET, "/node/v1/changes?after=2&nonce=1").send().await.unwrap();
    let behind =
        typed(&service.url, ADMIN_TOKEN, &["teams", "set", "acme", "--state", "disabled", "--wait", "1"]).await;
    assert_eq!(behind.code, 1, "{}", behind.err);
    assert!(behind.err.contains("edge-1 (2)"), "{}", behind.err);
    assert!(behind.out.contains("disabled"), "{}", behind.out);
    let fleet = done(&service, &["fleet"]).await;
    assert!(fleet.contains("edge-1") && fleet.ends_with("the last change is revision 3\n"), "{fleet}");
}

#[tokio::test]
async fn a_command_that_waits_warns_of_nodes_that_may_serve_what_was_before() {
    let service = with_lost_node("edge-1#0a").await;
    let wait = async |id: &str| typed(&service.url, ADMIN_TOKEN, &["teams", "create", id, "--wait", "1"]).await;
    let alone = wait("a").await;
    assert_eq!(alone.code, 1, "{}", alone.out);
    assert!(alone.err.contains("no longer call, and may serve what was before: edge-1#0a"), "{}", alone.err);
    assert!(!alone.out.contains("serve revision"), "{}", alone.out);
    service.node(reqwest::Method::GET, "/node/v1/changes?after=9&nonce=1").send().await.unwrap();
    let beside = wait("b").await;
    assert_eq!(beside.code, 1, "{}", beside.out);
    assert!(beside.out.contains("1 live node serves revision 2"), "{}", beside.out);
    assert!(beside.err.contains("edge-1#0a") && beside.err.contains("keyservice fleet forget"), "{}", beside.err);
    let told = typed(&service.url, ADMIN_TOKEN, &["teams", "create", "c", "--wait", "1", "--json"]).await;
    let problem: Value = serde_json::from_str(&told.err).unwrap();
    assert_eq!((told.code, text(&problem, "reason")), (1, "nodes_lost"));

    assert_eq!(done(&service, &["fleet", "forget", "edge-1#0a"]).await, "node edge-1#0a is forgotten\n");
    done(&service, &["teams", "create", "d", "--wait", "1"]).await;
    let live = typed(&service.url, ADMIN_TOKEN, &["fleet", "forget", "edge-1"]).await;
    assert_eq!(live.code, 1);
    assert!(live.err.contains("still calls"), "{}", live.err);
}
