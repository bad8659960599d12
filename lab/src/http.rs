//! HTTP clients for tests and demonstrations: no proxy, and TLS that trusts the lab's own authority and no other.

use std::sync::{Arc, LazyLock};

use anyhow::{Context, Result};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::authority::{Authority, LAB};

static TRUST: LazyLock<Result<ClientConfig>> = LazyLock::new(|| {
    let authority = LAB.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    trusting(authority)
});

/// A client to be completed and built.
///
/// # Errors
/// When there can be no TLS.
pub fn client() -> Result<reqwest::ClientBuilder> {
    let trust = TRUST.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    Ok(reqwest::Client::builder().no_proxy().tls_backend_preconfigured(trust.clone()))
}

fn trusting(authority: &Authority) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).context("the lab's authority")?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}
