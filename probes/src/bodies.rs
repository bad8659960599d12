//! JSON that clients and operators send to the key service: taken as what it says, or refused with a word of why.

/// The input is the body of each request that has one.
pub fn look(data: &[u8]) {
    let _ = keyservice::api::probe::read_each_body(data);
}

/// A body of most kinds.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    crate::texts(&[
        r#"{"api_key": "some-key", "session_id": "one"}"#,
        r#"{"username": "alice", "password": "secret"}"#,
        r#"{"client_id": "c", "client_secret": "s", "grant_type": "client_credentials"}"#,
        r#"{"id": "acme", "name": "Acme", "quota": {"limit": 300, "window_seconds": 300}, "hosts": ["a.example"]}"#,
        r#"{"team": "acme", "kind": "personal", "user": "alice", "scopes": ["read"], "origin": {"domain": "a.example"},
            "not_before": "2026-01-01T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z", "name": "n"}"#,
        r#"{"factor": 0.5}"#,
        r#"{"keys": [{"sha256": "0000000000000000000000000000000000000000000000000000000000000000", "team": "acme"}]}"#,
        r#"{"state": "disabled", "quota": null}"#,
        r#"{"password": "a long password", "permissions": ["read", "write"]}"#,
    ])
}
