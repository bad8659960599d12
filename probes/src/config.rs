//! Filter configurations: taken whole, or refused with every mistake and its place.

use tollkeeper::config::Config;

/// The input is the configuration.
pub fn look(data: &[u8]) {
    match Config::parse(data) {
        Ok(_) => {
            let value: serde_json::Value = serde_json::from_slice(data).expect("what is taken is JSON");
            assert!(value["key_service"].is_object(), "without a key service there are no keys");
        }
        Err(mistakes) => assert!(!mistakes.to_string().is_empty()),
    }
}

/// A short and a long one.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::texts(&[
        r#"{"key_service": {"cluster": "keyservice"}}"#,
        r#"{"instance": "edge", "key_service": {"cluster": "keyservice", "max_age_seconds": 900}, "realm": "r",
            "styles": ["raw", "x-api-key"], "forward_credential": true,
            "tokens": {"issuer": "https://a.example", "audience": "b", "leeway_seconds": 5},
            "quota": {"limit": 300, "window_seconds": 300, "promise": "strict", "scope": "fleet", "fallback": "refuse"},
            "rate_limit_headers": "legacy", "response_headers": "off", "request_headers": ["x-auth-team"],
            "shadow": "quota", "unmatched": "refuse", "routes": [{"path": "/open/...", "access": "public"},
            {"path": "/api/{team}/{id}", "methods": ["GET"], "scopes": ["read"], "styles": ["token"], "cost": 2}]}"#,
    ])
}
