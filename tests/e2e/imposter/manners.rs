//! The same answer to whatever is asked, or none: HTML, nothing, a gigabyte, what was said before, another service's.

use std::{fs, time::Duration};

use lab::{edge::Edge, key_service::NewKey};
use serde_json::json;

use super::{Imposter, Manner, behind_an_imposter, with_body};
use crate::faults::{
    Course, gives_up_soon, lasting,
    sort::{PATH, Sort},
    sorts, sync_fails, sync_failures,
};

fn fixed(status: &str, body: &[u8]) -> Manner {
    let head = format!("HTTP/1.1 {status}\r\nx-tollkeeper-service: keyservice\r\nconnection: close\r\n\r\n");
    Manner::Fixed(with_body(head.as_bytes(), body))
}

/// Each with its name.
fn manners() -> Vec<(&'static str, Manner)> {
    let nested = "[".repeat(200_000);
    let stranger = with_body(b"HTTP/1.1 200 OK\r\nx-tollkeeper-service: other\r\nconnection: close\r\n\r\n", b"{}");
    vec![
        ("says 500", fixed("500 Internal Server Error", b"{}")),
        ("says 500 without its name", Manner::Fixed(with_body(b"HTTP/1.1 500 No\r\nconnection: close\r\n\r\n", b""))),
        ("sends a page of HTML", fixed("200 OK", b"<html><body>Welcome to nginx!</body></html>")),
        ("sends nothing", fixed("200 OK", b"")),
        ("sends an empty list", fixed("200 OK", b"[]")),
        ("sends deeply nested lists", fixed("200 OK", nested.as_bytes())),
        ("sends a name twice", fixed("200 OK", br#"{"revision":1,"revision":2,"entries":{},"entries":[]}"#)),
        ("sends other types", fixed("200 OK", br#"{"revision":"one","entries":{}}"#)),
        ("sends half of its answer", Manner::Changed(|body| body[..body.len() / 2].to_vec())),
        ("leaves out the last byte", Manner::Changed(|body| body[..body.len().saturating_sub(1)].to_vec())),
        ("sends a byte more", Manner::Changed(|body| [body, b"\0"].concat())),
        (
            "changes one bit",
            Manner::Changed(|body| body.iter().enumerate().map(flip_in_the_middle(body.len())).collect()),
        ),
        ("repeats an old answer", Manner::Replayed),
        ("is another service", Manner::Fixed(stranger)),
        ("hangs up", Manner::Closed),
    ]
}

/// Each with its name: what Envoy itself makes an end of, by the bounds that a call has in length and in time.
const WITHOUT_END: [(&str, Manner); 3] =
    [("sends a gigabyte", Manner::Endless), ("sends a byte at a time", Manner::Slow), ("says nothing", Manner::Silent)];

fn flip_in_the_middle(length: usize) -> impl Fn((usize, &u8)) -> u8 {
    move |(at, byte)| if at == length / 2 { byte ^ 1 } else { *byte }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_answers_in_the_key_services_place_keys_work_and_nobody_else_gets_in() {
    let (mut edge, imposter) = behind_an_imposter(|setup| setup).await;
    let sorts = sorts(&edge).await;
    for (name, manner) in manners() {
        let trial = Trial::begins(&edge, name, &sorts).await;
        imposter.answers_in(&manner, 2).await;
        trial.goes_on(&edge).await;
        trial.course.is_broken().await;
        trial.ends(&mut edge, &imposter).await;
    }
    nothing_trapped(&edge);
}

/// What Envoy keeps of an answer to a call, at most (`http.async_response_buffer_limit`): it hangs up on more.
const KEPT: u64 = 32 << 20;

/// So many calls are under way at the same time: about the table, and with a report of usage.
const CALLS: u64 = 2;

/// What the system takes of an answer that nobody has read yet: as it is set, or the most that Linux sets by itself.
fn in_sockets() -> u64 {
    let most = |file: &str| -> Option<u64> {
        let sizes = fs::read_to_string(format!("/proc/sys/net/ipv4/{file}")).ok()?;
        sizes.split_whitespace().last()?.parse().ok()
    };
    ["tcp_rmem", "tcp_wmem"].into_iter().map(|file| most(file).unwrap_or(32 << 20)).sum()
}

/// The most memory that Envoy uses until then, in KiB.
async fn most_kib(edge: &Edge, until: impl Future<Output = ()>) -> u64 {
    let (mut until, mut most) = (std::pin::pin!(until), 0);
    let mut pace = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            () = &mut until => return most,
            _ = pace.tick() => most = most.max(edge.envoy_resident_kib()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_given_up_within_the_bounds_of_a_call_and_holds_up_nobody() {
    let (mut edge, imposter) = behind_an_imposter(gives_up_soon).await;
    let sorts = sorts(&edge).await;
    for (name, manner) in &WITHOUT_END {
        let mut trial = Trial::begins(&edge, name, &sorts).await;
        let kib_before = edge.envoy_resident_kib();
        let before = imposter.answers_in(manner, 1).await;
        // Whatever had failed before this was asked has been counted.
        let failures = sync_failures(&edge).await;
        trial.goes_on(&edge).await;
        let kib = most_kib(&edge, async {
            trial.course.is_broken_for(lasting()).await;
            imposter.sees("Envoy hangs up", |calls| calls.given_up > before.given_up).await;
            sync_fails(&edge, failures).await;
        });
        let kib = kib.await;
        let most = imposter.calls.borrow().most;
        trial.course.tells("most_bytes_of_an_answer", most);
        trial.course.tells("envoy_before_kib", kib_before);
        trial.course.tells("envoy_most_kib", kib);
        trial.ends(&mut edge, &imposter).await;
        assert!(most <= KEPT + in_sockets(), "{name}: {most} bytes");
        // Half as much again for whatever else is in use.
        assert!(kib <= kib_before + CALLS * KEPT / 1024 * 3 / 2, "{name}: {kib_before} KiB, then {kib}");
    }
    nothing_trapped(&edge);
}

fn nothing_trapped(edge: &Edge) {
    let log = edge.envoy_log();
    assert!(!log.contains("panicked") && !log.contains("trap"), "{log}");
}

/// Requests and changes before, during and after; a key is revoked meanwhile.
struct Trial {
    course: Course,
    doomed: NewKey,
}

impl Trial {
    async fn begins(edge: &Edge, name: &str, sorts: &[Sort]) -> Self {
        let doomed = edge.new_key("acme", json!({"scopes": ["read"]})).await;
        let course = Course::start(edge, &format!("key_service_{}", name.replace(' ', "_")), sorts.to_vec());
        course.begins_to_break().await;
        Self { course, doomed }
    }

    async fn goes_on(&self, edge: &Edge) {
        edge.key_service().revoke_key(&self.doomed.id).await.unwrap();
    }

    async fn ends(mut self, edge: &mut Edge, imposter: &Imposter) {
        let seen = crate::scene::get(edge, PATH, &self.doomed.key).await;
        assert_eq!(seen.status(), 200, "nothing of it can have arrived: {seen:?}");
        self.course.is_mended(edge, async |_| drop(imposter.manner.send_replace(Manner::Genuine))).await;
        crate::scene::get(edge, PATH, &self.doomed.key).await.is_refused(401, "key_revoked");
        self.course.tells("envoy_after_kib", edge.envoy_resident_kib());
        self.course.ends(edge).await;
    }
}
