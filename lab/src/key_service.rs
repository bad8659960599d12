//! The key service's admin API, as an operator's program uses it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http;
use crate::keyservice_process::Launch;
use crate::secret::Secret;

/// A client of the admin API.
#[derive(Clone, Debug)]
pub struct KeyService {
    base: String,
    token: Secret,
    client: reqwest::Client,
}

/// A key as it is shown once, when it is made.
#[derive(Clone, Deserialize)]
pub struct NewKey {
    /// What it is called in the admin API, in headers and in logs.
    pub id: String,
    /// The secret itself.
    pub key: String,
    /// The revision with which it came to be.
    pub revision: u64,
}

impl KeyService {
    /// A client of the key service at `address`, which need not run yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(address: SocketAddr, token: Secret) -> Result<Self> {
        let client = http::client()?.timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: format!("http://{address}"), token, client })
    }

    /// A client of the key service that is started like this.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn of(launch: &Launch) -> Result<Self> {
        Ok(Self { base: launch.url(), ..Self::new(launch.address, launch.tokens.admin.clone())? })
    }

    /// Makes a team. One that exists is left as it is.
    ///
    /// # Errors
    /// When the key service refuses or does not answer; so do all that follow.
    pub async fn create_team(&self, id: &str, name: &str) -> Result<()> {
        let request = self.request(Method::POST, "/v1/teams").json(&json!({ "id": id, "name": name }));
        let answer = request.send().await?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(()),
            status if status.is_success() => Ok(()),
            _ => bail!("making team {id}: {}", refusal(answer).await),
        }
    }

    /// Makes a key; `description` is the body of `POST /v1/keys`.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn create_key(&self, description: &Value) -> Result<NewKey> {
        let made = self.call(Method::POST, "/v1/keys", description).await.context("making a key")?;
        Ok(serde_json::from_value(made)?)
    }

    /// Changes fields of a team; the answer carries its new `revision`, as that of every change does.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn patch_team(&self, id: &str, changes: &Value) -> Result<Value> {
        self.call(Method::PATCH, &format!("/v1/teams/{id}"), changes).await.with_context(|| format!("team {id}"))
    }

    /// Changes fields of a key.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn patch_key(&self, id: &str, changes: &Value) -> Result<Value> {
        self.call(Method::PATCH, &format!("/v1/keys/{id}"), changes).await.with_context(|| format!("key {id}"))
    }

    /// Revokes a key, for ever.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn revoke_key(&self, id: &str) -> Result<Value> {
        let path = format!("/v1/keys/{id}/revoke");
        self.call(Method::POST, &path, &json!({})).await.with_context(|| format!("revoking key {id}"))
    }

    /// Deletes a key, for ever.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn delete_key(&self, id: &str) -> Result<()> {
        let path = format!("/v1/keys/{id}");
        self.call(Method::DELETE, &path, &Value::Null).await.with_context(|| format!("deleting key {id}")).map(drop)
    }

    /// A key as the key service shows it.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn key(&self, id: &str) -> Result<Value> {
        self.get(&format!("/v1/keys/{id}")).await
    }

    /// A team as the key service shows it.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn team(&self, id: &str) -> Result<Value> {
        self.get(&format!("/v1/teams/{id}")).await
    }

    /// The JSON at `path`.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.request(Method::GET, path).send().await?;
        if !answer.status().is_success() {
            bail!("GET {path}: {}", refusal(answer).await);
        }
        Ok(answer.json().await?)
    }

    /// Posts to `path`, and returns the answer's JSON, `null` if it has none.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, body).await
    }

    /// Changes what is at `path`.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn patch(&self, path: &str, changes: &Value) -> Result<Value> {
        self.call(Method::PATCH, path, changes).await
    }

    /// Sets what is at `path`.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::PUT, path, body).await
    }

    /// Deletes what is at `path`.
    ///
    /// # Errors
    /// See [`Self::create_team`].
    pub async fn delete(&self, path: &str) -> Result<Value> {
        self.call(Method::DELETE, path, &Value::Null).await
    }

    /// A request with the admin token, for what has no method of its own.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(self.token.expose())
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let answer = self.request(method.clone(), path).json(body).send().await?;
        if !answer.status().is_success() {
            bail!("{method} {path}: {}", refusal(answer).await);
        }
        let text = answer.text().await?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered with no JSON"))
    }
}

async fn refusal(answer: reqwest::Response) -> String {
    let status = answer.status();
    format!("{status} {}", answer.text().await.unwrap_or_default())
}
