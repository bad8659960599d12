//! Trailers are headers too: nobody but the filter speaks for a caller in them either.

use lab::edge::Edge;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use crate::scene::connection_manager;

/// An upstream that answers one request with trailers, and gives back the bytes that arrived.
async fn upstream() -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") || !request.windows(5).any(|bytes| bytes == b"\r\n0\r\n") {
            assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0, "the request ends early");
        }
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
            x-auth-team: upstream-trailer\r\nx_auth_status: upstream-trailer\r\nx-kept: answered\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    });
    (port, served)
}

fn pass_trailers(bootstrap: &mut Value, upstream: u16) {
    connection_manager(bootstrap)["http_protocol_options"] = json!({"enable_trailers": true});
    let cluster = bootstrap.pointer_mut("/static_resources/clusters/0").unwrap();
    assert_eq!(cluster["name"], "upstream");
    let socket = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value";
    *cluster.pointer_mut(socket).unwrap() = json!(upstream);
    cluster["typed_extension_protocol_options"] = json!({
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}},
        },
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_and_credentials_in_trailers_reach_neither_side() {
    let (port, served) = upstream().await;
    let edge = Edge::synced_start(|setup| {
        setup.bootstrap(move |bootstrap| {
            bootstrap.edit(|bootstrap| pass_trailers(bootstrap, port));
            Ok(())
        })
    })
    .await;
    let key = edge.key("acme", &["write"]).await;
    let request = format!(
        "POST /api/acme/x HTTP/1.1\r\nhost: edge\r\nconnection: close\r\nx-api-key: {key}\r\nte: trailers\r\n\
         transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-auth-team: client-trailer\r\nX_Auth_Team: client-trailer\r\n\
         x-api-key: client-trailer\r\nx-kept: asked\r\n\r\n"
    );
    let answer = String::from_utf8(edge.exchange(request.as_bytes()).await).unwrap();
    let request = served.await.unwrap();
    assert!(request.contains("x-kept: asked") && !request.contains("client-trailer"), "{request}");
    assert!(answer.contains("x-kept: answered") && !answer.contains("upstream-trailer"), "{answer}");
}
