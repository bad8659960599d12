//! Keys as they come to the key service itself, in clear text: in each place where a client or an operator shows one, and
//! in some where they should not.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, Method, RequestBuilder};

/// How many ways there are.
pub(super) const WAYS: usize = 14;

/// Shows each of these keys, in one way after the other; all that was answered, and how many tokens were given.
pub(super) async fn shown(url: &str, keys: impl Iterator<Item = String>) -> (usize, Vec<u8>) {
    let client = lab::http::client().unwrap().build().unwrap();
    // What is wrong is answered late, and has to wait for others from the same address.
    let visits = keys.enumerate().map(|(number, key)| {
        let (way, address) = (number % WAYS, format!("198.51.{}.{}", number / 250 + 1, number % 250 + 1));
        let request = visit(&client, url, way, &key).header("x-forwarded-for", address);
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            let mut told = format!("{:?}", answer.headers()).into_bytes();
            told.extend_from_slice(&answer.bytes().await.unwrap());
            told
        })
    });
    let (mut given, mut answers) = (0, Vec::new());
    for visit in visits.collect::<Vec<_>>() {
        let told = visit.await.unwrap();
        given += usize::from(String::from_utf8_lossy(&told).contains("access_token"));
        answers.extend(told);
    }
    (given, answers)
}

fn visit(client: &Client, url: &str, way: usize, key: &str) -> RequestBuilder {
    let to = |method, path: &str| client.request(method, format!("{url}{path}"));
    let json = |path, body: String| to(Method::POST, path).header("content-type", "application/json").body(body);
    let form = |path, body: String| {
        to(Method::POST, path).header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    match way {
        0 => json("/auth/login", format!(r#"{{"api_key": "{key}"}}"#)),
        1 => json("/auth/login", format!(r#"{{"client_id": "nobody", "client_secret": "{key}"}}"#)),
        2 => json("/auth/login", format!(r#"{{"api_key": "{key}", "session_id": "another"}}"#)),
        3 => form("/oauth/token", format!("grant_type=client_credentials&client_id=nobody&client_secret={key}")),
        4 => {
            let basic = STANDARD.encode(format!("nobody:{key}"));
            form("/oauth/token", "grant_type=client_credentials".to_owned())
                .header("authorization", format!("Basic {basic}"))
        }
        5 => form("/oauth/introspect", format!("token={key}")).bearer_auth(key),
        6 => form("/oauth/introspect", "token=another".to_owned()).bearer_auth(key),
        7 => form("/oauth/revoke", format!("token={key}")).bearer_auth(key),
        8 => to(Method::GET, "/v1/teams").bearer_auth(key),
        9 => to(Method::GET, "/node/v1/snapshot?nonce=1").bearer_auth(key),
        // Slips.
        10 => json("/auth/login", format!(r#"{{"api_key": "{key}"#)),
        11 => json("/auth/login", format!(r#"{{"api_key": ["{key}"]}}"#)),
        12 => json("/auth/login", format!(r#"{{"key": "{key}"}}"#)),
        _ => form("/oauth/token", format!("grant_type={key}&client_id=nobody&client_secret={key}")),
    }
}
