//! Logins that fail: slowly, alike, and not for ever; and never so that an outsider locks somebody out.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::login::{ada, as_ada, asking, key_of, login};
use crate::harness::{Answer, Folder, Service, answer, eventually, metric, serve_in, text};

/// A login from an address, as the proxy in front tells it.
async fn from(service: &Service, address: &str, body: &Value) -> Answer {
    answer(asking(service, body).header("x-forwarded-for", address)).await
}

fn wrong(username: &str) -> Value {
    json!({ "username": username, "password": "a wrong password" })
}

/// Fails from an address until it has to wait, all at the same time; says how many of the failures were answered.
async fn exhaust(service: &Service, address: &str, body: &Value) -> usize {
    let logins: Vec<_> =
        (0..25).map(|_| tokio::spawn(asking(service, body).header("x-forwarded-for", address).send())).collect();
    let mut failures = 0;
    for login in logins {
        failures += usize::from(login.await.unwrap().unwrap().status() == 401);
    }
    failures
}

async fn median(service: &Service, bodies: impl Fn(usize) -> Value) -> Duration {
    let mut times = Vec::new();
    for number in 0..9 {
        let began = Instant::now();
        let address = format!("198.51.100.{number}");
        from(service, &address, &bodies(number)).await.refused(401, "invalid_credentials");
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn unknown_and_wrong_look_alike_in_time_too() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    let (id, _) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    ada(&service, &[]).await;
    service.post("/v1/users", json!({ "id": "bob", "team": "acme", "permissions": [] })).await.created();
    let answers = [
        login(&service, wrong("ada")).await,
        login(&service, wrong("nobody")).await,
        login(&service, wrong("no user id at all: \u{0}")).await,
        login(&service, wrong("bob")).await,
        login(&service, json!({ "api_key": "unknown" })).await,
        login(&service, json!({ "client_id": id, "client_secret": "wrong" })).await,
        login(&service, json!({ "client_id": "unknown", "client_secret": "wrong" })).await,
    ];
    for refused in &answers {
        refused.refused(401, "invalid_credentials");
        assert_eq!(refused.body, answers[0].body);
    }
    let known = median(&service, |_| wrong("ada")).await;
    let unknown = median(&service, |number| wrong(&format!("nobody-{number}"))).await;
    let key = median(&service, |number| json!({ "api_key": format!("unknown-{number}") })).await;
    println!("a wrong password takes {known:?}, an unknown user {unknown:?}, an unknown key {key:?} (medians of 9)");
    // On a machine that is busy with other tests, one of them may be a whole step later.
    for other in [unknown, key] {
        assert!(known < other * 3 && other < known * 3, "{known:?}, {other:?}");
    }
    assert!(known >= Duration::from_millis(250), "an answer was not held back");
}

#[tokio::test]
async fn a_source_that_fails_too_often_waits() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    let (_, key) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    let (right, wrong) = (json!({ "api_key": key }), json!({ "api_key": "guessed" }));
    while exhaust(&service, "198.51.100.1", &wrong).await > 0 {}
    let refused = from(&service, "198.51.100.1", &wrong).await;
    refused.refused(429, "too_many_attempts");
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=16).contains(&wait), "{wait}");
    // Others behind the same address have done nothing wrong.
    from(&service, "198.51.100.1", &right).await.ok();
    from(&service, "198.51.100.2", &wrong).await.refused(401, "invalid_credentials");
    let log = service.log();
    assert!(!log.contains("guessed"));
}

#[tokio::test]
async fn logins_are_counted_by_what_became_of_them() {
    let folder = Folder::for_logins();
    let mut command = serve_in(&folder);
    command.env_remove("TOLLKEEPER_SIGNING_SECRET");
    let counted = async |service: &Service| {
        let metrics = service.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
        ["given", "repeated", "refused", "limited", "unavailable"]
            .map(|outcome| metric(&metrics, &format!("keyservice_logins_total{{outcome=\"{outcome}\"}}")))
    };
    let service = Service::start_as(command, folder).await;
    assert_eq!(counted(&service).await, [0, 0, 0, 0, 0]);
    login(&service, json!({ "api_key": "unknown" })).await.refused(503, "login_not_configured");
    assert_eq!(counted(&service).await, [0, 0, 0, 0, 1]);

    let service = Service::start_in(service.stop().await.1).await;
    service.team("acme").await;
    let (id, key) = key_of(&service, json!({ "team": "acme", "scopes": [] })).await;
    login(&service, json!({ "api_key": key })).await.ok();
    let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", &key)];
    answer(service.bare(Method::POST, "/oauth/token").form(&form)).await.ok();
    login(&service, json!({ "api_key": "unknown" })).await.refused(401, "invalid_credentials");
    assert_eq!(counted(&service).await, [1, 1, 1, 0, 0]);
    let wrong = json!({ "api_key": "guessed" });
    while exhaust(&service, "198.51.100.1", &wrong).await > 0 {}
    from(&service, "198.51.100.1", &wrong).await.refused(429, "too_many_attempts");
    let [given, repeated, refused, limited, unavailable] = counted(&service).await;
    assert_eq!((given, repeated, unavailable), (1, 1, 0));
    assert!(refused >= 20 && limited > 0, "{refused} {limited}");
}

#[tokio::test]
async fn an_outsider_cannot_lock_the_owner_out() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &[]).await;
    from(&service, "192.0.2.1", &as_ada()).await.ok();
    let mut failures = 0;
    for number in 1..=3 {
        failures += exhaust(&service, &format!("198.51.100.{number}"), &wrong("ada")).await;
    }
    assert!(failures < 25, "{failures} guesses from three sources");
    // Who has failed waits, even with the right password; the owner does not, neither at home nor somewhere new.
    from(&service, "198.51.100.1", &as_ada()).await.refused(429, "too_many_attempts");
    from(&service, "203.0.113.1", &as_ada()).await.ok();
    from(&service, "192.0.2.1", &as_ada()).await.ok();
    from(&service, "192.0.2.1", &wrong("ada")).await.refused(401, "invalid_credentials");
    from(&service, "192.0.2.1", &as_ada()).await.ok();
    // An account that does not exist is limited in the same way, so that the limit tells nothing.
    for number in 1..=3 {
        exhaust(&service, &format!("198.51.101.{number}"), &wrong("nobody")).await;
    }
    from(&service, "198.51.101.1", &wrong("nobody")).await.refused(429, "too_many_attempts");
    from(&service, "203.0.113.2", &wrong("somebody")).await.refused(401, "invalid_credentials");
}

#[tokio::test]
async fn the_owner_is_known_after_a_restart_too() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &[]).await;
    from(&service, "192.0.2.1", &as_ada()).await.ok();
    let service = Service::start_in(service.stop().await.1).await;
    exhaust(&service, "198.51.100.1", &wrong("ada")).await;
    from(&service, "198.51.100.1", &as_ada()).await.refused(429, "too_many_attempts");
    let given = from(&service, "192.0.2.1", &as_ada()).await.ok();
    assert!(!text(&given, "access_token").is_empty());
}

#[tokio::test]
async fn whoever_was_there_before_does_not_pay_for_others_at_the_same_address() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &[]).await;
    from(&service, "198.51.100.1", &as_ada()).await.ok();
    while exhaust(&service, "198.51.100.1", &wrong("nobody")).await > 0 {}
    from(&service, "198.51.100.1", &wrong("nobody")).await.refused(429, "too_many_attempts");
    from(&service, "198.51.100.1", &as_ada()).await.ok();
}

/// Sends a wrong password from an address of its own, again and again, until it is dropped.
fn flood(service: &Service, number: u32) -> tokio::task::AbortHandle {
    let address = move |round: u32| format!("10.{number}.{}.{}", round / 256 % 256, round % 256);
    let request = asking(service, &wrong(&format!("nobody-{number}")));
    tokio::spawn(async move {
        for round in 0.. {
            let request = request.try_clone().unwrap().header("x-forwarded-for", address(round));
            if request.send().await.is_err() {
                return;
            }
        }
    })
    .abort_handle()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_strangers_leaves_room_to_those_who_were_there_before_and_takes_bounded_memory() {
    let service = Service::for_logins().await;
    service.team("acme").await;
    ada(&service, &[]).await;
    from(&service, "192.0.2.1", &as_ada()).await.ok();
    let floods: Vec<_> = (0..80).map(|number| flood(&service, number)).collect();
    eventually("strangers are turned away", async || {
        let turned_away = from(&service, "203.0.113.1", &wrong("nobody")).await.status;
        (turned_away == 503).then_some(())
    })
    .await;
    for _ in 0..5 {
        from(&service, "192.0.2.1", &as_ada()).await.ok();
    }
    floods.into_iter().for_each(|flood| flood.abort());
    // 19 MiB for each password that is hashed at the same time, and everything else that the program needs.
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid().as_raw_pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        let hashed = std::thread::available_parallelism().unwrap().get().min(8) as u64;
        println!("memory of the service in a flood of wrong passwords: at most {peak} kB");
        assert!(peak < (hashed * 20 + 150) * 1024, "{peak} kB");
    }
}
