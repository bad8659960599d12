//! Which of the files in `envoy/` a run serves, and what its clients send.

use clap::ValueEnum;

use crate::run::demo::DemoKey;

/// A file in `envoy/apis/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// Keys without a scheme, the team in the path.
    Mosaic,
    /// `Token` and a key.
    Mezmo,
    /// A login, and then the token.
    BearerLogin,
    /// `x-api-key`, and sessions.
    Mindset,
    /// All four.
    All,
}

impl Api {
    /// The file, by its name in `envoy/`.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Mosaic => "apis/mosaic.yaml",
            Self::Mezmo => "apis/mezmo.yaml",
            Self::BearerLogin => "apis/bearer-login.yaml",
            Self::Mindset => "apis/mindset.yaml",
            Self::All => "apis/all.yaml",
        }
    }
}

/// One request for each way in which clients of this file show a key; `url` is that of the listener.
pub(crate) fn requests(api: Option<Api>, url: &str, DemoKey { team, key, .. }: &DemoKey) -> Vec<String> {
    let get = |path: &str, header: &str| format!("curl -i {url}{path} -H '{header}'");
    let orders = format!("/api/{team}/orders");
    let (raw, token) = (format!("authorization: {key}"), format!("authorization: Token {key}"));
    let (bearer, x_api_key) = (format!("authorization: Bearer {key}"), format!("x-api-key: {key}"));
    let log_in = |path| {
        let body = format!(r#"{{"api_key": "{key}"}}"#);
        let login = format!("curl -i {url}/auth/login -H 'content-type: application/json' -d '{body}'");
        [login, get(path, "authorization: Bearer ACCESS_TOKEN")]
    };
    match api {
        None => [raw, token, bearer, x_api_key].map(|header| get(&orders, &header)).into(),
        Some(Api::Mosaic) => vec![get(&orders, &raw)],
        Some(Api::Mezmo) => vec![get("/validate", &token)],
        Some(Api::BearerLogin) => log_in("/reports").into(),
        Some(Api::Mindset) => [vec![get("/orders", &x_api_key)], log_in("/orders").into()].concat(),
        Some(Api::All) => {
            let keys = vec![get(&orders, &raw), get("/mezmo/validate", &token), get("/mindset/orders", &x_api_key)];
            [keys, log_in("/bearer/reports").into()].concat()
        }
    }
}
