//! What the holder of each token may do, and how one token takes the place of another.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use keyservice::api::DOCUMENT;
use reqwest::{Method, RequestBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::watch;
use tollkeeper_contract::page::{self, NodeToken};

use crate::harness::{
    ADMIN_TOKEN, Answer, Folder, Service, answer, eventually, node_token, program, refusal, serve_in, text,
};

const VIEWER: &str = "viewer-token-of-the-tests";
const OPERATOR: &str = "operator-token-of-the-tests";

async fn with_roles() -> Service {
    let folder = Folder::for_logins();
    let mut command = serve_in(&folder);
    command.env("TOLLKEEPER_VIEWER_TOKEN", VIEWER).env("TOLLKEEPER_OPERATOR_TOKEN", format!("console:{OPERATOR}"));
    Service::start_as(command, folder).await
}

fn with(service: &Service, token: &str, method: Method, path: &str) -> RequestBuilder {
    service.bare(method, path).bearer_auth(token)
}

/// Every operation that is described with a role: its method, a path, and the role.
fn operations() -> Vec<(Method, String, String)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
    });
    let of_admins = all.filter(|(path, _, _)| path.starts_with("/v1/"));
    of_admins
        .map(|(path, method, operation)| {
            let role = operation["security"][0]["adminToken"][0].as_str().unwrap().to_owned();
            let path = path.replace("{id}", "nobody").replace("{node}", "nobody");
            (method.to_uppercase().parse().unwrap(), path, role)
        })
        .collect()
}

#[tokio::test]
async fn each_endpoint_takes_the_role_that_the_description_names_and_no_lesser_one() {
    let service = with_roles().await;
    let rank = |role: &str| ["viewer", "operator", "admin"].iter().position(|known| *known == role).unwrap();
    let (mut refused, mut taken) = (0, 0);
    for (method, path, needed) in operations() {
        for (role, token) in [("viewer", VIEWER), ("operator", OPERATOR)] {
            let told = answer(with(&service, token, method.clone(), &path)).await;
            if rank(role) < rank(&needed) {
                told.refused(403, "role_insufficient");
                assert!(text(&told.body, "detail").contains(&format!("role {needed};")), "{}", told.body);
                refused += 1;
            } else {
                assert!(![401, 403].contains(&told.status.as_u16()), "{role} {method} {path}: {}", told.body);
                taken += 1;
            }
        }
    }
    println!("roles: {refused} requests were refused for their role, {taken} were not");
    assert!(refused > 20 && taken > 20);
}

#[tokio::test]
async fn no_endpoint_opens_without_a_token_or_with_a_wrong_one() {
    let service = with_roles().await;
    for (number, (method, path, _)) in operations().into_iter().enumerate() {
        answer(service.bare(method.clone(), &path)).await.refused(401, "missing_token");
        let wrong = with(&service, "a-wrong-token-of-somebody", method, &path);
        let address = format!("198.51.100.{number}");
        answer(wrong.header("x-forwarded-for", address)).await.refused(401, "wrong_token");
    }
}

#[tokio::test]
async fn the_audit_log_names_the_token_and_never_shows_it() {
    let service = with_roles().await;
    let made = |id: &str| json!({ "id": id });
    answer(with(&service, OPERATOR, Method::POST, "/v1/teams").json(&made("acme"))).await.created();
    let named = with(&service, OPERATOR, Method::POST, "/v1/teams").header("x-tollkeeper-actor", "Jo");
    answer(named.json(&made("globex"))).await.created();
    service.team("initech").await;
    let list = answer(with(&service, VIEWER, Method::GET, "/v1/audit?action=team.create")).await.ok();
    let who = |entry: &Value| (text(entry, "actor").to_owned(), text(entry, "token").to_owned());
    let entries: Vec<_> = list["entries"].as_array().unwrap().iter().map(who).collect();
    let expected = [("operator", "operator/console"), ("Jo", "operator/console"), ("admin", "admin")]
        .map(|(a, t)| (a.into(), t.into()));
    assert_eq!(entries, expected);
    for own in ["operator", "Viewer", "admin"] {
        let claimed = with(&service, OPERATOR, Method::POST, "/v1/teams").header("x-tollkeeper-actor", own);
        answer(claimed.json(&made("umbrella"))).await.refused(400, "invalid_field");
    }
    let said = format!("{list}{}", service.log());
    assert!(!said.contains(OPERATOR) && !said.contains(VIEWER));
}

#[tokio::test]
async fn commands_say_that_a_role_does_not_suffice() {
    let service = with_roles().await;
    let mut command = program();
    command.args(["teams", "create", "acme", "--url", &service.url]).env("TOLLKEEPER_ADMIN_TOKEN", VIEWER);
    let (code, said) = refusal(command);
    assert_eq!(code, 1);
    assert!(said.contains("this takes a token of role operator; the one that was sent is of role viewer"), "{said}");
}

/// Asks about a token with another one, from an address.
async fn introspected(service: &Service, shown: &str, address: &str) -> reqwest::Response {
    let request = with(service, shown, Method::POST, "/oauth/introspect").header("x-forwarded-for", address);
    request.form(&[("token", "whatever")]).send().await.unwrap()
}

#[tokio::test]
async fn an_address_that_showed_too_many_wrong_tokens_waits_whatever_it_shows_and_no_other_does() {
    let service = with_roles().await;
    let shows = async |token: &str, address: &str| -> Answer {
        answer(with(&service, token, Method::GET, "/v1/teams").header("x-forwarded-for", address)).await
    };
    let (attacker, operator) = ("198.51.100.1", "198.51.100.2");
    for number in 0..10 {
        let guess = format!("a-wrong-token-{number:04}");
        shows(&guess, attacker).await.refused(401, "wrong_token");
        assert_eq!(introspected(&service, &guess, attacker).await.status(), 401);
    }
    // What the right one is answered must not differ: else a thousand guesses more would still find it.
    for token in ["a-wrong-token-0010", VIEWER, OPERATOR, ADMIN_TOKEN] {
        let refused = shows(token, attacker).await;
        refused.refused(429, "too_many_attempts");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=17).contains(&wait), "{wait}");
        let refused = introspected(&service, token, attacker).await;
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key("retry-after"));
        assert_eq!(refused.json::<Value>().await.unwrap()["reason"], "too_many_attempts");
    }
    assert_eq!(shows(VIEWER, operator).await.status, 200);
    assert_eq!(introspected(&service, VIEWER, operator).await.status(), 200);
    shows("a-wrong-token-0011", operator).await.refused(401, "wrong_token");
    // Nobody said where this one comes from: from the machine itself.
    assert_eq!(answer(with(&service, VIEWER, Method::GET, "/v1/teams")).await.status, 200);
    assert!(!service.log().contains("a-wrong-token"));
}

#[tokio::test]
async fn of_many_guesses_at_once_no_more_are_looked_at_than_one_after_the_other() {
    let service = with_roles().await;
    let guesses = (0..200).map(|number| {
        let guess = with(&service, &format!("a-wrong-token-{number:04}"), Method::GET, "/v1/teams");
        tokio::spawn(answer(guess.header("x-forwarded-for", "198.51.100.1")))
    });
    let (mut looked_at, mut waited) = (0, 0);
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.unwrap().status.as_u16() {
            401 => looked_at += 1,
            429 => waited += 1,
            other => panic!("{other}"),
        }
    }
    // 20, and one every 15 seconds, should all of this take that long.
    assert!(looked_at >= 20 && waited > 0, "{looked_at} {waited}");
    assert!(looked_at < 40, "{looked_at}");
}

/// Replaces the file that holds tokens, and waits until the service has read it.
async fn told(service: &Service, file: &str, tokens: &str) {
    let count = || service.log().matches("certificates and tokens were read again").count();
    let before = count();
    fs::write(service.folder.path().join(file), tokens).unwrap();
    service.signal(Signal::HUP);
    eventually("the tokens are read again", async || (count() > before).then_some(())).await;
}

/// A program that asks again and again with the token that it was given last, and is never to be refused.
async fn asks_always(url: String, token: watch::Receiver<Option<&'static str>>, asked: Arc<AtomicU64>) -> u64 {
    let (client, mut refused) = (lab::http::client().unwrap().build().unwrap(), 0);
    loop {
        let Some(token) = *token.borrow() else { return refused };
        let answer = client.get(&url).bearer_auth(token).send().await;
        refused += u64::from(answer.is_ok_and(|answer| answer.status() == 200)) ^ 1;
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

const OLD: &str = "the-old-token-of-admins";
const NEW: &str = "the-new-token-of-admins";

/// A service whose admin token, `OLD`, is in the file `admin`.
async fn with_token_in_a_file() -> Service {
    let folder = Folder::new();
    fs::write(folder.path().join("admin"), OLD).unwrap();
    let mut command = serve_in(&folder);
    command.env_remove("TOLLKEEPER_ADMIN_TOKEN").env("TOLLKEEPER_ADMIN_TOKEN_FILE", "admin");
    Service::start_as(command, folder).await
}

#[tokio::test]
async fn while_an_admin_token_is_replaced_under_load_no_request_is_refused() {
    let service = with_token_in_a_file().await;
    let (given, token) = watch::channel(Some(OLD));
    let asked = Arc::<AtomicU64>::default();
    let running: Vec<_> = (0..4)
        .map(|_| tokio::spawn(asks_always(format!("{}/v1/teams", service.url), token.clone(), Arc::clone(&asked))))
        .collect();
    let goes_on = async || {
        let goal = asked.load(Ordering::Relaxed) + 100;
        eventually("requests flow", async || (asked.load(Ordering::Relaxed) >= goal).then_some(())).await;
    };
    goes_on().await;
    told(&service, "admin", &format!("{NEW}\n{OLD}\n")).await;
    goes_on().await;
    given.send_replace(Some(NEW));
    goes_on().await;
    told(&service, "admin", NEW).await;
    goes_on().await;
    given.send_replace(None);
    let mut refused = 0;
    for program in running {
        refused += program.await.unwrap();
    }
    println!("hold: rotation/admin_token {} valid_refused={refused}", asked.load(Ordering::Relaxed));
    assert_eq!(refused, 0);
    let with_old = answer(with(&service, OLD, Method::GET, "/v1/teams")).await;
    assert_eq!(with_old.status, 401);
}

#[tokio::test]
async fn an_admin_token_is_replaced_without_a_moment_in_which_none_is_taken() {
    let service = with_token_in_a_file().await;
    let taken = async |token: &str| answer(with(&service, token, Method::GET, "/v1/teams")).await.status.as_u16();
    assert_eq!((taken(OLD).await, taken(NEW).await), (200, 401));
    told(&service, "admin", &format!("2031:{NEW}\n2030:{OLD}\n")).await;
    assert_eq!((taken(OLD).await, taken(NEW).await), (200, 200));
    told(&service, "admin", NEW).await;
    assert_eq!((taken(OLD).await, taken(NEW).await), (401, 200));

    // What nobody could use changes nothing.
    fs::write(service.folder.path().join("admin"), "short").unwrap();
    service.signal(Signal::HUP);
    eventually("the log says so", async || service.log().contains("tokens stay as they were").then_some(())).await;
    assert_eq!(taken(NEW).await, 200);
}

#[tokio::test]
async fn an_answer_is_sealed_under_the_node_token_that_the_node_has() {
    let new = NodeToken::parse("the-new-node-token-of-the-tests-0123456789-012345").unwrap();
    let folder = Folder::new();
    let mut command = serve_in(&folder);
    let both = format!("{} the-new-node-token-of-the-tests-0123456789-012345", crate::harness::NODE_TOKEN);
    command.env("TOLLKEEPER_NODE_TOKEN", both);
    let service = Service::start_as(command, folder).await;
    service.team("acme").await;
    let (old, other) = (node_token(), NodeToken::parse("a-token-that-was-never-given-out").unwrap());
    for (token, foreign) in [(&old, &new), (&new, &old)] {
        let request = with(&service, token.shown(), Method::GET, "/node/v1/snapshot?nonce=7");
        let sealed = request.send().await.unwrap().bytes().await.unwrap();
        assert_eq!(page::open(&sealed, token).unwrap().nonce, 7);
        assert!(page::open(&sealed, foreign).is_err());
    }
    let refused = answer(with(&service, other.shown(), Method::GET, "/node/v1/snapshot?nonce=7")).await;
    refused.refused(401, "wrong_token");
}
