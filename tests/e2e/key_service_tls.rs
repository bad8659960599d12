//! Envoy and the key service over TLS, with the cluster of `envoy/clusters/keyservice-tls.yaml`.

use std::time::Duration;

use lab::{
    authority::{Authority, Certificate, LAB},
    edge::Edge,
};
use serde_json::{Value, json};

use crate::scene::get;

const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate for this name, and for the address, which the test itself calls.
fn certificate(authority: &Authority, name: &str) -> Certificate {
    authority.certificate(&[name, "127.0.0.1"]).unwrap()
}

/// Lets the cluster trust this authority instead of the one in a file.
fn trusting(cluster: &mut Value, authority: &Authority) {
    let place = "/transport_socket/typed_config/common_tls_context/validation_context/trusted_ca";
    *cluster.pointer_mut(place).expect("the file names a trusted authority") =
        json!({"inline_string": authority.pem()});
}

/// An edge whose Envoy trusts `authority` for its key service, which shows `shown`.
async fn edge_that_trusts(authority: &Authority, shown: Certificate) -> Edge {
    let trusted = Authority::clone(authority);
    Edge::start(|setup| {
        setup.key_service_certificate(shown).bootstrap(move |bootstrap| {
            bootstrap
                .cluster_of_file("keyservice", "clusters/keyservice-tls.yaml", |cluster| trusting(cluster, &trusted))
        })
    })
    .await
}

/// Waits until Envoy has refused one certificate more, counted by this.
async fn refuses_one_more(edge: &Edge, counter: &str) {
    let name = format!("cluster.keyservice.ssl.{counter}");
    let before = edge.stat(&name).await.unwrap_or_default();
    edge.wait_until(&name, PATIENCE, async || (edge.stat(&name).await? > before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_over_tls_from_the_service_that_the_cluster_names_and_from_no_other() {
    // This test can call what shows a certificate of the lab's authority, Envoy what shows one of the edge's.
    let (lab, edges) = (LAB.as_ref().unwrap(), Authority::new("the edge's").unwrap());
    let mut edge = edge_that_trusts(&edges, certificate(lab, "keyservice.internal")).await;
    edge.key_service().create_team("acme", "acme").await.unwrap();
    let key = edge.key_service().create_key(&json!({"team": "acme", "scopes": ["read"]})).await.unwrap().key;

    refuses_one_more(&edge, "fail_verify_error").await;
    get(&edge, "/api/acme/x", &key).await.is_refused(503, "not_synced");
    get(&edge, "/api/acme/x", "nobody-knows-this-key").await.is_refused(503, "not_synced");

    edge.renew_key_service_certificate(certificate(&edges, "another.internal"));
    refuses_one_more(&edge, "fail_verify_san").await;
    get(&edge, "/api/acme/x", &key).await.is_refused(503, "not_synced");

    edge.renew_key_service_certificate(certificate(&edges, "keyservice.internal"));
    edge.synced().await;
    get(&edge, "/api/acme/x", &key).await.is_granted();
    get(&edge, "/api/acme/x", "nobody-knows-this-key").await.is_refused(401, "unknown_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_interrupts_nothing_and_changes_go_on_arriving() {
    let lab = LAB.as_ref().unwrap();
    let mut edge = edge_that_trusts(lab, certificate(lab, "keyservice.internal")).await;
    edge.synced().await;
    let before = edge.key("acme", &["read"]).await;
    edge.renew_key_service_certificate(certificate(lab, "keyservice.internal"));
    let after = edge.key("acme", &["read"]).await;
    for key in [before, after] {
        get(&edge, "/api/acme/x", &key).await.is_granted();
    }
    assert_eq!(edge.stat("cluster.keyservice.ssl.connection_error").await.unwrap_or_default(), 0);
}
