//! Keys as they come to the key service itself, in clear text: in each place where a client or an operator shows one, and
//! in some where they should not.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, Method, RequestBuilder};

/// How many ways there are.
pub(super) const WAYS: usize = 14;

/// Shows each of these keys, in one way after the other; the tokens that were given, and all else that was answered.
pub(super) async fn shown(url: &str, keys: impl Iterator<Item = String>) -> (Vec<String>, Vec<u8>) {
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
    let (mut given, mut answers) = (Vec::new(), Vec::new());
    for visit in visits.collect::<Vec<_>>() {
        let (token, rest) = parted(visit.await.unwrap());
        given.extend(token);
        answers.extend(rest);
    }
    (given, answers)
}

/// The token that an answer gives, and all else in it.
pub(super) fn parted(answer: Vec<u8>) -> (Option<String>, Vec<u8>) {
    const BEFORE: &str = "\"access_token\":\"";
    // What is no text, pages for nodes, gives no token.
    let Ok(text) = str::from_utf8(&answer) else { return (None, answer) };
    let token = text.split_once(BEFORE).and_then(|(_, rest)| rest.split('"').next());
    let Some(token) = token.map(str::to_owned) else { return (None, answer) };
    let rest = text.replacen(&format!("{BEFORE}{token}"), BEFORE, 1);
    (Some(token), rest.into_bytes())
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
