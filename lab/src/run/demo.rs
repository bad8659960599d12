//! The demo teams and their keys: made once, and found again by the next run.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::access;
use crate::key_service::KeyService;
use crate::run::print;
use crate::run::state::State;

/// A key for each demo team.
#[derive(Deserialize, Serialize)]
pub(crate) struct DemoKeys {
    /// May read and write.
    pub(crate) first: DemoKey,
    /// May only read.
    pub(crate) second: DemoKey,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct DemoKey {
    pub(crate) team: String,
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) scopes: Vec<String>,
}

/// The demo keys of this database.
pub(crate) async fn keys(state: &State, service: &KeyService) -> Result<DemoKeys> {
    let file = state.demo_keys();
    if file.exists() {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        return serde_json::from_str(&text).with_context(|| format!("{}: remove it to get new keys", file.display()));
    }
    print::progress("Making the demo teams acme and globex, and a key for each");
    let keys = DemoKeys {
        first: make(service, "acme", "Acme", &["read", "write"]).await?,
        second: make(service, "globex", "Globex", &["read"]).await?,
    };
    access::write_private(&file, format!("{:#}\n", json!(keys)).as_bytes())?;
    Ok(keys)
}

async fn make(service: &KeyService, team: &str, name: &str, scopes: &[&str]) -> Result<DemoKey> {
    service.create_team(team, name).await?;
    let made = service.create_key(&json!({ "team": team, "name": "demo", "scopes": scopes })).await?;
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Ok(DemoKey { team: team.to_owned(), id: made.id, key: made.key, scopes })
}
