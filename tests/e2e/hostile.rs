//! Requests that no honest client sends: each is refused or harmless, and none of them harms anybody else.

use lab::edge::Edge;
use lab::raw::RawAnswer;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{connections::Connections, scene};

/// No UTF-8 in any reading: a continuation byte without a start, bytes that never occur, a start without its end.
const NO_TEXT: &[u8] = b"a\x80\xff\xfe\xc3";

#[tokio::test]
async fn two_different_credentials_are_refused_and_the_same_one_twice_is_not() {
    let edge = scene::edge().await;
    let (one, other) = (edge.key("acme", &["read"]).await, edge.key("acme", &["read"]).await);
    let authorization = format!("Bearer {one}");
    for (api_key, same) in [(&one, true), (&other, false)] {
        let request = edge.get("/api/acme/x").header("authorization", &authorization).header("x-api-key", api_key);
        let outcome = scene::send(&edge, request).await;
        match same {
            true => outcome.is_granted(),
            false => outcome.is_refused(400, "ambiguous_credential"),
        }
    }
}

#[tokio::test]
async fn a_good_key_beside_a_bad_credential_does_not_help() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    for (authorization, status, reason) in [
        ("Basic abc", 401, "unsupported_scheme"),
        ("Bearer", 401, "malformed_credential"),
        ("", 401, "malformed_credential"),
        ("Token unknown", 400, "ambiguous_credential"),
    ] {
        let headers = [("authorization", authorization.as_bytes()), ("x-api-key", key.as_bytes())];
        scene::send_raw(&edge, "GET", "/api/acme/x", &headers).await.is_refused(status, reason);
    }
}

#[tokio::test]
async fn a_header_that_stands_twice_is_refused_whatever_its_values() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let bearer = format!("Bearer {key}");
    for (name, good) in [("authorization", key.as_str()), ("authorization", &bearer), ("x-api-key", &key)] {
        // Envoy itself drops an empty `authorization` beside another; of `x-api-key` it keeps both.
        let others: &[&str] = if name == "x-api-key" { &[good, "other", ""] } else { &[good, "other"] };
        for &second in others {
            for values in [[good, second], [second, good]] {
                let headers = values.map(|value| (name, value.as_bytes()));
                let outcome = scene::send_raw(&edge, "GET", "/api/acme/x", &headers).await;
                outcome.is_refused(400, "duplicate_header");
                let request = edge.request_http2(Method::GET, "/api/acme/x");
                let outcome = scene::send(&edge, request.header(name, values[0]).header(name, values[1])).await;
                outcome.is_refused(400, "duplicate_header");
            }
        }
    }
}

#[tokio::test]
async fn empty_credentials_are_malformed_and_none_is_missing() {
    let edge = scene::edge().await;
    scene::send_raw(&edge, "GET", "/api/acme/x", &[]).await.is_refused(401, "missing_credential");
    for (name, value) in [
        ("authorization", ""),
        ("authorization", "Bearer "),
        ("authorization", "token"),
        ("authorization", "Token a b"),
        ("x-api-key", ""),
    ] {
        let outcome = scene::send_raw(&edge, "GET", "/api/acme/x", &[(name, value.as_bytes())]).await;
        outcome.is_refused(401, "malformed_credential");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_harm_nobody_in_any_header() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let path = "/api/acme/x";
    for name in ["authorization", "x-api-key"] {
        scene::send_raw(&edge, "GET", path, &[(name, NO_TEXT)]).await.is_refused(401, "malformed_credential");
        let prefixed = [b"Bearer ", NO_TEXT].concat();
        let outcome = scene::send_raw(&edge, "GET", path, &[(name, &prefixed)]).await;
        outcome.is_refused(401, "malformed_credential");
    }
    for name in ["content-type", "x-auth-team", "x_auth_team", "user-agent", "cookie", "x-custom", "referer", "accept"]
    {
        let headers = [("x-api-key", key.as_bytes()), (name, NO_TEXT)];
        scene::send_raw(&edge, "GET", path, &headers).await.is_granted();
        let request = edge.request_http2(Method::GET, path).header("x-api-key", &key).header(name, NO_TEXT);
        scene::send(&edge, request).await.is_granted();
    }
    nobody_was_harmed(&edge, &key).await;
}

/// Envoy refuses most of these itself, before the filter; whether it does is its own affair.
#[tokio::test]
async fn bytes_that_are_no_text_harm_nobody_in_the_request_line_and_in_names() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let before = edge.upstream().hits();
    for request in [
        [b"GET /api/acme/", NO_TEXT, b" HTTP/1.1\r\nhost: a\r\n"].concat(),
        [b"GET /api/", NO_TEXT, b"/x HTTP/1.1\r\nhost: a\r\n"].concat(),
        [b"GET /healthz", NO_TEXT, b" HTTP/1.1\r\nhost: a\r\n"].concat(),
        [b"GET", NO_TEXT, b" /api/acme/x HTTP/1.1\r\nhost: a\r\n"].concat(),
        [b"GET /api/acme/x HTTP/1.1\r\nhost: ", NO_TEXT, b"\r\n"].concat(),
        [b"GET /api/acme/x HTTP/1.1\r\nhost: a\r\nx-", NO_TEXT, b": a\r\n"].concat(),
        [b"GET /api/acme/x HTTP/1.1\r\nhost: a\r\nx-auth-", NO_TEXT, b": a\r\n"].concat(),
        b"GET /api/acme/x HTTP/1.1\r\nhost: a\r\nx-custom: a\0b\r\n".to_vec(),
    ] {
        let request = [&request, b"connection: close\r\nx-api-key: ".as_slice(), key.as_bytes(), b"\r\n\r\n"].concat();
        let answer = scene::exchange(&edge, &request).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
    }
    assert_eq!(edge.upstream().hits(), before);
    nobody_was_harmed(&edge, &key).await;
}

#[tokio::test]
async fn a_query_may_hold_any_bytes_that_envoy_takes() {
    let edge = scene::edge().await;
    let key = edge.key("acme", &["read"]).await;
    let request =
        [b"GET /api/acme/x?q=", NO_TEXT, b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: "].concat();
    let answer = scene::exchange(&edge, &[&request, key.as_bytes(), b"\r\n\r\n"].concat()).await;
    assert!([200, 400].contains(&answer.status), "{answer:?}");
    nobody_was_harmed(&edge, &key).await;
}

#[tokio::test]
async fn an_upstream_that_answers_with_bytes_that_are_no_text_harms_nobody() {
    let upstream = TcpListener::bind(lab::port::local(0)).await.unwrap();
    let address = upstream.local_addr().unwrap();
    let answering = tokio::spawn(answer_with_no_text(upstream));
    let edge =
        Edge::synced_start(|setup| setup.bootstrap(move |bootstrap| bootstrap.cluster("upstream", address))).await;
    let key = edge.key("acme", &["read"]).await;
    let answer = edge.raw("GET", "/api/acme/x", &[("x-api-key", key.as_bytes())]).await;
    assert_eq!((answer.status, values(&answer, "x-auth-team")), (200, vec![b"acme".to_vec()]), "{answer:?}");
    assert_eq!(values(&answer, "x-custom"), [NO_TEXT], "{answer:?}");
    nobody_was_harmed(&edge, &key).await;
    answering.abort();
}

#[tokio::test]
async fn headers_of_64_kib_are_judged_like_any_other() {
    let edge = scene::edge_edited(|bootstrap| {
        scene::connection_manager(bootstrap)["max_request_headers_kb"] = json!(512);
    })
    .await;
    let key = edge.key("acme", &["read"]).await;
    let long = "x".repeat(64 * 1024);
    for name in ["authorization", "x-api-key"] {
        let outcome = scene::send_raw(&edge, "GET", "/api/acme/x", &[(name, long.as_bytes())]).await;
        outcome.is_refused(401, "malformed_credential");
    }
    for name in ["cookie", "x-auth-team", "content-type"] {
        let headers = [("x-api-key", key.as_bytes()), (name, long.as_bytes())];
        let outcome = scene::send_raw(&edge, "GET", "/api/acme/x", &headers).await;
        outcome.is_granted();
        assert_eq!(outcome.upstream_headers("x-auth-team"), ["acme"]);
    }
    let path = format!("/api/{long}/x");
    let headers = [("x-api-key", key.as_bytes())];
    scene::send_raw(&edge, "GET", &path, &headers).await.is_refused(403, "team_mismatch");
    nobody_was_harmed(&edge, &key).await;
}

/// Every one of these leaves the public part of the API in the eyes of some server.
const WAYS_OUT: [&str; 27] = [
    "/public/../api/acme/x",
    "/public/..",
    "/public/./../api/acme/x",
    "/public/a/../../api/acme/x",
    "/public//../../api/acme/x",
    "/public/%2e%2e/api/acme/x",
    "/public/.%2e/api/acme/x",
    "/public/%2E./api/acme/x",
    "/public/..%2fapi/acme/x",
    "/public%2f..%2fapi/acme/x",
    "/public/%2e%2e%2fapi/acme/x",
    "/public/..%5capi/acme/x",
    "/public/..\\api\\acme/x",
    "/public\\..\\api/acme/x",
    "/public/%252e%252e/api/acme/x",
    "/public/..%252fapi/acme/x",
    "/public/..;/api/acme/x",
    "/public/..;a=b/api/acme/x",
    "/public/%2e%2e;/api/acme/x",
    "/public/..%00/api/acme/x",
    "/public/..%3b/api/acme/x",
    "/public/..#/api/acme/x",
    "/public/%c0%ae%c0%ae/%2e%2e/%2e%2e/api/acme/x",
    "//public/../api/acme/x",
    "/./public/../api/acme/x",
    "/public/..?/../api/acme/x",
    "/public/%2e%2e?x",
];

#[tokio::test]
async fn no_path_leads_out_of_the_public_part_whether_envoy_normalises_it_or_not() {
    let routes = json!({ "routes": [{ "path": "/public/...", "access": "public" }, { "path": "/api/{team}/..." }] });
    for normalised in [true, false] {
        let routes = routes.clone();
        let edge = Edge::synced_start(|setup| {
            setup.filter(move |filter| scene::adopt(filter, routes)).bootstrap(move |bootstrap| {
                if !normalised {
                    bootstrap.edit(leave_paths_alone);
                }
                Ok(())
            })
        })
        .await;
        for path in WAYS_OUT {
            let outcome = scene::send_raw(&edge, "GET", path, &[]).await;
            assert_eq!(outcome.hits, 0, "{path}: {outcome:?}");
            if !normalised {
                assert_eq!(outcome.status(), 400, "{path}: {outcome:?}");
            }
        }
        let outcome = scene::send_raw(&edge, "GET", "/public/a%20b?../..", &[]).await;
        assert_eq!((outcome.status(), outcome.hits), (200, 1), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_key_does_not_lead_out_of_its_teams_part() {
    let edge = scene::edge_edited(leave_paths_alone).await;
    let key = edge.key("acme", &["read"]).await;
    for path in WAYS_OUT {
        let path = path.replacen("/api/acme/", "/globex/", 1).replacen("public", "api/acme", 1);
        let outcome = scene::send_raw(&edge, "GET", &path, &[("x-api-key", key.as_bytes())]).await;
        assert_eq!((outcome.status(), outcome.hits), (400, 0), "{path}: {outcome:?}");
    }
}

#[tokio::test]
async fn targets_that_are_no_path_never_reach_the_upstream() {
    let edge = scene::edge().await;
    let before = edge.upstream().hits();
    for line in ["OPTIONS * HTTP/1.1", "CONNECT a:443 HTTP/1.1", "GET healthz HTTP/1.1", "GET /api/acme/x HTTP/1.0"] {
        let request = format!("{line}\r\nhost: a\r\nconnection: close\r\n\r\n");
        let answer = scene::exchange(&edge, request.as_bytes()).await;
        assert!((400..500).contains(&answer.status), "{line}: {answer:?}");
    }
    let absolute = b"GET http://a/api/acme/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = scene::exchange(&edge, absolute).await;
    assert_eq!((answer.status, answer.header("x-auth-reason").as_deref()), (401, Some("missing_credential")));
    assert_eq!(edge.upstream().hits(), before);
}

/// No module was stopped or loaded anew, and a valid request is admitted on every worker.
async fn nobody_was_harmed(edge: &Edge, key: &str) {
    for request in Connections::to_every_worker(edge).await.get("/api/acme/x") {
        assert_eq!(request.header("x-api-key", key).send().await.unwrap().status(), 200);
    }
    assert_eq!(edge.stat("wasm.tollkeeper.vm_reload").await, Some(0));
    let log = edge.envoy_log();
    let bad = log.lines().find(|line| ["[error]", "[critical]"].iter().any(|level| line.contains(level)));
    assert_eq!(bad, None);
}

async fn answer_with_no_text(upstream: TcpListener) {
    let answer = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\nx-auth-team: ",
        NO_TEXT,
        b"\r\nx_auth_team: ",
        NO_TEXT,
        b"\r\nratelimit: ",
        NO_TEXT,
        b"\r\nx-custom: ",
        NO_TEXT,
        b"\r\n\r\n",
    ]
    .concat();
    while let Ok((mut connection, _)) = upstream.accept().await {
        // A request of a few hundred bytes comes in one piece, and is of no interest.
        let _ = connection.read(&mut [0; 8192]).await;
        let _ = connection.write_all(&answer).await;
    }
}

fn values(answer: &RawAnswer, name: &str) -> Vec<Vec<u8>> {
    answer.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect()
}

/// As Envoy is when it is not told to normalise paths.
fn leave_paths_alone(bootstrap: &mut Value) {
    let manager = scene::connection_manager(bootstrap).as_object_mut().expect("the connection manager");
    for setting in ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"] {
        manager.remove(setting).expect(setting);
    }
    manager.insert("normalize_path".to_owned(), json!(false));
}
