//! The same answer to whatever is asked, or none: HTML, nothing, a gigabyte, what was said before, another service's.

use std::time::Duration;

use lab::edge::Edge;
use serde_json::json;

use super::{Imposter, Manner, behind_an_imposter, with_body};
use crate::faults::{Course, sort::Sort, sorts};

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
        ("sends a gigabyte", Manner::Endless),
        ("sends a byte at a time", Manner::Slow),
        ("says nothing", Manner::Silent),
        ("hangs up", Manner::Closed),
    ]
}

fn flip_in_the_middle(length: usize) -> impl Fn((usize, &u8)) -> u8 {
    move |(at, byte)| if at == length / 2 { byte ^ 1 } else { *byte }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_answers_in_the_key_services_place_keys_work_and_nobody_else_gets_in() {
    let (mut edge, imposter) = behind_an_imposter(|setup| setup).await;
    let sorts = sorts(&edge).await;
    let everything = manners();
    for (name, manner) in &everything {
        survives(&mut edge, &imposter, &sorts, name, manner).await;
    }
    let log = edge.envoy_log();
    assert!(!log.contains("panicked") && !log.contains("trap"), "{log}");
}

/// Requests and changes before, during and after; a key is revoked meanwhile.
async fn survives(edge: &mut Edge, imposter: &Imposter, sorts: &[Sort], name: &str, manner: &Manner) {
    let doomed = edge.new_key("acme", json!({"scopes": ["read"]})).await;
    let name = format!("key_service_{}", name.replace(' ', "_"));
    let mut course = Course::start(edge, &name, sorts.to_vec());
    course.begins_to_break().await;
    imposter.answers_in(manner, 2).await;
    edge.key_service().revoke_key(&doomed.id).await.unwrap();
    course.is_broken_for(Duration::ZERO).await;
    let seen = crate::scene::get(edge, "/api/acme/x", &doomed.key).await;
    assert_eq!(seen.status(), 200, "{name}: nothing of it can have arrived");
    course.is_mended(edge, async |_| drop(imposter.manner.send_replace(Manner::Genuine))).await;
    crate::scene::get(edge, "/api/acme/x", &doomed.key).await.is_refused(401, "key_revoked");
    course.ends(edge).await;
}
